"""Which frames of a video are looked at, as numbers from 0: for asking and for training.

Source: published preprocessing of InternVL 1.5, at inference and in training.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Final

import numpy as np

from tilewise.errors import SourceError

LEAST_RANDOM: Final = 8
MOST_RANDOM: Final = 32
"""How many frames training takes at random from a video."""


def spread_frames(
    frame_count: int, frames: int, first: int = 0, last: int | None = None
) -> tuple[int, ...]:
    """Frames for asking: one near the middle of each of so many equal parts.

    A video of fewer frames gives some of them repeatedly, as the reference does.

    Args:
        frame_count: frames that the video has.
        frames: how many to take.
        first, last: the part to take them from; default, from the first frame to the last.

    Returns:
        ``frames`` numbers from ``first`` to ``last``, rising.

    Raises:
        SourceError: the video has no frames, or the part does not lie in it.
    """
    _check_counts(frame_count, frames)
    end = frame_count - 1 if last is None else min(last, frame_count - 1)
    if not 0 <= first <= end:
        raise SourceError(
            f"frames {first} to {last} were asked for; the video has frames 0 to {frame_count - 1}."
        )
    part = (end - first) / frames
    return tuple(min(int(first + part / 2 + round(part * k)), end) for k in range(frames))


def middle_frames(frame_count: int, frames: int) -> tuple[int, ...]:
    """Frames for training, mode "middle": the middle one of each of so many equal intervals.

    A video of fewer frames gives all of them and then its last one again.

    Raises:
        SourceError: the video has no frames, or none are asked for.
    """
    middles = [(start + end - 1) // 2 for start, end in _intervals(frame_count, frames)]
    return _filled(middles, frames)


def random_frames(
    frame_count: int,
    rng: np.random.Generator,
    least: int = LEAST_RANDOM,
    most: int = MOST_RANDOM,
) -> tuple[int, ...]:
    """Frames for training at random: how many is drawn first, then one from each interval.

    Args:
        frame_count: frames that the video has.
        rng: where randomness comes from.
        least, most: bounds of how many frames there will be, both included.

    Raises:
        SourceError: the video has no frames, or none are asked for.
    """
    frames = int(rng.integers(least, most, endpoint=True))
    drawn = [int(rng.integers(start, end)) for start, end in _intervals(frame_count, frames)]
    return _filled(drawn, frames)


def timed_frames(
    frame_count: int, frame_rate: float, rate: float, most: int | None = None
) -> tuple[int, ...]:
    """Frames for training, mode "fpsX": ``rate`` frames a second, from the middle of each step.

    Args:
        frame_count: frames that the video has.
        frame_rate: of the video, frames a second.
        rate: frames a second to take, the X of the mode.
        most: where to stop; default, at the end of the video.

    Returns:
        Rising numbers; none where the video is shorter than half a step.

    Raises:
        SourceError: the video has no frames, or a rate is not above 0.
    """
    _check_counts(frame_count, 1)
    if not (frame_rate > 0 and rate > 0):
        raise SourceError(
            f"the frame rate is {frame_rate:g} and {rate:g} frames a second were asked for; both "
            "must be above 0."
        )
    step_s, length_s = 1 / rate, frame_count / frame_rate
    seconds = np.arange(step_s / 2, length_s + step_s / 2, step_s)
    numbers = np.around(seconds * frame_rate).astype(int)
    return tuple(int(number) for number in numbers[numbers < frame_count][:most])


def _intervals(frame_count: int, frames: int) -> list[tuple[int, int]]:
    """Equal intervals as (first, one after the last), at most one for each frame of the video."""
    _check_counts(frame_count, frames)
    # linspace's own rounding decides where an edge falls beside a whole number
    edges = np.linspace(0, frame_count, min(frames, frame_count) + 1).astype(int).tolist()
    return list(pairwise(edges))


def _filled(numbers: list[int], frames: int) -> tuple[int, ...]:
    """The last frame again until there are enough."""
    return (*numbers, *numbers[-1:] * (frames - len(numbers)))


def _check_counts(frame_count: int, frames: int) -> None:
    if frame_count < 1:
        raise SourceError("the video has no frames; get the file again.")
    if frames < 1:
        raise SourceError(f"{frames} frames of a video were asked for; at least 1 is allowed.")
