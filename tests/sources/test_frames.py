"""Which frames are looked at, when asking and when training."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.goldens import family_folder
from tilewise.errors import ConfigError, SourceError
from tilewise.sources.frames import (
    middle_frames,
    random_frames,
    spread_frames,
    timed_frames,
)
from tilewise.sources.video_options import VideoOptions

COUNTS = st.integers(1, 5000)
FRAMES = st.integers(1, 64)


def _cases() -> list[dict[str, Any]]:
    folder = family_folder("internvl")
    path = folder / "frame_sampling.json" if folder else None
    return list(json.loads(path.read_text())["cases"]) if path and path.is_file() else []


@pytest.mark.golden
@pytest.mark.parametrize("case", _cases(), ids=lambda case: f"{case['sample']}-{case['vlen']}")
def test_training_frames_equal_the_reference(case: dict[str, Any]) -> None:
    if case["sample"] == "middle":
        found = middle_frames(case["vlen"], case["num_frames"])
    else:
        most = case["max_num_frames"]
        rate = float(case["sample"].removeprefix("fps"))
        found = timed_frames(case["vlen"], case["input_fps"], rate, most if most > 0 else None)
    assert list(found) == case["indices"]


@given(count=COUNTS, frames=FRAMES, data=st.data())
def test_frames_for_asking_are_those_of_the_formula(
    count: int, frames: int, data: st.DataObject
) -> None:
    first = data.draw(st.integers(0, count - 1))
    last = data.draw(st.integers(first, count - 1))
    part = (last - first) / frames
    assert spread_frames(count, frames, first, last) == tuple(
        min(int(first + part / 2 + np.round(part * k)), last) for k in range(frames)
    )


def test_known_frames_for_asking() -> None:
    assert spread_frames(100, 8) == (6, 18, 31, 43, 56, 68, 80, 93)
    assert spread_frames(1, 3) == (0, 0, 0)
    assert spread_frames(300, 4, 100, 200) == (112, 137, 162, 187)


@given(count=COUNTS, frames=FRAMES)
def test_middle_frames_rise_and_lie_in_the_video(count: int, frames: int) -> None:
    found = middle_frames(count, frames)
    assert len(found) == frames
    assert list(found) == sorted(found)
    assert 0 <= found[0] <= found[-1] < count
    if count >= frames:
        assert len(set(found)) == frames


@given(count=COUNTS, seed=st.integers(0, 1000))
def test_random_frames_are_one_of_each_interval(count: int, seed: int) -> None:
    found = random_frames(count, np.random.default_rng(seed))
    assert found == random_frames(count, np.random.default_rng(seed))
    assert 8 <= len(found) <= 32
    assert list(found) == sorted(found)
    assert 0 <= found[0] <= found[-1] < count
    edges = np.linspace(0, count, min(len(found), count) + 1).astype(int)
    for number, start, end in zip(found, edges, edges[1:], strict=False):
        assert start <= number < end


@given(count=COUNTS, frame_rate=st.floats(1, 120), rate=st.floats(0.1, 10))
def test_timed_frames_rise_and_lie_in_the_video(count: int, frame_rate: float, rate: float) -> None:
    found = timed_frames(count, frame_rate, rate)
    assert list(found) == sorted(found)
    assert all(0 <= number < count for number in found)
    assert timed_frames(count, frame_rate, rate, 3) == found[:3]


@pytest.mark.parametrize("take", [spread_frames, middle_frames])
def test_no_frames_are_one_sentence(take: Any) -> None:
    with pytest.raises(SourceError, match="the video has no frames"):
        take(0, 8)
    with pytest.raises(SourceError, match="0 frames of a video were asked for"):
        take(8, 0)
    with pytest.raises(SourceError, match="both must be above 0"):
        timed_frames(8, 0.0, 1.0)
    with pytest.raises(SourceError, match="the video has frames 0 to 7"):
        spread_frames(8, 2, 9)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"frames": 0}, "--frames"),
        ({"frames": 5000}, "--frames"),
        ({"start_s": -1.0}, "--start"),
        ({"start_s": float("nan")}, "--start"),
        ({"start_s": 2.0, "end_s": 2.0}, "--end"),
    ],
)
def test_options_that_cannot_hold_are_refused(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        VideoOptions(**wrong)
