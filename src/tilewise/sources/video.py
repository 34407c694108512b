"""Videos: some frames of a file, or of a folder of pictures, each a page of its own.

FFmpeg works in a process of its own (``decoder``), through PyAV.
"""

from __future__ import annotations

import importlib.util
import logging
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np

from tilewise.errors import MissingExtraError, SourceError
from tilewise.records import Page
from tilewise.sources.content import HEAD_BYTES, kind_of
from tilewise.sources.decoder import (
    Decoder,
    Document,
    FaultError,
    Limits,
    LostError,
    room,
    with_descriptor,
)
from tilewise.sources.frames import spread_frames
from tilewise.sources.image import ImageSource
from tilewise.sources.source import Closes, PageSize, RasterSize, Source, check_number
from tilewise.sources.video_options import VideoOptions

_log = logging.getLogger(__name__)

FFMPEG: Final = Decoder("video", "FFmpeg", Limits(cpu_s=60.0))

VIDEO_KINDS: Final = {
    "MP4": "mov",
    "QuickTime": "mov",
    "Matroska": "matroska",
    "WebM": "matroska",
    "AVI": "avi",
}
"""Kinds of ``content.kind_of`` that are videos -> what FFmpeg calls their form."""

Choose = Callable[[int], tuple[int, ...]] | None
"""From a number of frames to those that are taken, from 0."""

PICTURE_KINDS: Final = ("PNG", "JPEG", "WebP", "TIFF", "BMP", "GIF", "AVIF", "HEIC")
"""Kinds of files in a folder that are frames."""

_REFUSED: Final = {
    "sound": "holds no pictures, only sound or other data; give a file with a video in it",
    "empty": "holds a video without frames; get the file again",
    "codec": "holds a video in a code that FFmpeg does not know; convert it to MP4 with H.264",
    "large": "declares frames of over 64,000,000 pixels; scale the video down",
    "long": "holds over 5,000,000 frames; cut it into parts",
    "damaged": "is damaged and nothing of it can be decoded; get the file again",
}


class VideoSource(Closes):
    """Frames of a video file. They are decoded when asked for, and none is kept."""

    def __init__(
        self,
        file: BinaryIO,
        name: str,
        kind: str,
        options: VideoOptions | None = None,
        choose: Choose = None,
    ) -> None:
        """Walk through the file to find its frames, and decode the first; ``file`` belongs here.

        Args:
            file: the video.
            name: what messages call it.
            kind: one of ``VIDEO_KINDS``.
            options: how many frames from where.
            choose: given how many frames there are, says which are taken, in place of ``options``.

        Raises:
            SourceError: damaged, without frames, or shorter than the part that is asked for.
            MissingExtraError: PyAV is not installed.
        """
        self.name = name
        options = options or VideoOptions()
        if importlib.util.find_spec("av") is None:
            raise MissingExtraError(
                f"{name} is a video, which needs the package av; install it with: "
                "pip install 'tilewise[video]'."
            )
        self._file = with_descriptor(file)
        self._document = Document(self._file, form=VIDEO_KINDS[kind])
        try:
            found = self._ask("open", name)
            self._size = PageSize(found["width"], found["height"], "px")
            self._frames = _chosen(found["count"], found["rate"], options, name, choose)
        except BaseException:
            self.close()
            raise

    @property
    def count(self) -> int:
        """Number of frames looked at."""
        return len(self._frames)

    @property
    def frames(self) -> tuple[int, ...]:
        """Which frames of the video they are, from 0."""
        return self._frames

    def size(self, number: int) -> PageSize:
        """Size in pixels, the same for all frames."""
        check_number(self.name, number, self.count)
        return self._size

    def page(self, number: int, raster_size: RasterSize | None = None) -> Page:
        """Decode one frame; fastest in rising order.

        Raises:
            SourceError: no such frame, or it is damaged or takes too long.
        """
        check_number(self.name, number, self.count)
        width, height = int(self._size.width), int(self._size.height)
        with room() as drawn:
            drawn.truncate(3 * width * height)
            index = self._frames[number - 1]
            self._ask("frame", f"{self.name}: frame {index}", drawn.fileno(), index=index)
            pixels = np.fromfile(drawn, np.uint8, 3 * width * height)
        return Page(
            pixels=pixels.reshape(height, width, 3),
            name=self.name,
            number=number,
            total=self.count,
            is_frame=True,
        )

    def close(self) -> None:
        """Close the video and its file."""
        FFMPEG.forget(self._document)
        self._file.close()

    def _ask(self, way: str, where: str, descriptor: int | None = None, **more: Any) -> Any:
        """Ask FFmpeg, its errors as ours."""
        try:
            return FFMPEG.ask(self._document, way, descriptor, **more)
        except LostError as err:
            raise SourceError(
                f"{where} is not decoded: it {err}; convert the video to MP4 with H.264."
            ) from err
        except FaultError as err:
            if err.code in _REFUSED:
                raise SourceError(f"{where} {_REFUSED[str(err.code)]}.") from err
            reason = " ".join(str(err).split()).rstrip(".")
            raise SourceError(
                f"{where}: the video is damaged or cut short ({reason}); get the file again."
            ) from err


class FrameFolder(Closes):
    """A folder of pictures as one video, in the order of their names (2 before 10)."""

    def __init__(
        self, folder: Path, name: str, options: VideoOptions, choose: Choose = None
    ) -> None:
        """List the pictures of a folder, but not of folders in it, nor hidden ones.

        Raises:
            SourceError: the folder cannot be listed or holds no pictures, or a part in seconds is
                asked for, of which a folder knows nothing.
        """
        self.name = name
        if options.has_part:
            raise SourceError(
                f"{name} is a folder of frames, which has no seconds; leave --start and --end out."
            )
        try:
            files = sorted(path for path in folder.iterdir() if path.is_file())
            kinds = {path: _kind(path) for path in files if not path.name.startswith(".")}
        except OSError as err:
            raise SourceError(
                f"{name} cannot be read ({err.strerror}); check its permissions."
            ) from err
        frames = sorted((path for path in kinds if kinds[path] in PICTURE_KINDS), key=_in_order)
        if not frames:
            raise SourceError(
                f"{name} holds no pictures; {', '.join(PICTURE_KINDS)} can be frames of a video."
            )
        if len(frames) < len(kinds):
            _log.info("%s: %d files are no pictures", name, len(kinds) - len(frames))
        chosen = choose(len(frames)) if choose else spread_frames(len(frames), options.frames)
        self._frames = tuple((frames[index], kinds[frames[index]]) for index in chosen)

    @property
    def count(self) -> int:
        """Number of frames looked at."""
        return len(self._frames)

    def size(self, number: int) -> PageSize:
        """Size of a frame in pixels; each may have its own."""
        with self._opened(number) as picture:
            return picture.size(1)

    def page(self, number: int, raster_size: RasterSize | None = None) -> Page:
        """Decode one frame.

        Raises:
            SourceError: no such frame, or its picture is damaged or gone.
        """
        with self._opened(number) as picture:
            pixels = picture.page(1).pixels
        return Page(pixels=pixels, name=self.name, number=number, total=self.count, is_frame=True)

    def _opened(self, number: int) -> ImageSource:
        check_number(self.name, number, self.count)
        path, kind = self._frames[number - 1]
        try:
            file = path.open("rb")
        except OSError as err:
            raise SourceError(
                f"{path} cannot be opened ({err.strerror}); check its permissions."
            ) from err
        try:
            return ImageSource(file, str(path), kind)
        except BaseException:
            file.close()
            raise


def is_video(source: Source) -> bool:
    """Whether the pages of a source are frames, which get one tile each."""
    return isinstance(source, VideoSource | FrameFolder)


def _chosen(
    count: int, rate: float, options: VideoOptions, name: str, choose: Choose
) -> tuple[int, ...]:
    """Frames of the part in seconds that is asked for; ``rate`` is frames a second, 0 unknown."""
    first, last = 0, count - 1
    if options.has_part:
        if not rate > 0:
            raise SourceError(
                f"{name} says nothing of its speed, so that its seconds are not known; leave "
                "--start and --end out."
            )
        first = round((options.start_s or 0.0) * rate)
        last = last if options.end_s is None else min(last, round(options.end_s * rate))
        if first > last:
            raise SourceError(
                f"{name} is {count / rate:.1f} s long and is to start at {options.start_s:g} s; "
                "choose an earlier --start."
            )
    if choose:
        return tuple(first + index for index in choose(last - first + 1))
    return spread_frames(count, options.frames, first, last)


def _kind(path: Path) -> str:
    with path.open("rb") as file:
        return kind_of(file.read(HEAD_BYTES))


def _in_order(path: Path) -> tuple[list[tuple[int, str]], str]:
    """Numbers in a name count as numbers."""
    parts = re.split(r"([0-9]+)", path.name)
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts], path.name
