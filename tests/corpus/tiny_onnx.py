"""A text classifier of four operations as an ONNX file, and a tokenizer for it."""

from __future__ import annotations

import json
from pathlib import Path

_FLOAT, _INT64 = 1, 7


def write_classifier(folder: Path) -> tuple[Path, Path]:
    """A model whose logits are (minus, plus) the mean id of a text; ids are 0 "bad", 2 "good"."""
    model, tokenizer = folder / "model.onnx", folder / "tokenizer.json"
    nodes = [
        _node("Cast", "input_ids", "ids", _text(1, "to") + _number(3, _FLOAT) + _number(20, 2)),
        _node("ReduceMean", "ids", "mean", _text(1, "axes") + _number(8, 1) + _number(20, 7)),
        _node("Neg", "mean", "minus"),
        _field(1, b"minus")
        + _field(1, b"mean")
        + _text(2, "logits")
        + _text(4, "Concat")
        + _field(5, _text(1, "axis") + _number(3, 1) + _number(20, 2)),
    ]
    graph = b"".join(_field(1, node) for node in nodes) + _text(2, "tiny")
    graph += _field(11, _value("input_ids", _INT64, "n")) + _field(12, _value("logits", _FLOAT, 2))
    model.write_bytes(_number(1, 8) + _field(8, _number(2, 13)) + _field(7, graph))
    vocabulary = {"bad": 0, "[UNK]": 1, "good": 2}
    words = {"type": "WordLevel", "vocab": vocabulary, "unk_token": "[UNK]"}
    tokenizer.write_text(
        json.dumps({"version": "1.0", "model": words, "pre_tokenizer": {"type": "Whitespace"}})
    )
    return model, tokenizer


def _node(kind: str, source: str, target: str, attribute: bytes = b"") -> bytes:
    made = _text(1, source) + _text(2, target) + _text(4, kind)
    return made + (_field(5, attribute) if attribute else b"")


def _value(name: str, kind: int, width: int | str) -> bytes:
    """A tensor (1, width), the width a number or a name."""
    last = _text(2, width) if isinstance(width, str) else _number(1, width)
    shape = _field(1, _number(1, 1)) + _field(1, last)
    return _text(1, name) + _field(2, _field(1, _number(1, kind) + _field(2, shape)))


def _text(number: int, text: str) -> bytes:
    return _field(number, text.encode())


def _field(number: int, data: bytes) -> bytes:
    """A length-delimited field of Protocol Buffers."""
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def _number(number: int, value: int) -> bytes:
    return _varint(number << 3) + _varint(value)


def _varint(value: int) -> bytes:
    made = bytearray()
    while value > 127:
        made.append(value & 127 | 128)
        value >>= 7
    return bytes([*made, value])
