"""Large files of the hub, put into its cache so that a download that was stopped is taken up.

huggingface_hub takes up a line that breaks, but of a run that is stopped it keeps whole files only,
and a shard of the released models has ten gigabytes. So shards are fetched by its functions into
a file of a fixed name beside the cache's own, which becomes the cache's when it is whole.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

from tilewise.errors import WeightsError
from tilewise.weights.files import sha256

PART: Final = ".tilewise-part"
"""Ending of a file that has not arrived as a whole."""

_SHA256: Final = re.compile(r"[0-9a-f]{64}")


def put_blob(hub: Any, name: str, file: str, revision: str, bar: type | None) -> None:
    """See that a file's content lies in the hub's cache, where ``hf_hub_download`` looks for it.

    Args:
        hub: the module huggingface_hub.
        name, file, revision: as ``hf_hub_download`` takes them.
        bar: a class like tqdm that is told of the bytes, None for the library's own.

    Raises:
        WeightsError: what arrived is not what the hub announced.
        OSError, ValueError, and errors of the hub: as ``hf_hub_download``.
    """
    from huggingface_hub import file_download  # noqa: PLC0415 - an extra, imported where used

    url = hub.hf_hub_url(name, file, revision=revision)
    told = hub.get_hf_file_metadata(url)
    if not told.etag or told.size is None:
        return  # nothing to know a part by; hf_hub_download will do
    cache = Path(hub.constants.HF_HUB_CACHE)
    folder = file_download.repo_folder_name(repo_id=name, repo_type="model")
    blob = cache / folder / "blobs" / told.etag
    lock = cache / ".locks" / folder / f"{told.etag}.lock"
    part = blob.with_name(blob.name + PART)
    for path in (blob, lock):
        path.parent.mkdir(parents=True, exist_ok=True)
    with hub.utils.WeakFileLock(lock):
        if blob.exists():
            return
        here = part.stat().st_size if part.exists() else 0
        if here > told.size:
            here = 0
        with part.open("r+b" if here else "wb", buffering=0) as target:
            target.seek(here)
            file_download.http_get(
                url,
                target,  # unbuffered, so that a run that is killed leaves all that had arrived
                resume_size=here,
                headers=hub.utils.build_hf_headers(),
                expected_size=told.size,
                displayed_filename=file,
                tqdm_class=bar,
            )
        if _SHA256.fullmatch(told.etag) and sha256(part) != told.etag:
            part.unlink()
            raise WeightsError(f"{file} of {name} was damaged on its way; run the command again.")
        part.replace(blob)
