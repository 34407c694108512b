"""A model of pictures as an ONNX file: the mean of each colour."""

from __future__ import annotations

from pathlib import Path

from tests.corpus.tiny_onnx import _field, _number, _text

_FLOAT = 1


def write_averager(path: Path, layout: str = "nchw", count: int | str = "n", size: int = 8) -> Path:
    """Three numbers for each picture of ``size`` × ``size``; ``count`` pictures, or any number."""
    axes = (2, 3) if layout == "nchw" else (1, 2)
    node = _text(1, "pictures") + _text(2, "means") + _text(4, "ReduceMean")
    over = b"".join(_number(8, axis) for axis in axes)
    node += _field(5, _text(1, "axes") + over + _number(20, 7))
    node += _field(5, _text(1, "keepdims") + _number(3, 0) + _number(20, 2))
    shape = [3, size, size] if layout == "nchw" else [size, size, 3]
    graph = _field(1, node) + _text(2, "averager")
    graph += _field(11, _value("pictures", [count, *shape])) + _field(
        12, _value("means", [count, 3])
    )
    path.write_bytes(_number(1, 8) + _field(8, _number(2, 13)) + _field(7, graph))
    return path


def _value(name: str, sides: list[int | str]) -> bytes:
    made = [_text(2, side) if isinstance(side, str) else _number(1, side) for side in sides]
    shape = b"".join(_field(1, side) for side in made)
    return _text(1, name) + _field(2, _field(1, _number(1, _FLOAT) + _field(2, shape)))
