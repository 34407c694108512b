"""What the default reader's encoder saw comes back from disk as it was."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from tilewise.engine.session import Conversation
from tilewise.models.load import load
from tilewise.models.nano import model, sight
from tilewise.models.nano.model import NanoReader
from tilewise.models.vision_cache import CacheConfig
from tilewise.records import Answer, Page


def page() -> Page:
    """A title, and type small enough to be enlarged."""
    image = Image.new("RGB", (660, 330), "white")
    draw = ImageDraw.Draw(image)
    draw.text((30, 30), "Harbour dues", "black", ImageFont.load_default(40))
    for line in range(8):
        text = f"Berth {line}: {7919 * (line + 3) % 9973}"
        draw.text((30, 120 + 20 * line), text, "black", ImageFont.load_default(11))
    return Page(pixels=np.asarray(image), name="dues")


def answers(folder: Path | None) -> tuple[list[Any], int]:
    """What a reader that was loaded anew says, and how often its encoder looked."""
    reader = load(cache=None if folder is None else CacheConfig(folder=folder))
    assert isinstance(reader, NanoReader)
    looks = 0

    def counted(*args: Any, **named: Any) -> Any:
        nonlocal looks
        looks += 1
        return see(*args, **named)

    see = sight.see
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(model, "see", counted)
        talk = Conversation(reader, [page(), page()], [4, 4])
        said: list[Any] = []
        for question in ("What is the title?", "What is the value of Berth 3?"):
            *_, answer = talk.ask(question)
            assert isinstance(answer, Answer)
            said.append((answer.text, answer.confidence, answer.evidence, answer.prompt_tokens))
            talk.forget()
    return said, looks


def test_a_second_reader_answers_the_same_without_its_encoder(tmp_path: Path) -> None:
    first, looks = answers(tmp_path)
    assert looks == 1
    again, looks = answers(tmp_path)
    assert (again, looks) == (first, 0)
    plain, looks = answers(None)
    assert (plain, looks) == (first, 1)
    assert len(list(tmp_path.iterdir())) == 1, "equal pages are kept once"
