"""The work of a run over files: pages loaded ahead in threads, asked one after another."""

from __future__ import annotations

import logging
import struct
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from time import perf_counter
from typing import Any, Final

import numpy as np

from tilewise.engine.generate import Limits
from tilewise.engine.sampling import SamplingConfig
from tilewise.engine.session import Conversation
from tilewise.errors import TilewiseError
from tilewise.folder.ahead import Ahead
from tilewise.folder.answers import Line
from tilewise.folder.lines import line
from tilewise.folder.together import Recent, answer_together, grouped
from tilewise.models.folders import DEFAULT
from tilewise.models.load import Dtype, load
from tilewise.models.reader import Reader
from tilewise.models.vision_cache import CacheConfig
from tilewise.pipeline import converse, places
from tilewise.records import Answer, Page
from tilewise.sources.pages import open_source
from tilewise.sources.source import Source
from tilewise.sources.video_options import VideoOptions
from tilewise.sources.web_options import WebOptions
from tilewise.structured.asking import fill
from tilewise.structured.form import Form
from tilewise.structured.record import Record
from tilewise.superres.policy import Upscale

_log = logging.getLogger(__name__)

FAULTS: Final = (
    # what a file or a page may bring about in decoders and models, besides TilewiseError
    OSError, MemoryError, RuntimeError, ValueError, LookupError, TypeError, ArithmeticError,
    AttributeError, AssertionError, SyntaxError, EOFError, struct.error, zlib.error,
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """How every file of a run is asked; the settings are those of ``pipeline.ask``.

    With a ``form``, its ``mark`` is the one question of every task, and records are the answers.
    ``batch`` pages are answered together, with the same texts.
    """

    model: str = DEFAULT
    dtype: Dtype | None = None
    device: str = "auto"
    max_tiles: int | None = None
    pages: str | None = None
    per_page: bool = False
    max_new_tokens: int | None = None
    sampling: SamplingConfig = field(default_factory=SamplingConfig)
    password: str | None = field(default=None, repr=False)
    threads: int | None = None
    web: WebOptions = field(default_factory=WebOptions)
    straighten: bool = True
    video: VideoOptions | None = None
    upscale: Upscale | None = None
    form: Form | None = None
    cache: CacheConfig | None = None
    batch: int = 1

    def said(self) -> dict[str, Any]:
        """The settings that answers depend on, those at their defaults left out."""
        silent = {"model", "device", "password", "threads", "form", "cache", "batch"}
        silent |= {"sampling", "web", "video"}  # told field by field
        own = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in silent}
        plain = {f.name: f.default for f in fields(self)} | _apart()
        told = own | _apart(self.sampling, self.web, self.video)
        return {"model": self.model} | {k: v for k, v in told.items() if v != plain[k]}


def _apart(
    sampling: SamplingConfig | None = None,
    web: WebOptions | None = None,
    video: VideoOptions | None = None,
) -> dict[str, Any]:
    """Settings of settings by names of their own; without any, their defaults."""
    parts = {"web": asdict(web or WebOptions()), "video": asdict(video or VideoOptions())}
    told = {f"{of}_{name}": value for of, part in parts.items() for name, value in part.items()}
    return asdict(sampling or SamplingConfig()) | told


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A file with the questions to ask about it, save those done already, by page and question.

    ``source`` is its name in lines and messages, ``path`` where it lies, whatever the folder that
    the work runs in.
    """

    source: str
    path: str
    questions: tuple[str, ...]
    done: frozenset[tuple[int | None, str]] = frozenset()

    def missing(self, page: int | None) -> list[str]:
        """What is left to ask about a page, or with None about the file."""
        return [question for question in self.questions if (page, question) not in self.done]


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A line that is ready, or with None the end of a file."""

    source: str
    line: Line | None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Loaded:
    """Pages ready to be asked about, or the error that they gave; ``page`` as in ``lines.line``."""

    page: int | None
    pages: int
    talk: Conversation | None
    load_s: float
    error: str | None = None


class FolderWork:
    """Asks files; made by ``start`` in the process that does so.

    Args:
        asking: how.
        reader: who answers.
    """

    def __init__(self, asking: Asking, reader: Reader) -> None:
        self.asking = asking
        self.reader = reader
        most = asking.max_new_tokens
        self._limits = Limits() if most is None else Limits(max_new_tokens=most)
        if asking.batch > 1 and reader.store is None:
            reader.store = Recent(asking.batch)

    def __call__(self, tasks: Iterable[Task]) -> Iterator[Step]:
        """Ask about each file in turn; the next ones are loaded meanwhile."""
        batch = 1 if self.asking.form is not None else self.asking.batch
        with Ahead(self._load, tasks, items_ahead=batch + 3) as loaded:
            for group in grouped(loaded, batch):
                known = self._together(group) if batch > 1 else {}
                for place, (task, part) in enumerate(group):
                    own = known.get(place, {})
                    for answered in self._lines(task, part, own) if part is not None else ():
                        yield Step(source=task.source, line=answered)
                    if part is None:
                        yield Step(source=task.source, line=None)

    def _together(
        self, group: Sequence[tuple[Task, _Loaded | None]]
    ) -> dict[int, dict[str, Answer]]:
        """Answers of a group, by place and question; those that fail together are left out."""
        known: dict[int, dict[str, Answer]] = {place: {} for place in range(len(group))}
        for question in dict.fromkeys(q for task, _ in group for q in task.questions):
            asked = {
                place: part.talk
                for place, (task, part) in enumerate(group)
                if part is not None
                and part.talk is not None
                and question in task.missing(part.page)
            }
            if not asked:
                continue
            try:
                talks = list(asked.values())
                answers = answer_together(talks, question, self._limits, self.asking.sampling)
            except (TilewiseError, *FAULTS) as err:
                _log.debug("asked one by one, as together %s", err)
                continue
            for place, answer in zip(asked, answers, strict=True):
                known[place][question] = answer
        return known

    def _load(self, task: Task) -> Iterator[_Loaded]:
        """The pages of a file, cut; together, or with ``per_page`` each when it is wanted."""
        began = perf_counter()
        try:
            with _opened(task, self.asking) as source:
                chosen = [number for _, number in places([source], self.asking.pages)]
                if not self.asking.per_page:
                    talk = self._talk(source, self.asking.pages)
                    yield _loaded(None, len(chosen), talk, began)
                    return
                for number in chosen:
                    if task.missing(number):
                        yield self._page(source, number, len(chosen))
        except TilewiseError as err:
            yield _failed(None, 0, str(err), began)
        except FAULTS as err:
            yield _failed(None, 0, _unforeseen(task.source, err), began)

    def _page(self, source: Source, number: int, pages: int) -> _Loaded:
        """One page; what is wrong with it does not touch the others."""
        began = perf_counter()
        try:
            return _loaded(number, pages, self._talk(source, str(number)), began)
        except TilewiseError as err:
            return _failed(number, pages, str(err), began)
        except FAULTS as err:
            return _failed(number, pages, _unforeseen(f"{source.name}, page {number}", err), began)

    def _talk(self, source: Source, pages: str | None) -> Conversation:
        (talk,) = converse(
            [source],
            self.reader,
            max_tiles=self.asking.max_tiles,
            pages=pages,
            beams=self.asking.sampling.beams,
            upscale=self.asking.upscale,
        )
        assert talk.tiles  # cut here, in the thread
        talk.pages = tuple(map(_without_pixels, talk.pages))
        return talk

    def _lines(self, task: Task, part: _Loaded, known: Mapping[str, Answer]) -> Iterator[Line]:
        missing = task.missing(part.page)
        if missing and self.asking.form is not None:
            yield self._record_line(task, part, self.asking.form)
            return
        for number, question in enumerate(missing):
            answer, error = known.get(question), part.error
            if part.talk is not None and answer is None:
                answer, error = self._answer(part.talk, question)
            yield line(
                task.source, part.page, part.pages, question,
                talk=part.talk, answer=answer, error=error,
                load_s=0.0 if number else part.load_s,
            )  # fmt: skip

    def _record_line(self, task: Task, part: _Loaded, form: Form) -> Line:
        """A line with a record; what is not valid for the schema counts as an error."""
        record, error = None, part.error
        if part.talk is not None:
            record, error = self._record(part.talk, form)
        told = line(task.source, part.page, part.pages, form.mark, talk=part.talk, error=error)
        return told | {"record": record and record.as_json()}

    def _record(self, talk: Conversation, form: Form) -> tuple[Record | None, str | None]:
        limits = None if self.asking.max_new_tokens is None else self._limits
        try:
            record = fill(form, talk, limits, None, self.asking.sampling)
        except TilewiseError as err:
            return None, str(err)
        except FAULTS as err:
            return None, _unforeseen(f"{talk.pages[0].name}, {form.mark}", err)
        return record, "; ".join(record.problems) or None

    def _answer(self, talk: Conversation, question: str) -> tuple[Answer | None, str | None]:
        """Ask on its own, as if nothing had been asked before: an answer or an error."""
        try:
            *_, answer = talk.ask(question, self._limits, None, self.asking.sampling)
            talk.forget()
        except TilewiseError as err:
            return None, str(err)
        except FAULTS as err:
            return None, _unforeseen(f"{talk.pages[0].name}, question {question!r}", err)
        assert isinstance(answer, Answer)
        return answer, None


@dataclass(frozen=True, slots=True)
class Start:
    """Loads the reader and makes the work; picklable, so that it can be sent to other machines."""

    asking: Asking

    def __call__(self) -> FolderWork:
        """Make the work; raises WeightsError or ConfigError where the model cannot be loaded."""
        if self.asking.threads is not None:
            import torch  # noqa: PLC0415 - the number of threads is the process's own affair

            torch.set_num_threads(self.asking.threads)
        asking = self.asking
        return FolderWork(asking, _reader(asking))


def _reader(asking: Asking) -> Reader:
    return load(asking.model, dtype=asking.dtype, device=asking.device, cache=asking.cache)


def lost(task: Task, reason: str) -> Iterator[Step]:
    """Lines that say that no process survived a file."""
    for question in task.questions:
        if (None, question) not in task.done:
            failed = line(task.source, None, 0, question, error=f"{task.source}: {reason}")
            yield Step(source=task.source, line=failed)
    yield Step(source=task.source, line=None)


def _loaded(page: int | None, pages: int, talk: Conversation, began: float) -> _Loaded:
    return _Loaded(page=page, pages=pages, talk=talk, load_s=perf_counter() - began)


def _failed(page: int | None, pages: int, error: str, began: float) -> _Loaded:
    load_s = perf_counter() - began
    return _Loaded(page=page, pages=pages, talk=None, load_s=load_s, error=error)


def _unforeseen(where: str, err: BaseException) -> str:
    """A sentence for an error that no part of tilewise gave on purpose."""
    _log.debug("%s", where, exc_info=err)
    if isinstance(err, MemoryError):
        return f"{where}: there is not enough memory; allow fewer tiles (--max-tiles)."
    return f"{where}: cannot be read ({type(err).__name__}: {err}); please report this file."


def _opened(task: Task, asking: Asking) -> Source:
    return open_source(
        task.path,
        password=asking.password,
        name=task.source,
        web=asking.web,
        straighten=asking.straighten,
        video=asking.video,
    )


def _without_pixels(page: Page) -> Page:
    """The same page, all of its pixels in one place: once cut, a page needs its tiles alone."""
    return replace(page, pixels=np.broadcast_to(np.uint8(255), page.pixels.shape))
