"""Output files are written whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from PIL import Image

from tilewise.cli.files import check_picture_path, numbered, save_picture, write_whole
from tilewise.errors import ConfigError


def test_a_file_is_replaced_and_no_part_is_left(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    write_whole(path, b"old")
    write_whole(path, b"new")
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_failed_write_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.bin"
    write_whole(path, b"old")

    def full(self: Path, data: bytes) -> int:
        with self.open("wb") as file:
            file.write(data[:1])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(ConfigError, match="No space left on device"):
        write_whole(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_keeps_pointing_to_its_file(tmp_path: Path) -> None:
    (tmp_path / "real.bin").write_bytes(b"old")
    (tmp_path / "link.bin").symlink_to("real.bin")
    write_whole(tmp_path / "link.bin", b"new")
    assert (tmp_path / "link.bin").is_symlink()
    assert (tmp_path / "real.bin").read_bytes() == b"new"


def test_a_device_stays_a_device() -> None:
    write_whole(Path(os.devnull), b"data")
    assert not Path(os.devnull).is_file()


@pytest.mark.parametrize("ending", ["png", "jpg", "webp", "PNG"])
def test_the_ending_chooses_the_format(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"a.{ending}"
    check_picture_path(path)
    save_picture(Image.new("RGB", (3, 2)), path)
    with Image.open(path) as picture:
        assert picture.size == (3, 2)


def test_several_pictures_are_numbered_from_one() -> None:
    assert numbered(Path("x/t.png"), 0, 1) == Path("x/t.png")
    assert [numbered(Path("x/t.png"), i, 2).name for i in range(2)] == ["t-1.png", "t-2.png"]
