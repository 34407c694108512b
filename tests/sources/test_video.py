"""Frames of a video are found, in order and upright, or one sentence says why not."""

from __future__ import annotations

import importlib.util
import os
import signal
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.sources.making import scene
from tests.sources.video_making import spelled, striped, video
from tilewise.errors import MissingExtraError, SourceError
from tilewise.records import Page
from tilewise.sources.decoder_program import _Video
from tilewise.sources.pages import open_source
from tilewise.sources.source import Source
from tilewise.sources.video import FFMPEG, is_video
from tilewise.sources.video_options import VideoOptions

FORMS = [
    ("mp4", "libx264"), ("mp4", "mpeg4"), ("mp4", "libx265"), ("mov", "mpeg4"),
    ("matroska", "libx264"), ("webm", "libvpx"), ("webm", "libvpx-vp9"), ("avi", "mpeg4"),
    ("avi", "mjpeg"),
]  # fmt: skip
IDENTITY = b"".join(n.to_bytes(4, "big") for n in (1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30))


def _pages(source: Source) -> list[Page]:
    return [source.page(number) for number in range(1, source.count + 1)]


def _numbers(data: bytes, **options: Any) -> list[int]:
    with open_source(data, name="a.mp4", video=VideoOptions(**options)) as source:
        return [spelled(page.pixels) for page in _pages(source)]


@pytest.mark.parametrize(("form", "codec"), FORMS)
def test_frames_of_every_form_are_those_asked_for(form: str, codec: str) -> None:
    with open_source(video(form, codec), video=VideoOptions(frames=7)) as source:
        assert is_video(source)
        assert source.size(1) == (96, 64, "px")
        pages = _pages(source)
        assert [spelled(page.pixels) for page in pages] == [2, 8, 13, 19, 24, 30, 35]
        assert all(page.is_frame for page in pages)
        assert [(page.number, page.total) for page in pages] == [(n, 7) for n in range(1, 8)]
        assert spelled(source.page(2).pixels) == 8  # back, over a key frame


def test_eight_frames_are_taken_without_options(tmp_path: Path) -> None:
    path = tmp_path / "named-otherwise.pdf"
    path.write_bytes(video())
    with open_source(path) as source:
        assert [spelled(page.pixels) for page in _pages(source)] == [
            2, 7, 12, 17, 22, 26, 31, 36,
        ]  # fmt: skip


def test_a_part_is_given_in_seconds() -> None:
    data = video(rate=10)  # four seconds
    assert _numbers(data, frames=2, start_s=2.0, end_s=3.0) == [22, 27]
    assert _numbers(data, frames=2, start_s=3.0) == [32, 36]
    assert _numbers(data, frames=2, end_s=60.0) == [9, 29]
    with pytest.raises(SourceError, match=r"a\.mp4 is 4\.0 s long and is to start at 9 s"):
        _numbers(data, frames=2, start_s=9.0)


def test_a_video_of_fewer_frames_gives_them_repeatedly() -> None:
    assert _numbers(video(frames=3), frames=6) == [0, 0, 1, 1, 1, 2]
    assert _numbers(video(frames=1), frames=2) == [0, 0]


def test_frames_at_uneven_times_are_counted_not_timed() -> None:
    times = [n * n for n in range(20)]
    assert _numbers(video("matroska", "mpeg4", 20, times=times), frames=4) == [2, 7, 12, 16]


def test_a_count_that_the_file_does_not_tell_is_found() -> None:
    data = video("matroska", "libx264", 40)
    av = pytest.importorskip("av")

    with av.open(BytesIO(data)) as container:
        assert container.streams.video[0].frames == 0  # unknown
    assert len(set(_numbers(data, frames=40))) >= 38


@pytest.mark.parametrize(
    ("matrix", "quarters"),
    [((0, 1, -1, 0), 3), ((0, -1, 1, 0), 1), ((-1, 0, 0, -1), 2)],  # 3: clockwise by 90 degrees
)
def test_a_video_of_a_turned_camera_is_put_upright(
    matrix: tuple[int, int, int, int], quarters: int
) -> None:
    a, b, c, d = matrix
    numbers = (a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30)
    turned = b"".join(n.to_bytes(4, "big", signed=True) for n in numbers)
    data = video(frames=2)
    at = data.index(IDENTITY, data.index(b"tkhd"))
    data = data[:at] + turned + data[at + len(turned) :]
    with open_source(data, video=VideoOptions(frames=1)) as source:
        size, page = source.size(1), source.page(1)
        assert size[:2] == ((64, 96) if quarters % 2 else (96, 64))
        assert (page.width, page.height) == size[:2]
    stripes = np.rot90(striped(0b100011), quarters)
    with open_source(_only_frame(0b100011, turned), video=VideoOptions(frames=1)) as source:
        found = source.page(1).pixels
    assert np.abs(found.astype(int) - stripes).mean() < 20


def _only_frame(number: int, turned: bytes) -> bytes:
    """A video that shows one number from its first frame, turned."""
    data = video(frames=1, first=number)
    at = data.index(IDENTITY, data.index(b"tkhd"))
    return data[:at] + turned + data[at + len(turned) :]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (lambda: video(frames=0, sound=True), "a.mp4 holds no pictures, only sound"),
        (lambda: video()[:2000], "a.mp4: the video is damaged or cut short"),
        (lambda: b"\0\0\0\x18ftypisom\0\0\0\0isomiso2", "a.mp4: the video is damaged or cut short"),
        (lambda: b"\x1a\x45\xdf\xa3" + bytes(400), "a.mp4: the video is damaged or cut short"),
        (lambda: b"", "a.mp4 is an empty file"),
    ],
)
def test_what_is_no_video_is_one_sentence(data: Any, said: str) -> None:
    with pytest.raises(SourceError) as caught:
        _numbers(data())
    assert str(caught.value).startswith(said)
    assert "\n" not in str(caught.value)


def test_a_video_with_sound_is_read() -> None:
    assert _numbers(video(sound=True), frames=2) == [9, 29]


def test_a_video_that_is_cut_short_gives_the_frames_it_has() -> None:
    data = video("matroska", "mjpeg", 40)
    numbers = _numbers(data[: len(data) // 2], frames=4)
    assert numbers == sorted(numbers)
    assert 10 < numbers[-1] < 25


def test_a_video_without_a_frame_is_one_sentence() -> None:
    data = video("avi", "mjpeg", 3)
    with pytest.raises(SourceError, match=r"a\.mp4.*(without frames|damaged)"):
        _numbers(data[: data.index(b"movi") + 4])


def test_a_damaged_frame_leaves_the_others() -> None:
    data = bytearray(video("avi", "mpeg4", 40, gop=10))
    start = data.index(b"movi")
    data[start + 1200 : start + 1800] = bytes(600)
    numbers = _numbers(bytes(data), frames=8)
    assert numbers[-1] == 36


def test_a_frame_that_takes_too_long_is_given_up_and_others_are_decoded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with open_source(video(), name="a.mp4", video=VideoOptions(frames=1)) as source:
        assert FFMPEG.running is not None
        os.kill(FFMPEG.running.process.pid, signal.SIGSTOP)
        monkeypatch.setattr(FFMPEG, "limits", replace(FFMPEG.limits, wall_s=0.3))
        said = r"a\.mp4: frame 19 is not decoded: it takes over 0\.3 s; convert"
        with pytest.raises(SourceError, match=said):
            source.page(1)
        monkeypatch.undo()
        assert spelled(source.page(1).pixels) == 19


def test_a_crash_is_one_sentence_and_the_next_frame_is_decoded() -> None:
    with open_source(video(), name="a.mp4", video=VideoOptions(frames=2)) as source:
        assert FFMPEG.running is not None
        FFMPEG.running.process.kill()
        FFMPEG.running.process.wait()
        assert spelled(source.page(2).pixels) == 29


def test_far_frames_are_sought_and_not_decoded_from_the_start(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    decoded, plain = [], _Video._decoded

    def counted(self: _Video) -> Iterator[Any]:
        for frame in plain(self):
            decoded.append(frame.pts)
            yield frame

    monkeypatch.setattr(_Video, "_decoded", counted)
    path = tmp_path / "a.mp4"
    path.write_bytes(video("mp4", "libx264", 60, gop=10))
    api = pytest.importorskip("av")
    with closing(_Video(api, os.open(path, os.O_RDONLY), "mov")) as opened:
        counts = []
        for index in (55, 57, 57, 12):  # far, a little on, the same, back
            before = len(decoded)
            assert spelled(opened.frame(index)) == index
            counts.append(len(decoded) - before)
    assert counts[0] <= 10  # as many as lie between two key frames
    assert counts[1:3] == [2, 0]
    assert counts[3] <= 10


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "av" else find(name)
    )
    with pytest.raises(MissingExtraError, match=r"needs the package av; .* 'tilewise\[video\]'"):
        open_source(b"\0\0\0\x18ftypisom\0\0\0\0isomiso2")


def test_a_gif_stays_a_picture_of_one_page() -> None:
    from tests.sources.making import saved

    gif = saved(scene(), "GIF", save_all=True, append_images=[scene().rotate(180)])
    with open_source(gif, video=VideoOptions(frames=4)) as source:
        assert source.count == 1
        assert not is_video(source)


def _folder(place: Path, names: list[str]) -> Path:
    place.mkdir(exist_ok=True)
    for number, name in enumerate(names):
        Image.fromarray(striped(number)).save(place / name)
    return place


def test_a_folder_of_pictures_is_one_video_in_the_order_of_its_numbers(tmp_path: Path) -> None:
    folder = _folder(tmp_path / "clip", [f"frame-{n}.png" for n in range(12)])
    (folder / "notes.txt").write_text("no frame")
    (folder / ".hidden.png").write_bytes(b"")
    (folder / "more").mkdir()
    with open_source(folder, video=VideoOptions(frames=4)) as source:
        assert is_video(source)
        assert source.size(1) == (96, 64, "px")
        pages = _pages(source)
        assert [spelled(page.pixels) for page in pages] == [1, 4, 7, 9]
        assert all(page.is_frame and page.name == str(folder) for page in pages)


def test_a_folder_that_is_no_video_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"is a folder; give the files inside it, or --frames"):
        open_source(tmp_path)
    with pytest.raises(SourceError, match=r"holds no pictures; PNG, JPEG"):
        open_source(tmp_path, video=VideoOptions())
    _folder(tmp_path, ["1.png"])
    with pytest.raises(SourceError, match=r"leave --start and --end out"):
        open_source(tmp_path, video=VideoOptions(start_s=1.0))
    (tmp_path / "1.png").write_bytes((tmp_path / "1.png").read_bytes()[:60])
    with (
        open_source(tmp_path, video=VideoOptions(frames=1)) as source,
        pytest.raises(SourceError, match=r"1\.png: the PNG data are damaged"),
    ):
        source.page(1)
