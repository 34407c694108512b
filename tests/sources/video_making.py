"""Little videos whose frames tell their number."""

from __future__ import annotations

from fractions import Fraction
from io import BytesIO
from typing import Any

import numpy as np
import pytest

from tilewise.records import Pixels

PIXELS = {"mjpeg": "yuvj420p", "prores_ks": "yuv422p10le"}
"""What encoders want pixels in that do not take the usual."""

STRIPES = 6
"""Binary digits that a frame shows as white or black stripes, the lowest on the left."""


def striped(number: int, width: int = 96, height: int = 64) -> Pixels:
    """A picture of stripes that spell a number."""
    digits = [255 if number >> place & 1 else 0 for place in range(STRIPES)]
    row = np.repeat(np.array(digits, np.uint8), width // STRIPES)
    return np.broadcast_to(row[None, :, None], (height, width, 3)).copy()


def spelled(pixels: Pixels) -> int:
    """The number that a frame shows."""
    middle = pixels[pixels.shape[0] // 2].mean(axis=-1)
    means = [part.mean() for part in np.array_split(middle, STRIPES)]
    return sum(int(mean > 127) << place for place, mean in enumerate(means))


def video(
    form: str = "mp4",
    codec: str = "mpeg4",
    frames: int = 40,
    *,
    rate: int = 10,
    gop: int = 12,
    sound: bool = False,
    size: tuple[int, int] = (96, 64),
    times: list[int] | None = None,
    first: int = 0,
) -> bytes:
    """A video as bytes; skips the test where PyAV or its encoder is not installed.

    ``times`` gives each frame's place in ticks of 1 / ``rate`` instead of one after the other;
    ``first`` is the number that the first frame shows.
    """
    av: Any = pytest.importorskip("av", reason="PyAV is not installed")
    if codec not in av.codecs_available:
        pytest.skip(f"this PyAV has no encoder {codec}")
    file = BytesIO()
    with av.open(file, "w", format=form, options={"fflags": "+bitexact"}) as container:
        speech = container.add_stream("aac", rate=8000) if sound else None
        if frames:
            stream = container.add_stream(codec, rate=rate)
            stream.width, stream.height = size
            stream.pix_fmt = PIXELS.get(codec, "yuv420p")
            stream.codec_context.gop_size = gop
            stream.codec_context.time_base = Fraction(1, rate)
            for number in range(frames):
                frame = av.VideoFrame.from_ndarray(striped(first + number, *size), format="rgb24")
                frame.pts = times[number] if times else number
                frame.time_base = Fraction(1, rate)
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
        if speech is not None:
            silence = av.AudioFrame.from_ndarray(
                np.zeros((1, 8000), np.float32), format="fltp", layout="mono"
            )
            silence.sample_rate = 8000
            container.mux(speech.encode(silence))
            container.mux(speech.encode())
    return file.getvalue()
