"""Models by their id on the Hugging Face hub, ``org/name`` or ``org/name@revision``.

What is on this machine already is used without asking the network. Files that no reader needs,
code above all, are never fetched. Needs the extra ``hub``.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tilewise.errors import MissingExtraError, TilewiseError, WeightsError
from tilewise.weights.files import CONFIG, LAYOUTS, shard_names, weight_files
from tilewise.weights.resume import put_blob

if TYPE_CHECKING:
    from types import ModuleType

Report = Callable[[str, int, int], None]
"""Called with (stage, done, total) while files arrive; done and total are MiB."""

_SMALL: Final = re.compile(
    r"[A-Za-z0-9][\w-]*\.(json|model)|(vocab|merges)\.txt|LICENSE(\.txt|\.md)?"
)
_MAIN: Final = "main"
_MIB: Final = 1 << 20


def fetch(hub_id: str, progress: Report | None = None) -> Path:
    """Folder of a model by its hub id, downloaded where it is not on this machine.

    A download that is stopped, or whose line breaks, is taken up where it was. The folder lies
    in the hub's own cache, which ``HF_HOME`` moves and ``HF_HUB_OFFLINE=1`` keeps to what is there.

    Args:
        hub_id: ``org/name``, with ``@revision`` for another than the newest.
        progress: told of the MiB that have arrived; None lets huggingface_hub draw its bars.

    Raises:
        MissingExtraError: huggingface_hub is not installed.
        WeightsError: no such model, no leave to read it, no weights in it, or no network.
    """
    hub = _hub(hub_id)
    name, _, revision = hub_id.partition("@")
    kept = hub.try_to_load_from_cache(name, CONFIG, revision=revision or _MAIN)
    if isinstance(kept, str) and _is_whole(Path(kept).parent):
        return Path(kept).parent
    try:
        return _download(hub, name, revision or _MAIN, progress)
    except TilewiseError:
        raise
    except (OSError, hub.errors.HTTPError, hub.errors.EntryNotFoundError, ValueError) as err:
        raise WeightsError(_reason(hub, hub_id, err, is_part=isinstance(kept, str))) from err


@dataclass(frozen=True, slots=True, kw_only=True)
class Cached:
    """A model in the hub's own cache: its id, its folder, its bytes, and whether all is there."""

    hub_id: str
    folder: Path
    size_bytes: int
    is_whole: bool


def cached() -> list[Cached]:
    """The models in the hub's own cache, by id; none without huggingface_hub. Asks no network.

    A revision that is no branch's newest has its name or commit behind an ``@``.
    """
    try:
        import huggingface_hub as hub  # noqa: PLC0415 - an extra, imported where used
    except ImportError:
        return []
    try:
        repos = hub.scan_cache_dir(hub.constants.HF_HUB_CACHE).repos
    except hub.errors.CacheNotFound:
        return []
    found = []
    for repo in repos:
        for revision in repo.revisions if repo.repo_type == "model" else ():
            if not (revision.snapshot_path / CONFIG).is_file():
                continue
            name = _MAIN if _MAIN in revision.refs else min(revision.refs, default=None)
            at = "" if name == _MAIN else f"@{name or revision.commit_hash}"
            found.append(
                Cached(
                    hub_id=repo.repo_id + at,
                    folder=revision.snapshot_path,
                    size_bytes=revision.size_on_disk,
                    is_whole=_is_whole(revision.snapshot_path),
                )
            )
    return sorted(found, key=lambda one: one.hub_id)


def wanted_files(names: Iterable[str]) -> tuple[list[str], tuple[str, str]]:
    """Which of a model's files to fetch.

    Args:
        names: paths of its files.

    Returns:
        Config, tokenizer files and the index of shards, and the names (single file, index) of
        the layout that its weights have: safetensors if there are any, else pickles.

    Raises:
        WeightsError: there are no weights of a known layout.
    """
    there = set(names)
    layout = next((pair for pair in LAYOUTS if there & set(pair)), None)
    if layout is None:
        looked = ", ".join(name for pair in LAYOUTS for name in pair)
        raise WeightsError(f"it holds none of {looked}; give a model with such weights.")
    indices = {index for _, index in LAYOUTS}
    small = [name for name in there if _SMALL.fullmatch(name)]
    index = [layout[1]] if layout[0] not in there else []
    return sorted(set(small) - indices) + index, layout


def _hub(hub_id: str) -> ModuleType:
    try:
        import huggingface_hub.errors  # noqa: PLC0415 - an extra, imported where used
    except ImportError as err:
        raise MissingExtraError(
            f"{hub_id!r} is no model or folder on this machine; to get it from the Hugging Face "
            "hub, install the extra: pip install 'tilewise[hub]'."
        ) from err
    module: ModuleType = huggingface_hub
    return module


def _is_whole(folder: Path) -> bool:
    """Whether all weights are there; they come last, so all else is there then too."""
    try:
        weight_files(folder)
    except WeightsError:
        return False
    return True


def _download(hub: Any, name: str, revision: str, progress: Report | None) -> Path:
    info = hub.HfApi().model_info(name, revision=revision, files_metadata=True)
    sizes = {file.rfilename: file.size or 0 for file in info.siblings or ()}
    try:
        small, (single, index) = wanted_files(sizes)
    except WeightsError as err:
        raise WeightsError(f"{name} on the hub: {err}") from err
    if CONFIG not in small:
        raise WeightsError(f"{name} on the hub has no {CONFIG}; give a model that has one.")
    get = _Getter(hub, name, revision, progress)
    folder = get.all(small, sum(sizes[file] for file in small))
    weights = shard_names(folder / index) if index in small else [single]
    if get.all(weights, sum(sizes.get(file, 0) for file in weights), is_resumed=True) != folder:
        raise WeightsError(f"{name} was changed on the hub meanwhile; run the command again.")
    return folder


class _Getter:
    """Gets files one after another and adds up what has arrived."""

    def __init__(self, hub: Any, name: str, revision: str, progress: Report | None) -> None:
        self._hub, self._name, self._revision, self._progress = hub, name, revision, progress

    def all(self, files: Sequence[str], total: int, *, is_resumed: bool = False) -> Path:
        """Get files of ``total`` bytes; the folder in which they lie.

        With ``is_resumed`` the part of a file that an earlier run left is used.
        """
        folder, done = Path(), 0
        for file in files:
            bar = _bar(self._progress, done, total)
            if is_resumed:
                put_blob(self._hub, self._name, file, self._revision, bar)
            path = Path(
                self._hub.hf_hub_download(self._name, file, revision=self._revision, tqdm_class=bar)
            )
            folder = path.parent
            done += path.stat().st_size
            if self._progress is not None:
                self._progress("MiB fetched", done // _MIB, total // _MIB)
        return folder


def _bar(progress: Report | None, before: int, total: int) -> type | None:
    """A class with the few methods of a progress bar that a download calls; it draws nothing."""
    if progress is None:
        return None
    tell = progress

    class Bar:
        update_transfer: Callable[..., None]

        def __init__(self, *_: Any, initial: float = 0, **named: Any) -> None:
            self.n = initial
            self.total = named.get("total")

        def __enter__(self) -> Bar:
            return self

        def __exit__(self, *_: object) -> None:
            pass

        def update(self, count: float | None = 1) -> None:
            """Take note of bytes written."""
            self.n += count or 0
            tell("MiB fetched", (before + int(self.n)) // _MIB, total // _MIB)

        def __getattr__(self, name: str) -> Callable[..., None]:
            if name.startswith("__"):
                raise AttributeError(name)
            return _nothing

    Bar.update_transfer = staticmethod(_nothing)  # bytes on the wire; those written count
    return Bar


def _nothing(*_: object, **__: object) -> None:
    pass


def _reason(hub: Any, hub_id: str, err: Exception, *, is_part: bool) -> str:
    """One sentence about a download that failed."""
    errors = hub.errors
    if isinstance(err, errors.GatedRepoError):
        return (
            f"{hub_id} needs leave from its owners; ask for it on its page of the hub, then log in "
            "with: hf auth login."
        )
    if isinstance(err, errors.RepositoryNotFoundError):
        return (
            f"{hub_id!r} is no folder here and no model on the hub that this account may see; "
            "check the name, or log in with: hf auth login."
        )
    if isinstance(err, errors.RevisionNotFoundError):
        return f"{hub_id} has no such revision; leave out @… for the newest."
    if isinstance(err, OSError) and err.errno == errno.ENOSPC:
        return f"{hub_id}: the disk is full; free some space or move the cache with HF_HOME."
    what = "only in part on this machine" if is_part else "not on this machine"
    cause = str(err).strip().partition("\n")[0] or type(err).__name__
    return (
        f"{hub_id} is {what} and the hub cannot be reached ({cause[:200]}); connect and run the "
        "command again, or give a folder."
    )
