"""A conversation whose answers are written down, so that what is made of them can be told."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from tests.engine.tiny_reader import TinyReader, tiny_page
from tilewise.engine.generate import Limits
from tilewise.engine.sampling import SamplingConfig
from tilewise.engine.session import Conversation
from tilewise.models.folders import DEFAULT
from tilewise.models.reader import Progress
from tilewise.records import Answer, Box, Evidence, Page, Piece
from tilewise.structured.asking import fill
from tilewise.structured.form import read_form
from tilewise.structured.record import Record

ABSENT = "Not found on this page."


class Scripted(Conversation):
    """Answers by question; what is not written down is not on the page."""

    def __init__(self, answers: Mapping[str, str], *, name: str = DEFAULT, pages: int = 1) -> None:
        reader = TinyReader()
        reader.name = name
        made = [_numbered(number, pages) for number in range(1, pages + 1)]
        super().__init__(reader, made, [4] * pages)
        self.answers, self.asked, self.cut = answers, [""][:0], False

    def ask(
        self,
        question: str,
        limits: Limits | None = None,
        progress: Progress | None = None,
        sampling: SamplingConfig | None = None,
    ) -> Iterator[Piece | Answer]:
        """One piece, then the answer, which stands on the last page."""
        self.asked.append(question)
        text = self.answers.get(question, ABSENT)
        seen = (
            Evidence(page=len(self.pages), box=Box(4, 5, 9, 7), text=text[:1]),
            Evidence(page=len(self.pages), box=Box(1, 6, 3, 8), text=text[1:]),
        )
        is_found = text != ABSENT
        yield Piece(text=text)
        yield Answer(
            text=text,
            evidence=seen if is_found else (),
            is_found=is_found,
            confidence=0.5,
            prompt_tokens=1,
            new_tokens=1,
            first_s=0.0,
            total_s=0.0,
            is_complete=not self.cut,
        )


def _numbered(number: int, total: int) -> Page:
    page = tiny_page()
    return Page(pixels=page.pixels, name="page", number=number, total=total)


def filled(schema: Mapping[str, object], answers: Mapping[str, str]) -> Record:
    """The record that a schema gives when these answers come."""
    return fill(read_form(schema), Scripted(answers))


def of(**properties: object) -> dict[str, object]:
    """A schema of an object."""
    return {"type": "object", "properties": properties}
