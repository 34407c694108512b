"""Documents in Parquet files: the released columns as they are, and ours behind them."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from tilewise.errors import DataError, MissingExtraError
from tilewise.records import Document
from tilewise.shards.documents import Row
from tilewise.shards.index import Group
from tilewise.shards.new_file import NewFile
from tilewise.shards.released import to_released

COLUMNS: Final = ("doc_id", "images", "texts", "valid_image")
"""What is enough to learn from a document."""

META: Final = b"tilewise"
"""Name of what a run says of itself in a file's footer."""

_BATCH_BYTES: Final = 4 << 20
_BATCH_ROWS: Final = 1024


class ParquetWriter:
    """Writes documents as row groups, each as full as its limit allows.

    Args:
        file: gets the bytes.
        group_bytes: most that the columns of a row group take in memory; a document that is larger
            is a group of its own.
        filters_version: names the rules that the documents passed.
        metadata: put into the footer.
    """

    ending = "parquet"

    def __init__(
        self,
        file: NewFile,
        *,
        group_bytes: int,
        filters_version: str = "",
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        pa = _arrow("documents as Parquet files")
        self._file, self._limit, self._version = file, group_bytes, filters_version
        self._schema = schema().with_metadata({META: json.dumps(metadata or {}, sort_keys=True)})
        self._writer = pa.parquet.ParquetWriter(
            file, self._schema, compression="zstd", write_page_checksum=True
        )
        self._rows: list[Row] = []
        self._rough = 0  # characters of the rows
        self._batches: list[Any] = []
        self._size = 0  # bytes of the batches
        self.groups: list[Group] = []

    @property
    def size(self) -> int:
        """Bytes in the file, and those that wait, as they take memory."""
        return self._file.size + self._size + self._rough

    def add(self, document: Document) -> None:
        """Write a document, at once or later; raises DataError."""
        row = to_released(document, self._version)
        size = sum(len(text) for text in row["texts"] if text)
        if self._rough + size > min(_BATCH_BYTES, self._limit) or len(self._rows) == _BATCH_ROWS:
            self._convert()
        self._rows.append(row)
        self._rough += size

    def close(self) -> None:
        """Write what is left, and the footer."""
        self._convert()
        self._flush()
        self._writer.close()

    def abandon(self) -> None:
        """Close the library's writer, which would write when it is collected."""
        if self._writer.is_open:
            with suppress(OSError, _arrow("Parquet files").ArrowException):
                self._writer.close()

    def _convert(self) -> None:
        """Turn the waiting rows into a batch, behind a group that it would not fit in."""
        if not self._rows:
            return
        for batch in self._within_limit(_batch(self._rows, self._schema)):
            if self._batches and self._size + batch.nbytes > self._limit:
                self._flush()
            self._batches.append(batch)
            self._size += batch.nbytes
        self._rows, self._rough = [], 0

    def _within_limit(self, batch: Any) -> list[Any]:
        """A batch in parts of which none is larger than a group, but for single documents."""
        if batch.nbytes <= self._limit or batch.num_rows == 1:
            return [batch]
        half = batch.num_rows // 2
        return [
            *self._within_limit(batch.slice(0, half)),
            *self._within_limit(batch.slice(half)),
        ]

    def _flush(self) -> None:
        if not self._batches:
            return
        pa = _arrow("Parquet files")
        table = pa.Table.from_batches(self._batches, self._schema)
        self.groups.append(Group(rows=table.num_rows, offset=self._file.size))
        self._writer.write_table(table, row_group_size=table.num_rows)
        self._batches, self._size = [], 0


def schema() -> Any:
    """The schema of a file: the released columns first, in their order."""
    pa = _arrow("Parquet files")
    text, number, whole = pa.string(), pa.float64(), pa.int64()
    general = [("domain", pa.list_(text)), ("fluency_prob", number), ("id", text)]
    general += [("non_advertisement_prob", number), ("politics_prob", number)]
    general += [("porn_prob", number), ("toxic_prob", number), ("url", text)]
    image = [("aesthetic_prob", number), ("bytes", whole), ("d_hash", text)]
    image += [("d_hash_dup_count", whole), ("height", whole), ("img_url_sha", text)]
    image += [("p_hash", text), ("p_hash_dup_count", whole), ("unsafe_prob", number)]
    image += [("width", whole)]
    score = pa.struct([("name", text), ("value", number)])  # a map is not read by all libraries
    return pa.schema(
        [
            ("general_metadata", pa.struct(general)),
            ("images", pa.list_(text)),
            ("texts", pa.list_(text)),
            ("metadata", pa.list_(pa.struct(image))),
            ("valid_image", pa.list_(pa.bool_())),
            ("doc_id", text),
            ("warc_file", text),
            ("warc_offset", whole),
            ("capture_date", text),
            ("lang", text),
            ("lang_score", number),
            ("license", text),
            ("license_source", text),
            ("title", text),
            ("block_kind", pa.list_(text)),
            ("block_level", pa.list_(pa.int32())),
            ("image_alt", pa.list_(text)),
            ("image_caption", pa.list_(text)),
            ("image_dropped", pa.list_(text)),
            ("stage_scores", pa.list_(score)),
            ("filters_version", text),
        ]
    )


class ParquetGroups:
    """A file of documents, read by row groups; it may be one of the released files.

    Args:
        path: the file.
        columns: those to read, None for all.

    Raises:
        DataError: it is no whole Parquet file, or has no documents.
        MissingExtraError: PyArrow is not installed.
    """

    def __init__(self, path: Path, columns: Sequence[str] | None = None) -> None:
        pa = _arrow(str(path))
        try:
            self._file = pa.parquet.ParquetFile(path, page_checksum_verification=True)
        except (pa.ArrowException, OSError) as err:
            raise DataError(
                f"{path} is no whole Parquet file ({_short(err)}); get it again."
            ) from err
        self._path = path
        names = self._file.schema_arrow.names
        if not {"images", "texts"} <= set(names):
            raise DataError(
                f"{path} has the columns {', '.join(names)[:200]}; texts and images of documents "
                "are needed."
            )
        self._columns = None if columns is None else [name for name in columns if name in names]

    @property
    def groups(self) -> tuple[Group, ...]:
        """Its row groups."""
        meta = self._file.metadata
        parts = [meta.row_group(number) for number in range(meta.num_row_groups)]
        return tuple(Group(rows=part.num_rows, offset=_offset(part)) for part in parts)

    def read(self, group: int) -> ColumnRows:
        """The rows of a group; raises DataError where it is damaged."""
        pa = _arrow(str(self._path))
        try:
            return ColumnRows(self._file.read_row_group(group, columns=self._columns))
        except (pa.ArrowException, OSError) as err:
            raise DataError(
                f"{self._path}: row group {group + 1} is damaged ({_short(err)}); get it again."
            ) from err


def is_released(path: Path) -> bool:
    """Whether a Parquet file has the released columns; raises as ``ParquetGroups`` does."""
    pa = _arrow(str(path))
    try:
        names = pa.parquet.read_schema(path).names
    except (pa.ArrowException, OSError) as err:
        raise DataError(f"{path} is no whole Parquet file ({_short(err)}).") from err
    return {"general_metadata", "images", "texts"} <= set(names)


class ColumnRows:
    """Rows of a group that is kept as columns."""

    def __init__(self, table: Any) -> None:
        self._table = table

    def __len__(self) -> int:
        return int(self._table.num_rows)

    def __getitem__(self, index: int) -> Row:
        """Row ``index``; values that are null are left out."""
        return _said(self._table.slice(index, 1))[0]

    def take(self, indices: Sequence[int]) -> list[Row]:
        """Several rows, in the order asked for."""
        return _said(self._table.take(indices))


def _said(table: Any) -> list[Row]:
    return [
        {name: value for name, value in row.items() if value is not None}
        for row in table.to_pylist()
    ]


def _batch(rows: Sequence[Row], kind: Any) -> Any:
    pa = _arrow("Parquet files")
    try:
        return pa.RecordBatch.from_pylist(rows, kind)
    except UnicodeEncodeError:  # half of a surrogate pair, which no such file can hold
        return pa.RecordBatch.from_pylist([_sayable(row) for row in rows], kind)
    except (pa.ArrowException, OverflowError) as err:
        names = f"{rows[0]['doc_id']} to {rows[-1]['doc_id']}"
        raise DataError(
            f"one of the documents {names} does not fit the columns ({_short(err)}); see what the "
            "steps before it made."
        ) from err


def _sayable(value: Any) -> Any:
    """A value with the sign for an unknown character in place of what is half of one."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, dict):
        return {name: _sayable(item) for name, item in value.items()}
    return [_sayable(item) for item in value] if isinstance(value, list) else value


def _offset(part: Any) -> int:
    """First byte of a row group."""
    column = part.column(0)
    starts = (column.dictionary_page_offset, column.data_page_offset)
    return min(int(start) for start in starts if start is not None)


def _arrow(what: str) -> Any:
    if importlib.util.find_spec("pyarrow") is None:
        raise MissingExtraError(
            f"{what}: the package pyarrow is needed; install it with: "
            "pip install 'tilewise[parquet]'."
        )
    import pyarrow.parquet  # noqa: PLC0415 - an extra

    return pyarrow


def _short(err: Exception) -> str:
    return " ".join(str(err).split()).rstrip(".")[:200]
