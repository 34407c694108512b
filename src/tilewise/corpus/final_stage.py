"""The stage ``final``: shards in the forms that others read, each with an index.

Shards of the stage before, which may hold few documents each, are put together in their order into
groups of about the size that a file is to have.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from tilewise.corpus.filters.languages import DETECTOR
from tilewise.corpus.filters.preliminary import said
from tilewise.corpus.images.find import STORE
from tilewise.corpus.images.index import KEYS, PARTS, ImageIndex
from tilewise.corpus.plan import Run
from tilewise.corpus.stage_files import Marker, StageFolder, key_of, read_rows, sha256_of, told_of
from tilewise.corpus.stats import TOKENS, Tally
from tilewise.corpus.steps import VERSION, Outcome, ShardOutput
from tilewise.corpus.version import version
from tilewise.errors import ConfigError, DataError
from tilewise.records import Document
from tilewise.settings import plain
from tilewise.shards.document_files import ShardsConfig, write_documents
from tilewise.shards.documents import from_row
from tilewise.shards.image_files import FOLDER, ImageFolder
from tilewise.shards.index import Form, Group, Shard, write_index

STAGE: Final = "final"
BEFORE: Final = "detailed_text"

SHRUNK: Final = 3
"""About how many bytes in a file of documents a gzipped byte of the stage before becomes."""

DOMAINS: Final = 1000
"""Domains that a group counts one by one, the most frequent."""


def groups(run: Run) -> list[range]:
    """The shards of the stage before that make up each group.

    Raises:
        ConfigError: the stage before is not done.
    """
    found: list[range] = []
    start = size = 0
    for shard in range(len(run.shards)):
        marker = _marker(run, shard)
        part = marker["files"][_folder(run).file("part", shard).name]["bytes"] * SHRUNK
        if shard > start and size + part > run.cfg.output.shard_bytes:
            found.append(range(start, shard))
            start, size = shard, 0
        size += part
    return [*found, range(start, len(run.shards))]


class WriteGroup:
    """Writes the files of one group.

    Args:
        run: the run.
    """

    def __init__(self, run: Run) -> None:
        self._run, self._groups = run, groups(run)
        store = run.root / STORE
        self._store = store
        self._stamp = key_of({name: sha256_of(store / name) for name in (KEYS, PARTS)})

    def __call__(self, number: int) -> list[Outcome]:
        """Do one group."""
        run, shards = self._run, self._groups[number]
        key = key_of(
            {
                "version": VERSION,
                "settings": plain(run.cfg),
                "images": self._stamp,
                "before": [_marker(run, shard)["files"] for shard in shards],
            }
        )
        folder = StageFolder(run.folder(STAGE))
        done = folder.believed(number, key)
        if done is not None and _is_whole(run, done):
            return [Outcome(stage=STAGE, shard=number, marker=done, was_done=True)]
        with closing(ImageIndex(self._store)) as images:
            return [self._written(number, key, images)]

    def _written(self, number: int, key: str, images: ImageIndex) -> Outcome:
        run = self._run
        with ShardOutput(run, STAGE, number, key) as out:
            for document in self._documents(number):
                out.keep(document, document)
                _describe(document, out.tally)
                if run.cfg.output.image_files:
                    _save(document, images, ImageFolder(run.root / FOLDER))
            for name, counts in out.tally.of.items():
                out.tally.of[name] = Counter(dict(_most(counts)))
            shards = {
                form: write_documents(
                    self._documents(number),
                    form_folder(run, form),
                    form=form,
                    stem=f"part-{number:05}",
                    cfg=_shards_config(run),
                    lookup=images.data,
                )
                for form in run.cfg.output.forms
            }
            out.extra["shards"] = {form: plain(made) for form, made in shards.items()}
            return Outcome(stage=STAGE, shard=number, marker=out.commit())

    def _documents(self, number: int) -> Iterator[Document]:
        for shard in self._groups[number]:
            path = _folder(self._run).file("part", shard)
            yield from (from_row(row, str(path)) for row in read_rows(path))


def form_folder(run: Run, form: Form) -> Path:
    """Where the files of a form go."""
    is_first = form == run.cfg.output.forms[0]
    return run.root / ("final" if is_first else f"final-{form}")


def write_indexes(run: Run, counts: Mapping[str, Any]) -> None:
    """Write the index of each form, with what the run says of itself.

    Args:
        run: all of its groups are written.
        counts: of all stages, for whoever reads the shards.
    """
    folder = StageFolder(run.folder(STAGE))
    markers = [folder.read_marker(number) or {} for number in range(len(groups(run)))]
    for form in run.cfg.output.forms:
        shards = [_shard(one) for marker in markers for one in marker["shards"][form]]
        _remove_others(form_folder(run, form), {shard.name for shard in shards})
        write_index(form_folder(run, form), shards, form, metadata(run) | {"counts": counts})


def metadata(run: Run) -> dict[str, Any]:
    """What every file says of how it was made; nothing of when or where."""
    return {
        "tilewise": version(),
        "settings_hash": run.settings,
        "settings": run.cfg.told(),
        "tokens": TOKENS,
        "words": said(run.cfg.prelim_text),
        "language_detector": DETECTOR,
    }


def _folder(run: Run) -> StageFolder:
    return StageFolder(run.folder(BEFORE))


def _marker(run: Run, shard: int) -> Marker:
    marker = _folder(run).read_marker(shard)
    if marker is None:
        raise ConfigError(
            f"stage {STAGE} needs stage {BEFORE}, which is not done for shard {shard}; run it "
            f"first, e.g. with --until {STAGE}."
        )
    return marker


def _shards_config(run: Run) -> ShardsConfig:
    cfg = run.cfg.output
    return ShardsConfig(
        group_bytes=cfg.group_bytes,
        shard_bytes=cfg.shard_bytes,
        filters_version=run.settings,
        metadata=metadata(run),
    )


def _is_whole(run: Run, marker: Marker) -> bool:
    """Whether the files in the forms that others read are as they were written."""
    try:
        return all(
            told_of(form_folder(run, form) / one["name"], 0)["sha256"] == one["sha256"]
            for form in run.cfg.output.forms
            for one in marker["shards"][form]
        )
    except (OSError, KeyError):
        return False


def _describe(document: Document, tally: Tally) -> None:
    tally.describe("language", document.lang or "unknown")
    tally.describe("licence", document.license)
    tally.describe("domain", urlsplit(document.url).hostname or "")


def _most(counts: Counter[str]) -> list[tuple[str, int]]:
    """The most frequent, ties by name."""
    return sorted(counts.items(), key=lambda one: (-one[1], one[0]))[:DOMAINS]


def _save(document: Document, images: ImageIndex, folder: ImageFolder) -> None:
    """Keep the bytes of a document's images as files, named by their URLs."""
    for image in document.images:
        if image.dropped is not None or folder.path(image.url).exists():
            continue
        data = images.data(image.url)
        if data is None:
            raise DataError(
                f"{image.url}: its bytes are not in {folder.root.parent / STORE}; run the stage "
                "image again."
            )
        folder.save(image.url, data)


def _shard(said: Mapping[str, Any]) -> Shard:
    groups = tuple(Group(*group) for group in said["groups"])
    return Shard(**{**said, "groups": groups})


def _remove_others(folder: Path, names: set[str]) -> None:
    """Remove files of groups that an earlier plan had."""
    for path in folder.glob("part-*-*.*"):
        if path.name not in names:
            path.unlink()
