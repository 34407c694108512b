"""Where counts over all shards lie, so that workers find them: a few words in a file."""

from __future__ import annotations

import json
from pathlib import Path

from tilewise.corpus.dedup.counts import Counts
from tilewise.corpus.dedup.steps import Step
from tilewise.corpus.stage_files import write_whole
from tilewise.errors import DataError


def save_counts(path: Path, counts: Counts) -> None:
    """Write down where counts lie, by a path from the file's folder; raises ConfigError."""
    step = counts.step
    work = str(step.work.relative_to(path.parent))
    said = {"work": work, "name": step.name, "key": step.key, "parts": counts.parts}
    write_whole(path, json.dumps(said, indent=1).encode())


def load_counts(path: Path) -> Counts:
    """The counts that ``save_counts`` wrote down.

    Raises:
        DataError: the file is missing or damaged.
    """
    try:
        said = json.loads(path.read_bytes())
        step = Step(path.parent / said["work"], said["name"], said["key"])
        return Counts(step, int(said["parts"]))
    except (OSError, ValueError, KeyError, TypeError) as err:
        raise DataError(
            f"{path} is missing or damaged; run tilewise corpus build again, which makes it anew."
        ) from err
