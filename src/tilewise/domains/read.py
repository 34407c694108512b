"""Raw files of published data sets: JSON and CSV, with one clear error each."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tilewise.domains.record import no_file
from tilewise.errors import DataError


def read_json(path: Path) -> Any:
    """The value of a JSON file; raises DataError."""
    try:
        return json.loads(path.read_bytes())
    except OSError as err:
        raise DataError(f"{path}: cannot be read ({err.strerror}); check the path.") from err
    except (ValueError, RecursionError) as err:
        raise no_file(path, f"is no JSON ({err})") from err


def read_list(path: Path) -> list[Any]:
    """A JSON list, or JSON Lines; raises DataError. A line that is no JSON stays as its text."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as err:
        raise DataError(f"{path}: cannot be read ({err}); check the path.") from err
    if text.lstrip().startswith("["):
        return list(read_json(path))
    return [_line(line) for line in text.splitlines() if line.strip()]


def read_rows(path: Path) -> Iterator[tuple[int, Mapping[str, str]]]:
    """Rows of a CSV file by the names of their columns, with the line where each ends.

    Raises:
        DataError: it cannot be read, or has no header.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            if not reader.fieldnames:
                raise no_file(path, "is empty")
            for row in reader:
                kept = {key.strip(): value for key, value in row.items() if isinstance(key, str)}
                yield reader.line_num, {key: value or "" for key, value in kept.items()}
    except (OSError, ValueError, csv.Error) as err:
        raise DataError(f"{path}: cannot be read as CSV ({err}); check the path.") from err


def _line(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
