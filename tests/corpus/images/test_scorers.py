"""Models that score images: given as files they see what their settings say."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.corpus.pictures import encoded, picture
from tests.corpus.tiny_onnx_image import write_averager
from tilewise.corpus.images.index import ImageIndex, index_images
from tilewise.corpus.images.measure import measure_part
from tilewise.corpus.images.rules import ImageConfig, verdict
from tilewise.corpus.images.scorers import ImageScorerFile, OnnxImageScorer, scorers_of
from tilewise.corpus.images.store import ImagePart
from tilewise.errors import ConfigError
from tilewise.records import Pixels

PLAIN = ImageScorerFile(size=8, scale=1.0, column=0)


def _flat(*colour: int, width: int = 40, height: int = 20) -> Pixels:
    return np.broadcast_to(np.array(colour, np.uint8), (height, width, 3)).copy()


@pytest.mark.parametrize("layout", ["nchw", "nhwc"])
@pytest.mark.parametrize("count", ["n", 1])
def test_colours_arrive_where_the_settings_say(
    tmp_path: Path, layout: str, count: int | str
) -> None:
    model = write_averager(tmp_path / "model.onnx", layout, count)
    file = replace(PLAIN, model=model, layout="nchw" if layout == "nchw" else "nhwc")
    images = [_flat(10, 20, 30), _flat(200, 0, 0)]
    assert OnnxImageScorer(file)(images) == pytest.approx([10, 200])
    assert OnnxImageScorer(replace(file, column=2))(images) == pytest.approx([30, 0])
    assert OnnxImageScorer(replace(file, channels="bgr"))(images) == pytest.approx([30, 0])
    shifted = replace(file, scale=0.5, mean=(1.0, 2.0, 3.0), std=(4.0, 1.0, 1.0))
    assert OnnxImageScorer(shifted)(images) == pytest.approx([1.0, 24.75])
    soft = OnnxImageScorer(replace(file, scale=0.1, activation="softmax"))(images)
    assert soft == pytest.approx([0.0900306, 1.0], abs=1e-5)
    flat = OnnxImageScorer(replace(file, scale=0.0, activation="logistic"))(images)
    assert flat == pytest.approx([0.5, 0.5])


def test_a_cut_sees_the_middle_and_a_stretch_sees_all(tmp_path: Path) -> None:
    file = replace(PLAIN, model=write_averager(tmp_path / "model.onnx"))
    image = _flat(0, 0, 0, width=60, height=20)
    image[:, 20:40] = 255
    assert OnnxImageScorer(file)([image])[0] == pytest.approx(255, abs=25)
    stretched = OnnxImageScorer(replace(file, keep_aspect=False))([image])[0]
    assert stretched == pytest.approx(85, abs=5)
    assert OnnxImageScorer(replace(file, resize=16))([image])[0] == pytest.approx(255)


def test_a_scorer_may_be_sent_to_another_process(tmp_path: Path) -> None:
    scorer = OnnxImageScorer(replace(PLAIN, model=write_averager(tmp_path / "model.onnx")))
    again = pickle.loads(pickle.dumps(scorer))
    assert again([_flat(7, 7, 7)]) == pytest.approx([7])


def test_scores_of_files_decide_over_images(tmp_path: Path) -> None:
    file = ImageScorerFile(model=write_averager(tmp_path / "model.onnx"), size=8)
    cfg = ImageConfig(scorers={"unsafe": file})
    store = tmp_path / "store"
    urls = [f"http://a.example/{name}.png" for name in ("dark", "white")]
    with ImagePart(store, "web") as part:
        part.put(urls[0], encoded(picture(1).point([v // 8 for v in range(256)] * 3)))
        part.put(urls[1], encoded(picture(1).point([250 + v // 99 for v in range(256)] * 3)))
    assert measure_part(store, "web", cfg) == {"measured": 2}
    index_images(store)
    index = ImageIndex(store)
    assert [verdict(index.lookup(url), cfg) for url in urls] == [None, "image_unsafe"]
    assert measure_part(store, "web", cfg) == {}
    assert measure_part(store, "web", ImageConfig()) == {"measured": 2}  # other scorers: anew


@pytest.mark.parametrize(
    ("content", "changed", "said"),
    [
        (None, {"size": 9}, "does not take pictures of 9 pixels"),
        (None, {"layout": "nhwc"}, "does not take pictures"),
        (None, {"column": 7}, "does not take pictures"),
        (b"no model", {}, "cannot be loaded"),
        (b"", {}, "cannot be loaded"),
    ],
)
def test_a_file_that_does_not_fit_its_settings_is_told(
    tmp_path: Path, content: bytes | None, changed: dict[str, object], said: str
) -> None:
    model = write_averager(tmp_path / "model.onnx")
    if content is not None:
        model.write_bytes(content)
    file = replace(PLAIN, model=model, **changed)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=said):
        OnnxImageScorer(file)([_flat(1, 2, 3)])


def test_a_missing_file_or_an_unknown_slot_is_told_before_the_run(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="which is no file"):
        scorers_of({"unsafe": ImageScorerFile(model=tmp_path / "gone.onnx")})
    with pytest.raises(ConfigError, match="'beauty' is no scorer"):
        scorers_of({"beauty": ImageScorerFile()})
    with pytest.raises(ConfigError, match="std"):
        ImageScorerFile(std=(0.0, 1.0, 1.0))
