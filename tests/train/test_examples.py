"""Samples as examples: what is learned, how pages are cut, and what is wrong with bad ones."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.goldens import GoldenFile
from tests.sources.video_making import spelled, video
from tests.text.training import train_internlm2, train_qwen2
from tests.train.making import image, internvl, ixc2, missing, said, sample
from tilewise.errors import ConfigError
from tilewise.models.pack import IGNORE, Example
from tilewise.models.units import Image, Unit, positions
from tilewise.recipes.table import find_recipe
from tilewise.records import IMAGE_END, IMAGE_START, Turn
from tilewise.shards.conversation import Bad, ImageRef, Sample
from tilewise.text.chat import transcript
from tilewise.text.labels import labelled
from tilewise.text.templates import IXC2
from tilewise.text.tokenizer import Tokenizer, load_tokenizer
from tilewise.tiling.config import TilingConfig
from tilewise.tiling.grid import fit_page
from tilewise.train import start
from tilewise.train.augment import drawn_limit
from tilewise.train.examples import ExampleConfig, example_of
from tilewise.train.family import Family, family_of, learned_ids

CFG = ExampleConfig(max_tiles=6, max_tokens=2_000)
FAMILIES = {"ixc2": ixc2(), "internvl": internvl()}


def made(found: Example | Bad) -> Example:
    assert isinstance(found, Example), found
    return found


def refused(found: Example | Bad) -> Bad:
    assert isinstance(found, Bad), found
    return found


@pytest.mark.golden
def test_labels_of_ixc2_are_the_published_ones(golden: GoldenFile) -> None:
    data = json.loads(golden("ixc2-4khd", "prompt_ids.json").read_text(encoding="utf-8"))
    seen = set()
    for case in data["labels"]:
        is_pitfall = "pitfall" in case["name"]
        for has_system in {False, is_pitfall}:
            found = learned_ids(case["tokens"], end=92_542, eos=2, header=6, has_system=has_system)
            assert (found == case["targets"]) != has_system, case["name"]
            seen.add(has_system)
    assert seen == {False, True}


@pytest.mark.golden
def test_texts_of_ixc2_give_the_published_ids_and_labels(golden: GoldenFile) -> None:
    data = json.loads(golden("ixc2-4khd", "prompt_ids.json").read_text(encoding="utf-8"))
    folder = golden("ixc2-4khd", "tokenizer/tokenizer.model").parent
    family = replace(FAMILIES["ixc2"], tokenizer=load_tokenizer(folder, 92_544), is_published=True)
    cases = [case for case in data["labels"] if case["text"]]
    assert len(cases) == 4
    for case in cases:
        found = parsed(case["text"])
        assert transcript_of(found) == case["text"]
        example = made(example_of(found, family, CFG))
        ids, labels = without_pages(example)
        is_text = [token != IGNORE for token in case["tokens"]]
        assert ids == [token for token in case["tokens"] if token != IGNORE]
        assert labels == [t for t, keep in zip(case["targets"], is_text, strict=True) if keep]


def parsed(text: str) -> Sample:
    """The conversation of a published training text."""
    system, texts = None, []
    for part in text.removesuffix("</s>").split(IXC2.markers[0])[1:]:
        who, _, rest = part.partition("\n")
        said = rest.removesuffix(IXC2.separator)
        if who == "system":
            system = said
        else:
            texts.append(said.replace("<ImageHere>", "<image>"))
    pages = (image(),) * sum(text.count("<image>") for text in texts)
    return sample(*texts, images=pages, system=system)


def transcript_of(found: Sample) -> str:
    turns = [replace(t, text=t.text.replace("<image>", "<ImageHere>")) for t in found.turns]
    return transcript(turns, IXC2, found.system) + "</s>"


def without_pages(example: Example) -> tuple[list[int], list[int]]:
    ids, labels, at = [], [], 0
    for unit in example.units:
        if isinstance(unit, Image):
            assert set(example.labels[at : at + len(unit.plan)]) == {IGNORE}
        else:
            ids.append(unit)
            labels.append(example.labels[at])
        at += positions([unit])
    return ids, labels


@pytest.mark.parametrize("name", FAMILIES)
def test_answers_are_learned_and_nothing_else(name: str) -> None:
    family = FAMILIES[name]
    talk = sample("<image>\nWhat?", "One.", "And?", "Two.", images=(image(),), system="Be brief.")
    example = made(example_of(talk, family, CFG))
    assert said(family, example).strip() == "One.Two."
    assert len(example.images) == 1
    assert example.id == "a.jsonl:1"
    assert example.labels.count(family.tokenizer.id_of(family.template.end) or 0) == 2
    at = next(n for n, unit in enumerate(example.units) if isinstance(unit, Image))
    assert set(example.labels[: at + len(example.images[0].plan)]) == {IGNORE}


@pytest.mark.parametrize("pages", [0, 1, 2])
def test_what_is_learned_as_asked_follows_the_very_prompt(pages: int) -> None:
    reader = start.open_model(find_recipe("ixc2_tiny").model, seed=0).reader
    question = "<image>\n" * pages + "Which town?"
    talk = sample(question, " Lund.", images=(image(200, 90),) * pages)
    family = family_of(reader, is_as_asked=True)
    example = made(example_of(talk, family, CFG))
    tiles = [page.tiles for page in example.images]
    asked = reader.prompt([Turn(role="user", text="Which town?")], tiles)
    assert kinds(example.units[: len(asked.units)]) == kinds(asked.units)
    learned = [label for label in example.labels if label != IGNORE]
    assert reader.text(learned) == "Lund."
    assert kinds(example.units[len(asked.units) :]) == learned
    published = made(example_of(talk, family_of(reader), CFG))
    assert len(published) < len(example)


def kinds(units: Sequence[Unit]) -> list[object]:
    return [unit if isinstance(unit, int) else unit.plan.entries.tolist() for unit in units]


def test_the_published_rule_learns_a_question_s_end_behind_a_system_turn() -> None:
    talk = sample("What?", "One.", system="Be brief.")
    assert said(ixc2(), made(example_of(talk, ixc2(), CFG))).strip() == "One."
    family = replace(ixc2(is_published=True))
    assert "One" not in said(family, made(example_of(talk, family, CFG)))


def test_a_page_of_internvl_stands_between_its_ends_once() -> None:
    family = FAMILIES["internvl"]
    example = made(example_of(sample("<image>\nQ", "A", images=(image(),)), family, CFG))
    page = example.images[0].plan
    assert (page.entries[0], page.entries[-1]) == (IMAGE_START, IMAGE_END)
    ids = {unit for unit in example.units if isinstance(unit, int)}
    assert not ids & {family.tokenizer.id_of(name) for name in ("<img>", "</img>", "<IMG_CONTEXT>")}


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("count", [1, 2, 5, 9])
def test_images_of_a_sample_share_its_tile_limit(name: str, count: int) -> None:
    pages = tuple(image(200, 60, seed=n) for n in range(count))
    talk = sample("<image>" * count + "Q", "A", images=pages)
    example = made(example_of(talk, FAMILIES[name], CFG))
    limit = max(1, 6 // count)
    assert len(example.images) == count
    assert all(page.tiles.fit.grid.tiles <= limit for page in example.images)
    assert example.images[0].tiles.fit == fit_page(
        200, 60, replace(FAMILIES[name].tiling, max_tiles=limit)
    )


def test_a_sample_without_images_and_a_document_are_examples() -> None:
    for family in FAMILIES.values():
        assert made(example_of(sample("Q", "A"), family, CFG)).images == ()
        turns = (Turn(role="assistant", text="One.\n<image>\nTwo."),)
        page = Sample(id="", turns=turns, images=(image(),), where="d:1", is_document=True)
        example = made(example_of(page, family, CFG))
        assert said(family, example) == "One.\n\nTwo."
        assert example.labels[-1] == family.tokenizer.eos_id
        assert example.labels[0] == (
            IGNORE if family.tokenizer.bos_id is not None else example.units[0]
        )


def cases(folder: Path) -> list[tuple[Sample, str, str]]:
    (folder / "text.png").write_text("no picture")
    (folder / "cut.png").write_bytes((image(400, 400).data or b"")[:4_000])
    text = ImageRef(name="text.png", path=folder / "text.png")
    cut = ImageRef(name="cut.png", path=folder / "cut.png")
    page = (image(),)
    return [
        (sample("<image>Q", "A", images=(missing(folder),)), "missing image", "does not exist"),
        (sample("<image>Q", "A", images=(text,)), "damaged image", "text.png is"),
        (sample("<image>Q", "A", images=(cut,)), "damaged image", "cut short"),
        (sample("Q", "A " * 2_000), "too long", "2000 are allowed"),
        (sample("<image>Q", "A", images=page * 2), "wrong placeholder count", "1 image place"),
    ]


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("number", range(5))
def test_a_bad_sample_says_why(tmp_path: Path, name: str, number: int) -> None:
    talk, reason, detail = cases(tmp_path)[number]
    found = refused(example_of(talk, FAMILIES[name], CFG))
    assert (found.where, found.reason) == ("a.jsonl:1", reason)
    assert detail in found.detail


def test_a_text_with_a_marker_is_bad() -> None:
    for name, marker in [("ixc2", "<ImageHere>"), ("ixc2", IXC2.end), ("internvl", "</img>")]:
        found = refused(example_of(sample(f"Q{marker}", "A"), FAMILIES[name], CFG))
        assert found.reason == "marker in text"


def test_the_same_key_gives_the_same_example_and_another_a_different_one() -> None:
    cfg = replace(CFG, is_augmented=True, max_tiles=20)
    for name, family in FAMILIES.items():
        own = replace(cfg, is_scaled=name == "ixc2")
        talk = sample("<image>Q", "A", images=(image(30, 22),))
        first, again, *others = (
            made(example_of(talk, family, own, key)).images[0].tiles
            for key in [(1, 2), (1, 2), (1, 3), (1, 4), (1, 5)]
        )
        assert np.array_equal(first.canvas, again.canvas)
        assert any(not np.array_equal(first.canvas, other.canvas) for other in others)
        cut = first.canvas.reshape(
            first.fit.grid.rows, first.fit.tile, first.fit.grid.cols, first.fit.tile, 3
        )
        assert np.array_equal(cut.swapaxes(1, 2).reshape(first.local.shape), first.local)
        if name == "ixc2":
            grids = {first.fit.grid, *(other.fit.grid for other in others)}
            assert len(grids) > 1


def test_a_drawn_size_lies_between_the_page_s_own_and_the_largest() -> None:
    cfg = TilingConfig(max_tiles=25)
    for width, height in [(1000, 700), (100, 100), (3000, 2000), (400, 1500), (5000, 100)]:
        most = max(fit_page(width, height, cfg).grid)
        own = min(-(-max(width, height) // 336), most)
        seen = set()
        for key in range(200):
            limit = drawn_limit(width, height, cfg, key)
            assert limit <= 25
            seen.add(max(fit_page(width, height, replace(cfg, max_tiles=limit)).grid))
        assert seen == set(range(own, most + 1))


def test_scaling_is_refused_where_pages_are_stretched() -> None:
    talk = sample("<image>Q", "A", images=(image(),))
    with pytest.raises(ConfigError, match="is_scaled is set"):
        example_of(talk, FAMILIES["internvl"], replace(CFG, is_scaled=True))


@pytest.mark.parametrize("values", [{"max_tiles": 0}, {"max_tokens": 0}, {"frames": (3, 2)}])
def test_settings_that_cannot_hold_are_refused(values: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        replace(CFG, **values)


def test_frames_of_a_video_are_drawn_one_from_each_part(tmp_path: Path) -> None:
    (tmp_path / "v.mp4").write_bytes(video(frames=40, rate=10))
    clip = ImageRef(name="v.mp4", path=tmp_path / "v.mp4", clip_s=(1.0, 3.0))
    talk = replace(sample("<video>\nWhat?", "A", images=(clip,)), is_video=True)
    cfg = replace(CFG, frames=(4, 6))
    for family in FAMILIES.values():
        example = made(example_of(talk, family, cfg, (3,)))
        tiles = [page.tiles for page in example.images]
        assert 4 <= len(tiles) <= 6
        assert all(page.fit.grid.tiles == 1 and page.is_frame for page in tiles)
        text = family.tokenizer.decode([u for u in example.units if isinstance(u, int)])
        assert "Frame-1: \nFrame-2: \n" in text
        numbers = [spelled(page.local[0]) for page in tiles]
        assert numbers == sorted(set(numbers))
        assert 10 <= numbers[0] <= numbers[-1] <= 30
    gone = replace(talk, images=(missing(tmp_path),))
    assert refused(example_of(gone, family, cfg)).reason == "missing image"


def test_units_of_internvl_unroll_to_the_ids_of_its_labels() -> None:
    family = FAMILIES["internvl"]
    talk = sample("<image>Q <image>", "A", "B", "C", images=(image(300, 60), image(20, 20)))
    example = made(example_of(talk, family, CFG))
    slots = [len(page.plan) - 2 for page in example.images]
    found = labelled(talk.turns, family.template, family.tokenizer, family.system, slots=slots)
    names = ("<img>", "<IMG_CONTEXT>", "</img>")
    start, slot, stop = (family.tokenizer.id_of(name) or 0 for name in names)
    ids: list[int] = []
    for unit in example.units:
        if isinstance(unit, Image):
            ids += [start, *[slot] * (len(unit.plan) - 2), stop]
        else:
            ids.append(unit)
    assert tuple(ids) == found.ids
    assert example.labels == found.labels


def travels(tokenizer: Tokenizer) -> bool:
    again = pickle.loads(pickle.dumps(tokenizer))
    text = "A page, 第3页 <img> naïve 🙂"
    return bool(again.encode(text, bos=True) == tokenizer.encode(text, bos=True))


@pytest.mark.parametrize("train", [train_qwen2, train_internlm2])
def test_tokenizers_travel_to_other_processes(tmp_path: Path, train: Callable[..., Path]) -> None:
    assert travels(load_tokenizer(train(tmp_path), 1_000_000))


def test_a_tokenizer_of_one_json_file_travels_too(tmp_path: Path) -> None:
    tokenizers = pytest.importorskip("tokenizers")
    train_qwen2(tmp_path)
    files = [tmp_path / "vocab.json", tmp_path / "merges.txt"]
    model = tokenizers.models.BPE.from_file(*map(str, files))
    whole = tokenizers.Tokenizer(model)
    whole.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    whole.decoder = tokenizers.decoders.ByteLevel()
    whole.add_special_tokens(["<|im_end|>"])
    for path in files:
        path.unlink()
    whole.save(str(tmp_path / "tokenizer.json"))
    assert travels(load_tokenizer(tmp_path, 1_000_000))


def test_a_family_travels_to_other_processes() -> None:
    for family in FAMILIES.values():
        again: Family = pickle.loads(pickle.dumps(family))
        talk = sample("Q", "A")
        assert made(example_of(talk, again, CFG)).units == made(example_of(talk, family, CFG)).units
