"""Frames of a sample's video, drawn at random."""

from __future__ import annotations

from functools import partial

import numpy as np

from tilewise.errors import SourceError
from tilewise.records import Page
from tilewise.shards.conversation import ImageRef
from tilewise.sources.content import HEAD_BYTES, kind_of
from tilewise.sources.frames import random_frames
from tilewise.sources.video import VIDEO_KINDS, FrameFolder, VideoSource
from tilewise.sources.video_options import VideoOptions
from tilewise.train.draw import number


def drawn_frames(
    video: ImageRef, bounds: tuple[int, int], key: tuple[int, ...]
) -> tuple[Page, ...]:
    """Frames of a video, one from each of so many equal intervals; how many is drawn first.

    Args:
        video: a file, or a folder of its frames as pictures.
        bounds: fewest and most frames.
        key: of the draws.

    Raises:
        SourceError: damaged, no video, or shorter than the clip.
    """
    rng = np.random.Generator(np.random.PCG64(number(*key)))
    choose = partial(random_frames, rng=rng, least=bounds[0], most=bounds[1])
    start, end = video.clip_s or (None, None)
    options = VideoOptions(start_s=start, end_s=end)
    if video.path is not None and video.path.is_dir():
        folder = FrameFolder(video.path, video.name, options, choose)
        return tuple(folder.page(number) for number in range(1, folder.count + 1))
    with video.open() as file:
        kind = kind_of(file.read(HEAD_BYTES))
        if kind not in VIDEO_KINDS:
            raise SourceError(f"{video.name} is {kind}; videos are {', '.join(VIDEO_KINDS)}.")
        file.seek(0)
        with VideoSource(file, video.name, kind, options, choose) as source:
            return tuple(source.page(number) for number in range(1, source.count + 1))
