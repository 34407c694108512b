"""Putting questions to a reader, and what came of each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

from benchmarks.default_reader_parts.scores import Ratio, Share, edits, normal, ratio, share
from tilewise.engine.generate import Limits
from tilewise.engine.session import Conversation
from tilewise.models.nano.prompt import UNSUPPORTED_TEXT
from tilewise.models.reader import Reader
from tilewise.records import Answer, Page
from tilewise.synth.facts import Question
from tilewise.synth.phrasing import PLAIN, TAGS

LOOK_UP = Limits(max_new_tokens=240)
START = Limits(max_new_tokens=60)
"""Enough of a whole page: only its opening is compared here, the rest in ``reading``."""
"""Longer than any true answer, so that only wrong ones are cut."""

OPENING = 40
"""Characters of «Read all the text.» that count where it is asked among other questions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A page that is asked about.

    ``text_px`` is the middle one of its characters' sizes, px per em of the page; ``text`` all its
    text where that has one reading order.
    """

    page: Page
    questions: tuple[Question, ...]
    text_px: float
    text: str | None
    is_unseen_font: bool = False
    source: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """A question and what the reader said. ``truth`` is None where the page does not hold it."""

    subject: str
    source: str
    is_unseen_font: bool
    tiles: int
    tokens: int
    text_px: float
    kind: str
    is_plain: bool
    question: str
    truth: str | None
    said: str
    is_found: bool
    confidence: float | None
    first_s: float

    @property
    def is_unsupported(self) -> bool:
        """Whether the reader took it for a request that it does not serve."""
        return self.said == UNSUPPORTED_TEXT

    @property
    def is_answerable(self) -> bool:
        """Whether the page holds an answer."""
        return self.truth is not None

    @property
    def is_refused(self) -> bool:
        """Whether the reader said that the page does not hold the answer."""
        return not self.is_found and not self.is_unsupported

    @property
    def is_right(self) -> bool:
        """Equal to the truth; where there is none, the right way of saying so."""
        if self.truth is None:
            return self.is_unsupported if self.kind == "unsupported" else self.is_refused
        said, truth = normal(self.said), normal(self.truth)
        if self.kind != "all":
            return said == truth
        return self.is_found and edits(said[:OPENING], truth[:OPENING]) <= 0.1 * OPENING


def ask(
    reader: Reader, subject: Subject, max_tiles: int, questions: Sequence[Question] | None = None
) -> list[Outcome]:
    """Ask about a page, each question by itself, greedily and to the answer's end."""
    talk = Conversation(reader, [subject.page], [max_tiles])
    return ask_in(talk, subject, subject.questions if questions is None else questions)


def ask_in(talk: Conversation, subject: Subject, questions: Iterable[Question]) -> list[Outcome]:
    """Ask about a page in a conversation that may have been used before."""
    fit = talk.tiles[0].fit
    plan = talk.reader.plan(subject.page.width, subject.page.height, talk.max_tiles[0])
    return [
        Outcome(
            subject=f"{subject.page.name}, page {subject.page.number}",
            source=subject.source,
            is_unseen_font=subject.is_unseen_font,
            tiles=fit.grid.tiles,
            tokens=len(plan),
            text_px=subject.text_px * fit.width / fit.page_width,
            kind=question.kind,
            is_plain=is_plain(question),
            question=question.text,
            truth=question.answer,
            said=answer.text,
            is_found=answer.is_found,
            confidence=answer.confidence,
            first_s=answer.first_s,
        )
        for question in questions
        for answer in [answer_to(talk, question.text, START if question.kind == "all" else LOOK_UP)]
    ]


def answer_to(talk: Conversation, question: str, limits: Limits) -> Answer:
    """One whole answer; the conversation forgets it."""
    *_, answer = talk.ask(question, limits)
    talk.forget()
    assert isinstance(answer, Answer)
    return answer


def is_plain(question: Question) -> bool:
    """Whether a question is in the words of the list, not in a paraphrase."""
    slots = {tag: slot for slot, tag in TAGS.items()}
    template = ""
    pairs = zip(question.text, question.tags, strict=True)
    for tag, group in groupby(pairs, key=lambda pair: pair[1]):
        template += f"{{{slots[tag]}}}" if tag in slots else "".join(char for char, _ in group)
    known: dict[str, tuple[str, ...]] = {str(kind): words for kind, words in PLAIN.items()}
    return template in known.get(question.kind, ())


def look_ups(outcomes: Iterable[Outcome], kind: str | None = None) -> list[Outcome]:
    """Those with an answer on the page, of one kind or of all but «Read all the text.»."""
    return [
        o for o in outcomes if o.is_answerable and (o.kind == kind if kind else o.kind != "all")
    ]


def absent(outcomes: Iterable[Outcome]) -> list[Outcome]:
    """Those that ask for something of a known kind that the page does not hold."""
    return [o for o in outcomes if not o.is_answerable and o.kind != "unsupported"]


def right_by_page(outcomes: Iterable[Outcome]) -> Ratio:
    """The share right, with the interval of drawing pages: what is asked of one falls together."""
    pages: dict[str, list[bool]] = {}
    for outcome in outcomes:
        pages.setdefault(outcome.subject, []).append(outcome.is_right)
    return ratio([sum(p) for p in pages.values()], [len(p) for p in pages.values()])


def right(outcomes: Iterable[Outcome]) -> Share:
    """How many are right."""
    return share([o.is_right for o in outcomes])
