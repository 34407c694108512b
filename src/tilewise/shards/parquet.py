"""Parquet files: rows with the fields that lines of JSON have, images as bytes or as paths."""

from __future__ import annotations

import importlib.util
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np

from tilewise.errors import DataError, MissingExtraError
from tilewise.shards.conversation import Bad, ImageRef, Sample
from tilewise.shards.records import file_in, sample_of

FIELDS: Final = (
    "id", "conversations", "messages", "texts", "text", "image", "images", "video", "clip",
    "length", "width", "height", "width_list", "height_list",
)  # fmt: skip
"""Columns that are read; others cost nothing."""


class Parquet:
    """A file. One group of rows is kept decoded, so reading in order is fastest.

    An image is bytes, a ``bytes``/``path`` pair as the Hugging Face datasets library writes it, or
    a path from ``root``.
    """

    def __init__(self, path: Path, root: Path | None = None) -> None:
        """Read the file's footer.

        Args:
            path: the file.
            root: where paths of images start; default, the file's folder.

        Raises:
            DataError: it cannot be read or has no column of turns or texts.
            MissingExtraError: PyArrow is not installed.
        """
        self.name = path.stem
        self.path = path
        self._find = partial(_image, path.parent if root is None else root, path)
        self._kept: tuple[int, Any] | None = None
        self._file: Any = None
        meta = self._opened().metadata
        sizes = [meta.row_group(group).num_rows for group in range(meta.num_row_groups)]
        self._ends = np.cumsum(sizes, dtype=np.int64)
        names = self._opened().schema_arrow.names
        self._columns = [name for name in FIELDS if name in names]
        if not {"conversations", "messages", "texts", "text"} & set(names):
            raise DataError(
                f"{path} has the columns {', '.join(names)[:200]}; conversations, messages, texts "
                "or text is needed. Rename the one that holds the turns."
            )

    def __len__(self) -> int:
        return int(self._ends[-1]) if len(self._ends) else 0

    def __getitem__(self, index: int) -> Sample | Bad:
        """Row ``index``, from 0; raises DataError where its group of rows is damaged."""
        if not 0 <= index < len(self):
            raise IndexError(index)
        group = int(np.searchsorted(self._ends, index, side="right"))
        first = int(self._ends[group - 1]) if group else 0
        if self._kept is None or self._kept[0] != group:
            self._kept = (group, self._read(group))
        row = self._kept[1].slice(index - first, 1).to_pylist()[0]
        record = {name: value for name, value in row.items() if value is not None}
        return sample_of(record, f"{self.path}: row {index + 1}", self._find)

    def _read(self, group: int) -> Any:
        import pyarrow  # noqa: PLC0415 - an extra

        try:
            return self._opened().read_row_group(group, columns=self._columns)
        except (pyarrow.ArrowException, OSError) as err:
            raise DataError(
                f"{self.path}: row group {group + 1} is damaged ({_short(err)}); get it again."
            ) from err

    def _opened(self) -> Any:
        """The file, opened once in each process."""
        if importlib.util.find_spec("pyarrow") is None:
            raise MissingExtraError(
                f"{self.path} is a Parquet file, which needs the package pyarrow; install it with: "
                "pip install 'tilewise[parquet]'."
            )
        import pyarrow.parquet  # noqa: PLC0415 - an extra

        if self._file is None:
            try:
                self._file = pyarrow.parquet.ParquetFile(self.path)
            except (pyarrow.ArrowException, OSError) as err:
                raise DataError(f"{self.path} is no whole Parquet file ({_short(err)}).") from err
        return self._file

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_file": None, "_kept": None}


def _image(root: Path, path: Path, said: object) -> ImageRef:
    """An image as rows have it; raises BadError."""
    if isinstance(said, bytes):
        return ImageRef(name=f"an image in {path}", data=said)
    if isinstance(said, dict) and isinstance(said.get("bytes"), bytes):
        return ImageRef(name=str(said.get("path") or f"an image in {path}"), data=said["bytes"])
    return file_in(root, said.get("path") if isinstance(said, dict) else said)


def _short(err: Exception) -> str:
    return " ".join(str(err).split()).rstrip(".")[:200]
