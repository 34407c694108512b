"""What stands in a line of answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tilewise.engine.session import Conversation
from tilewise.folder.answers import Line
from tilewise.records import Answer
from tilewise.superres.prepare import as_json


def line(
    source: str,
    page: int | None,
    pages: int,
    question: str,
    *,
    talk: Conversation | None = None,
    answer: Answer | None = None,
    load_s: float | None = None,
    error: str | None = None,
) -> Line:
    """One question about one file, or one page of it, answered or failed.

    Every line has the same keys. ``settings`` and ``stamp`` are put in by ``run``.

    Args:
        source: the file as it was found.
        page: number from 1 if each page is asked on its own, else None.
        pages: how many pages of the file are asked, 0 where it could not be opened.
        question: as it was asked.
        talk, answer: what was said about what; boxes are in pixels of their page, which may have
            been turned to put it straight.
        load_s: seconds that the file's pages took to be rendered and cut.
        error: what went wrong, if there is no answer.
    """
    seconds = None
    if answer is not None:
        times = {"load": load_s, "first": answer.first_s, "total": answer.total_s}
        seconds = {name: None if s is None else round(s, 3) for name, s in times.items()}
    return {
        "source": source,
        "page": page,
        "pages": pages,
        "question": question,
        "answer": answer and answer.text,
        "found": answer and answer.is_found,
        "confidence": answer and answer.confidence,
        "complete": answer and answer.is_complete,
        "evidence": _evidence(talk, answer) if talk and answer else None,
        "upscale": _upscale(talk),
        "tiles": talk and sum(tiles.fit.grid.tiles for tiles in talk.tiles),
        "tokens": answer and {"prompt": answer.prompt_tokens, "answer": answer.new_tokens},
        "seconds": seconds,
        "error": error,
    }


def _upscale(talk: Conversation | None) -> list[dict[str, Any]] | None:
    """What was done to each page before it was read; None where that was off."""
    if talk is None or talk.decisions is None:
        return None
    return [as_json(decision) for decision in talk.decisions]


def _evidence(talk: Conversation, answer: Answer) -> list[dict[str, Any]]:
    return [
        {
            "page": talk.pages[item.page - 1].number,
            "box": [round(edge, 1) for edge in item.box],
            "text": item.text,
            "turned_deg": talk.pages[item.page - 1].turned_deg,
        }
        for item in answer.evidence
    ]


def stamp(source: str) -> str | None:
    """Size and time of a file, by which a later run knows it again; None if it is no file."""
    try:
        status = Path(source).stat()
    except (OSError, ValueError):
        return None
    return f"{status.st_size}:{status.st_mtime_ns}"
