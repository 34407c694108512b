"""TensorBoard's files: the checksum, and what a reader of protocol buffers finds in them."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tilewise.train.events import EventFile, crc32c


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        value |= (data[at] & 127) << shift
        shift += 7
        at += 1
        if not data[at - 1] & 128:
            return value, at


def _fields(data: bytes) -> Iterator[tuple[int, object]]:
    """Numbers of fields and their values, by the wire format of protocol buffers."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        kind, size = key & 7, 0
        if kind == 0:
            value: object
            value, at = _varint(data, at)
        elif kind == 2:
            size, at = _varint(data, at)
            value, at = data[at : at + size], at + size
        else:
            form, size = {1: ("<d", 8), 5: ("<f", 4)}[kind]
            value, at = struct.unpack(form, data[at : at + size])[0], at + size
        yield key >> 3, value


def _records(path: Path) -> list[bytes]:
    data, at, found = path.read_bytes(), 0, []
    while at < len(data):
        (size,) = struct.unpack("<Q", data[at : at + 8])
        found.append(data[at + 12 : at + 12 + size])
        at += 16 + size
    return found


@pytest.mark.parametrize(
    ("data", "value"),
    [(b"123456789", 0xE3069283), (bytes(32), 0x8A9136AA), (b"\xff" * 32, 0x62A8AB43)],
)
def test_the_checksum_is_that_of_the_standard(data: bytes, value: int) -> None:
    assert crc32c(data) == value


def test_numbers_are_written_as_events(tmp_path: Path) -> None:
    file = EventFile(tmp_path, 1000.5)
    file.add(300, {"train/loss": 0.25, "speed/tokens_per_s": 8.0}, 1001.5)
    file.close()
    (path,) = tmp_path.iterdir()
    assert path.name.startswith("events.out.tfevents.")
    first, second = (dict(_fields(record)) for record in _records(path))
    assert first == {1: 1000.5, 2: 0, 3: b"brain.Event:2"}
    assert (second[1], second[2]) == (1001.5, 300)
    assert isinstance(second[5], bytes)
    values = [dict(_fields(value)) for _, value in _fields(second[5]) if isinstance(value, bytes)]
    assert values == [{1: b"train/loss", 2: 0.25}, {1: b"speed/tokens_per_s", 2: 8.0}]


def test_pictures_are_written_as_png_files(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (5, 7, 3), np.uint8)
    file = EventFile(tmp_path, 1000.5)
    file.add_pictures(20, {"held": pixels}, 1001.5)
    file.close()
    (path,) = tmp_path.iterdir()
    summary = dict(_fields(_records(path)[1]))[5]
    assert isinstance(summary, bytes)
    value = dict(_fields(dict(_fields(summary))[1]))  # type: ignore[arg-type]
    assert value[1] == b"held"
    image = dict(_fields(value[4]))  # type: ignore[arg-type]
    assert (image[1], image[2], image[3]) == (5, 7, 3)
    with Image.open(io.BytesIO(image[4])) as picture:  # type: ignore[arg-type]
        assert np.array_equal(np.array(picture), pixels)


def test_a_resumed_run_hides_what_came_behind_its_checkpoint(tmp_path: Path) -> None:
    EventFile(tmp_path, 1000.0, from_step=8).close()
    (path,) = tmp_path.iterdir()
    assert dict(_fields(_records(path)[1])) == {1: 1000.0, 2: 8, 7: b"\x08\x01"}
