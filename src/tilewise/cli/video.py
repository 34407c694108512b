"""Options for videos, shared by the commands that open sources."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

if TYPE_CHECKING:
    from tilewise.sources.video_options import VideoOptions

_OPTIONS: Final = (
    click.option(
        "--frames",
        type=int,
        metavar="N",
        help="Frames of a video, one tile each; with it a folder of pictures is one video.  "
        "[default: 8]",
    ),
    click.option("--start", type=float, metavar="SECONDS", help="Where in a video to begin."),
    click.option("--end", type=float, metavar="SECONDS", help="Where in a video to stop."),
)


def video_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options, and hand them to the command as one argument ``video``, None if unused."""

    @functools.wraps(command)
    def with_video(
        *args: Any, frames: int | None, start: float | None, end: float | None, **rest: Any
    ) -> None:
        from tilewise.sources.video_options import DEFAULT_FRAMES, VideoOptions

        video = None
        if (frames, start, end) != (None, None, None):
            count = DEFAULT_FRAMES if frames is None else frames
            video = VideoOptions(frames=count, start_s=start, end_s=end)
        command(*args, video=video, **rest)

    wrapped: Callable[..., None] = with_video
    for option in reversed(_OPTIONS):
        wrapped = option(wrapped)
    return wrapped


def is_frame_folder(name: str, video: VideoOptions | None) -> bool:
    """Whether a word is a folder that the options make one video."""
    return video is not None and Path(name).is_dir()
