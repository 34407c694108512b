"""Asking a reader all questions of a file of records."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tilewise.engine.batch import answer_batch
from tilewise.engine.budget import share_tiles
from tilewise.engine.generate import Limits
from tilewise.errors import DataError
from tilewise.eval.tasks.task import Row, Task
from tilewise.models.reader import Progress, Reader
from tilewise.shards.conversation import Bad, Sample
from tilewise.shards.records import file_in, sample_of


def answered(
    reader: Reader,
    task: Task,
    file: Path,
    root: Path,
    *,
    most: int | None = None,
    progress: Progress | None = None,
) -> Iterator[Row]:
    """Ask the first question of each record, as it stands, with its images.

    Args:
        reader: the model.
        task: says how long answers may be and how finely images are looked at.
        file: JSON Lines of conversations, in InternVL's form.
        root: where paths of images start.
        most: records to ask, from the first; None for all.
        progress: told ("questions", done, total).

    Yields:
        Records with answers, in their order.

    Raises:
        DataError: a record is no conversation; the line is named.
        SourceError: an image cannot be read.
        PromptError: a question is too long for the reader.
    """
    records = read_records(file)[:most]
    limits = Limits(max_new_tokens=task.max_new_tokens)
    for number, record in enumerate(records, start=1):
        sample = sample_of(record, f"{file}:{number}", lambda said: file_in(root, said))
        if isinstance(sample, Bad):
            raise DataError(f"{sample.where} cannot be asked: {sample.reason}, {sample.detail}.")
        (answer,) = answer_batch(reader, [_prompt(reader, task, sample)], limits)
        yield Row(record, answer.text)
        if progress is not None:
            progress("questions", number, len(records))


def read_records(file: Path) -> list[dict[str, Any]]:
    """Objects of a file of JSON Lines; raises DataError with the line that is none."""
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as err:
        raise DataError(f"{file}: cannot be read ({err}); check the path.") from err
    records = []
    for number, line in enumerate(lines, start=1):
        try:
            record = json.loads(line)
        except ValueError as err:
            raise DataError(f"{file}:{number} is no JSON ({err}); correct it.") from err
        if not isinstance(record, dict):
            raise DataError(f"{file}:{number} is no object; correct it.")
        records.append(record)
    return records


def _prompt(reader: Reader, task: Task, sample: Sample) -> Any:
    limit = reader.default_tiles if task.max_tiles is None else task.max_tiles
    budget = share_tiles(limit, max(1, len(sample.images)))
    pairs = zip(sample.images, budget, strict=False)
    tiles = [reader.tiles(image.page(), most) for image, most in pairs]
    return reader.prompt(sample.turns[:1], tiles)
