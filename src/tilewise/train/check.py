"""Reads all samples of data and counts what is wrong with them. Needs no torch and no model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Final, NamedTuple

from tilewise.errors import SourceError
from tilewise.shards.conversation import Bad, ImageRef, Sample
from tilewise.shards.listing import Listed
from tilewise.sources.content import HEAD_BYTES, kind_of
from tilewise.sources.video import VIDEO_KINDS, FrameFolder, VideoSource
from tilewise.sources.video_options import VideoOptions
from tilewise.train.workers import Workers

CHUNK: Final = 16
"""Samples of one task for a worker."""


class Chunk(NamedTuple):
    """Some samples of a dataset, by its number and theirs."""

    source: int
    first: int
    last: int


class Checked(NamedTuple):
    """What was found in a chunk."""

    source: int
    good: int
    images: int
    bad: tuple[Bad, ...]


def chunks(listed: Sequence[Listed]) -> Iterator[Chunk]:
    """All samples in their order."""
    for source, one in enumerate(listed):
        for first in range(0, len(one), CHUNK):
            yield Chunk(source, first, min(first + CHUNK, len(one)))


def check(
    listed: Sequence[Listed], workers: int, progress: Callable[[int, int], None]
) -> Iterator[Checked]:
    """Read every sample and decode every image; of a video, its first frame.

    Args:
        listed: datasets.
        workers: processes that read, 0 for this one.
        progress: told how many samples are read, and of how many.

    Raises:
        DataError: a file cannot be read, or a worker died.
    """
    total, done = sum(map(len, listed)), 0
    with Workers(partial(_check_chunk, tuple(listed)), workers) as running:
        for found in running.map(chunks(listed)):
            yield found
            done += found.good + len(found.bad)
            progress(done, total)


def _check_chunk(listed: Sequence[Listed], chunk: Chunk) -> Checked:
    bad, images = [], 0
    for index in range(chunk.first, chunk.last):
        sample = listed[chunk.source].data[index]
        found = sample if isinstance(sample, Bad) else fault(sample)
        if found is not None:
            bad.append(found)
        else:
            assert isinstance(sample, Sample), "what is not bad is a sample"
            images += len(sample.images)
    good = chunk.last - chunk.first - len(bad)
    return Checked(chunk.source, good, images, tuple(bad))


def fault(sample: Sample) -> Bad | None:
    """What is wrong with a sample's images, None if nothing is."""
    for image in sample.images:
        if not image.is_there:
            return Bad(sample.where, "missing image", f"{image.path} does not exist")
        try:
            if sample.is_video:
                _see_video(image)
            else:
                image.page()
        except SourceError as err:
            return Bad(sample.where, "damaged image", str(err))
    return None


def _see_video(video: ImageRef) -> None:
    """Open a video and decode a frame of its clip; raises SourceError."""
    start, end = video.clip_s or (None, None)
    options = VideoOptions(frames=1, start_s=start, end_s=end)
    if video.path is not None and video.path.is_dir():
        FrameFolder(video.path, video.name, options).page(1)
        return
    with video.open() as file:
        kind = kind_of(file.read(HEAD_BYTES))
        if kind not in VIDEO_KINDS:
            raise SourceError(f"{video.name} is {kind}; videos are {', '.join(VIDEO_KINDS)}.")
        file.seek(0)
        with VideoSource(file, video.name, kind, options) as source:
            source.page(1)
