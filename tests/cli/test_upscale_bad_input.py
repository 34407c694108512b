"""``tilewise upscale`` and bad input: one sentence, and no file."""

from __future__ import annotations

import os
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from zlib import crc32

import pytest
from safetensors.torch import load_file, save_file

from tests.cli.upscaling import fails, names, photo, run
from tilewise.superres.enlarge import enlarger
from tilewise.superres.upscale import Upscaling, upscale


@contextmanager
def _no_file_over(size: int) -> Iterator[None]:
    """A disk that takes no more: the system's own refusal of larger files."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def _animated(place: Path) -> Path:
    frames = [photo(seed=seed) for seed in (0, 1)]
    frames[0].save(place / "x.gif", save_all=True, append_images=frames[1:])
    return place / "x.gif"


def _large(place: Path) -> Path:
    """30,000 x 30,000 px declared."""
    data = bytearray((place / "a.png").read_bytes())
    data[16:24] = (30_000).to_bytes(4, "big") * 2
    data[29:33] = crc32(data[12:29]).to_bytes(4, "big")
    (place / "x.png").write_bytes(data)
    return place / "x.png"


def _truncated(place: Path) -> Path:
    data = (place / "a.png").read_bytes()
    (place / "x.png").write_bytes(data[: len(data) // 2])
    return place / "x.png"


def _folder(place: Path) -> str:
    (place / "o.png").mkdir()
    return "o.png"


def _pipe(place: Path) -> str:
    os.mkfifo(place / "o.png")
    return "o.png"


Case = tuple[Callable[[Path], Path], str | Callable[[Path], str], tuple[str | float, ...], str]

BAD: dict[str, Case] = {
    "truncated": (_truncated, "o.png", (), "damaged or cut short"),
    "animated": (_animated, "o.png", (), "has 2 frames"),
    "huge": (_large, "o.png", (), "declares 30000x30000 px"),
    "no picture": (lambda place: place.parent / "place" / ".." / "no.png", "o.png", (), "exist"),
    "same file": (
        lambda place: place / "a.png",
        "a.png",
        (),
        "is a picture that is to be enlarged",
    ),
    "no ending": (lambda place: place / "a.png", "out", (), "the ending is ''"),
    "other ending": (lambda place: place / "a.png", "o.gif", (), "the ending is '.gif'"),
    "long name": (
        lambda place: place / "a.png",
        f"{'x' * 300}.png",
        (),
        "cannot be written (File name too long)",
    ),
    "long suffix": (
        lambda place: place,
        "out",
        ("--suffix", "x" * 300),
        "cannot be written (its name is too long)",
    ),
    "standard output": (lambda place: place / "a.png", "-", (), "- is no file"),
    "an address": (
        lambda place: place / "a.png",
        "o.png",
        ("https://example.org/b.png",),
        "https://example.org/b.png is no file",
    ),
    "several to one file": (lambda place: place, "o.png", (), "several pictures need a folder"),
    "no such folder": (lambda place: place / "a.png", "no/o.png", (), "folder does not exist"),
    "a folder": (lambda place: place / "a.png", _folder, (), "is a folder"),
    "a pipe": (lambda place: place / "a.png", _pipe, (), "is a device"),
    "scale 0": (lambda place: place / "a.png", "o.png", ("--scale", 0), "the scale is 0;"),
    "scale 1e9": (lambda place: place / "a.png", "o.png", ("--scale", 1e9), "the scale is 1e"),
    "scale nan": (lambda place: place / "a.png", "o.png", ("--scale", "nan"), "the scale is nan"),
    "memory": (lambda place: place / "a.png", "o.png", ("--memory", "much"), "memory is 'much'"),
    "little memory": (
        lambda place: place / "a.png",
        "o.png",
        ("--memory", "9MB"),
        "and 9 MB are allowed",
    ),
    "tile": (lambda place: place / "a.png", "o.png", ("--tile", -1), "the tile is -1 px"),
    "quality": (lambda place: place / "a.png", "o.jpg", ("--quality", 0), "the quality is 0"),
    "no model": (lambda place: place / "a.png", "o.png", ("--model", "x9"), "x9"),
    "two ways": (
        lambda place: place / "a.png",
        "o.png",
        ("--model", "x2", "--method", "bicubic"),
        "leave one of them out",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_one_sentence_and_leaves_no_file(
    name: str, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, out, words, wanted = BAD[name]
    monkeypatch.chdir(place)
    picture = source(place)
    target = out if isinstance(out, str) else out(place)
    before = {path: path.read_bytes() for path in place.iterdir() if path.is_file()}
    said = fails(picture, "-o", target, *words)
    assert any(part in said for part in wanted.split("|")), said
    assert {path: path.read_bytes() for path in place.iterdir() if path.is_file()} == before


def test_results_of_one_name_are_refused_before_any_work(place: Path, tmp_path: Path) -> None:
    photo().save(place / "a.jpg")
    said = fails(place, "-o", tmp_path / "out", "--format", "png")
    assert "would both be written to" in said
    assert not (tmp_path / "out").exists()


def test_a_file_that_is_there_is_kept_unless_it_may_go(place: Path) -> None:
    (place / "o.png").write_text("mine")
    assert "there already" in fails(place / "a.png", "-o", place / "o.png")
    assert (place / "o.png").read_text() == "mine"
    assert run(place / "a.png", "-o", place / "o.png", "--overwrite").exit_code == 0


@pytest.mark.parametrize("ending", ["png", "tif", "jpg", "webp"])
def test_a_full_disk_is_one_sentence_and_leaves_no_file(ending: str, place: Path) -> None:
    photo(300, 300).save(place / "a.png")
    with _no_file_over(5000):
        said = fails(place / "a.png", "-o", place / f"o.{ending}")
    assert f"o.{ending}: cannot be written (File too large); make room" in said
    assert names(place) == ["a.png"]


def test_an_interrupt_leaves_nothing(place: Path) -> None:
    def interrupted(done: int, total: int) -> None:
        raise KeyboardInterrupt

    settings = Upscaling(factor=2, memory_bytes=1 << 32)
    target = place / "o.png"
    with pytest.raises(KeyboardInterrupt):
        upscale(
            place / "a.png", target, "PNG", enlarger("bicubic", 2), settings, progress=interrupted
        )
    assert names(place) == ["a.png"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_may_not_be_written_is_told(place: Path) -> None:
    (place / "shut").mkdir(mode=0o500)
    assert "cannot be written (Permission denied)" in fails(
        place / "a.png", "-o", place / "shut" / "o.png"
    )


def test_weights_that_are_no_numbers_are_refused(place: Path, model: Path) -> None:
    tensors = load_file(model / "model.safetensors")
    next(iter(tensors.values())).view(-1)[0] = float("nan")
    save_file(tensors, model / "model.safetensors")
    (model / "manifest.json").unlink()
    said = fails(place / "a.png", "-o", place / "o.png", "--model", model)
    assert "no finite numbers" in said
    assert names(place) == ["a.png"]


def test_a_network_that_overflows_names_the_tile_and_leaves_no_file(
    place: Path, model: Path
) -> None:
    tensors = load_file(model / "model.safetensors")
    for tensor in tensors.values():
        tensor.fill_(3e38)
    save_file(tensors, model / "model.safetensors")
    (model / "manifest.json").unlink()
    said = fails(place / "a.png", "-o", place / "o.png", "--model", model)
    assert "a.png: tile 1 of 1" in said
    assert "no numbers" in said
    assert names(place) == ["a.png"]
