"""A run over files: what is missing is asked, every answer is written as it comes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tilewise.folder.answers import Answers, AnswersFile, Line, check_settings
from tilewise.folder.lines import stamp
from tilewise.folder.work import Asking, Start, Task, lost
from tilewise.models.folders import find, hashes_file
from tilewise.runners import local
from tilewise.runners.work import Runner
from tilewise.sources.addresses import is_address
from tilewise.weights.fingerprint import fingerprint

Told = Callable[[int, int], None]
"""Called with (files done, files to ask) in this run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """How a run ended: files in all, those that needed no asking, those with an error in a line."""

    files: int
    answered_before: int
    failed: tuple[str, ...]


def ask_files(
    names: Sequence[str],
    questions: Sequence[str],
    asking: Asking,
    answers: Answers,
    *,
    retry_errors: bool = False,
    runner: Runner = local.run,
    told: Told | None = None,
) -> Summary:
    """Ask about files what ``answers`` does not hold yet, and put it there in their order.

    A file that has changed since it was asked (by its size or time) is asked again. Lines about
    other files and other questions stay.

    Args:
        names: files or addresses, each once.
        questions: asked about each file, or with ``asking.per_page`` about each page.
        asking: how to ask.
        answers: where lines go, with those of earlier runs.
        retry_errors: ask again what gave an error before.
        runner: where the work is done.
        told: how far the run is.

    Returns:
        How it ended; errors of single files are lines, and are counted here.

    Raises:
        ConfigError: earlier lines were made with other settings, or lines cannot be written.
        WeightsError: the model cannot be loaded.
    """
    questions = tuple(dict.fromkeys(questions))
    settings = _settings(asking)
    stamps = {name: stamp(name) for name in names}
    if isinstance(answers, AnswersFile):
        check_settings(answers.path, answers.kept, settings)
        answers.drop(_outdated(stamps, questions, retry_errors))
    tasks = _tasks(names, questions, answers.kept)
    ended = 0
    if told is not None:
        told(ended, len(tasks))
    for step in runner(Start(asking), tasks, lost):
        if step.line is not None:
            stamped = {"settings": settings, "stamp": stamps[step.source]}
            answers.append(step.line | stamped)
        else:
            ended += 1
            if told is not None:
                told(ended, len(tasks))
    answers.arrange(_places(names, questions))
    own = [line for line in answers.kept if line["source"] in stamps]
    failed = dict.fromkeys(line["source"] for line in own if line["error"] is not None)
    return Summary(files=len(names), answered_before=len(names) - len(tasks), failed=tuple(failed))


def _settings(asking: Asking) -> dict[str, Any]:
    """What a line says of how it was made; of the weights, enough of their hash to tell them."""
    said = asking.said()
    weights = fingerprint(find(asking.model), hashes_file())
    return {"model": said.pop("model"), "weights": weights[:12], **said}


def _outdated(
    stamps: Mapping[str, str | None], questions: Sequence[str], retry_errors: bool
) -> Callable[[Line], bool]:
    """Whether a line is to be asked again."""
    asked = set(questions)

    def is_outdated(line: Line) -> bool:
        if line["source"] not in stamps:
            return False
        now = stamps[line["source"]]
        if now is not None and line["stamp"] != now:  # a file that is gone keeps its answers
            return True
        return retry_errors and line["error"] is not None and line["question"] in asked

    return is_outdated


def _tasks(names: Sequence[str], questions: tuple[str, ...], kept: Sequence[Line]) -> list[Task]:
    """The files of which something is missing."""
    done: dict[str, set[tuple[int | None, str]]] = {name: set() for name in names}
    pages: dict[str, int] = {}
    for line in kept:
        name = line["source"]
        if name in done:
            done[name].add((line["page"], line["question"]))
            pages[name] = max(pages.get(name, 0), line["pages"])
    tasks = [
        Task(source=name, path=_path(name), questions=questions, done=frozenset(done[name]))
        for name in names
    ]
    return [task for task in tasks if not _is_whole(task, pages.get(task.source, 0))]


def _path(name: str) -> str:
    """Where a file lies, for a process in another folder; an address stays as it is."""
    return name if is_address(name) else str(Path(name).absolute())


def _is_whole(task: Task, pages: int) -> bool:
    """Whether each question has a line about the file, or one about each of its pages."""
    return all(
        (None, question) in task.done
        or (pages > 0 and sum(asked == question for _, asked in task.done) >= pages)
        for question in task.questions
    )


def _places(names: Sequence[str], questions: Sequence[str]) -> Callable[[Line], tuple[int, ...]]:
    """The order of lines: files as they are found, pages, questions; what is not asked is first."""
    files = {name: place for place, name in enumerate(names)}
    asked = {question: place for place, question in enumerate(questions)}

    def place(line: Line) -> tuple[int, ...]:
        if line["source"] not in files:
            return (-1, 0, 0)
        return files[line["source"]], line["page"] or 0, asked.get(line["question"], -1)

    return place
