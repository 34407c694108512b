"""The transformers library's own InternVL gives what this reader gives, on converted weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file, save_file

from tests.models.internvl.published import TEMPLATES, official_config, random_tensors
from tilewise.cli.main import main
from tilewise.errors import WeightsError
from tilewise.models.internvl.model import InternVLReader, load_internvl
from tilewise.models.internvl.network import MEAN, STD
from tilewise.models.units import Prompt
from tilewise.records import Page, Tiles
from tilewise.weights.files import CONFIG, WEIGHTS

transformers = pytest.importorskip("transformers", reason="transformers is not installed")

START, END, CONTEXT = 391, 392, 393
NEW_IDS = 12


@pytest.fixture(autouse=True, scope="module")
def quiet() -> Any:
    """The library says what it loads; that is no warning of ours."""
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()


def folders(tmp_path: Path, name: str, *, is_large: bool, **language: object) -> tuple[Path, Path]:
    """A published folder with random weights, and what the converter makes of it.

    ``language`` are fields of the language model.
    """
    official, native = tmp_path / "official", tmp_path / "native"
    official.mkdir()
    said = {"img_start": START, "img_end": END, "img_context": CONTEXT}
    config = official_config(name, is_large=is_large)
    config["llm_config"] |= language
    (official / CONFIG).write_text(json.dumps({**config, "test_token_ids": said}))
    save_file(random_tensors(config), official / WEIGHTS)
    words = ["convert", str(official), str(native), "--layout", "native"]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 0, result.output
    return official, native


def peer(folder: Path) -> Any:
    """The library's model of a folder, loaded by itself without a note on missing weights."""
    model, notes = transformers.InternVLForConditionalGeneration.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager", output_loading_info=True
    )
    assert not any(notes.values()), notes
    return model.eval()


def page(width: int, height: int) -> Page:
    pixels = np.random.default_rng(width).integers(0, 256, (height, width, 3), np.uint8)
    return Page(pixels=pixels, name="noise")


def pixels(tiles: Tiles) -> torch.Tensor:
    """The views of a page, normalised, (n, 3, tile, tile), tiles first."""
    views = [*tiles.local, *([] if tiles.whole is None else [tiles.whole])]
    x = torch.from_numpy(np.stack(views)).permute(0, 3, 1, 2).float() / 255
    return (x - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]


def ids_of(prompt: Prompt) -> list[int]:
    """A prompt's ids with those of visual tokens and of the ends of pages spelt out."""
    ids: list[int] = []
    for unit in prompt.units:
        if isinstance(unit, int):
            ids.append(unit)
        else:
            visual = int((unit.plan.entries >= 0).sum())
            ids += [START, *[CONTEXT] * visual, END]
    return ids


def greedy(reader: InternVLReader, prompt: Prompt) -> list[int]:
    logits, cache = reader.prefill([prompt])
    ids: list[int] = []
    for _ in range(NEW_IDS):
        best = logits.argmax(-1)
        ids.append(int(best))
        logits = reader.decode(best, cache)
    return ids


def compare(official: Path, native: Path, max_tiles: int, text: list[int]) -> None:
    model = peer(native)
    ours, theirs = load_internvl(official), load_internvl(native)
    tiles = ours.tiles(page(150, 90), max_tiles)
    prompt = ours.prompt_of([[1, *text], text], [tiles])
    ids = torch.tensor([ids_of(prompt)])
    with torch.inference_mode():
        wanted = model(input_ids=ids, pixel_values=pixels(tiles)).logits[0]
        said = model.generate(
            input_ids=ids,
            pixel_values=pixels(tiles),
            attention_mask=torch.ones_like(ids),
            max_new_tokens=NEW_IDS,
            min_new_tokens=NEW_IDS,
            do_sample=False,
            eos_token_id=None,
            pad_token_id=0,
        )
    for reader in (ours, theirs):
        torch.testing.assert_close(reader.all_logits(prompt), wanted, rtol=0, atol=1e-3)
        assert greedy(reader, prompt) == said[0, ids.shape[1] :].tolist()


@pytest.mark.parametrize("is_large", [False, True], ids=["layer-norm", "rms-norm"])
@pytest.mark.parametrize("name", TEMPLATES)
def test_logits_and_answers_are_the_library_s(tmp_path: Path, name: str, is_large: bool) -> None:
    """Phi-3's prompt is longer than its original 40 positions, so its long factors are in use.

    An answer that grows over them is left out: the library keeps what it has made with the others.
    """
    compare(*folders(tmp_path, name, is_large=is_large), 6, [5, 17, 200, 31, 8, 90, 64, 3])


def test_short_prompts_of_phi_3_have_the_short_factors(tmp_path: Path) -> None:
    official, native = folders(tmp_path, "Phi3ForCausalLM", is_large=False)
    compare(official, native, 1, [5, 17])


@pytest.mark.parametrize("length", [39, 40, 41])
@pytest.mark.parametrize("name", ["InternLM2ForCausalLM", "Phi3ForCausalLM"])
def test_tables_change_at_the_length_where_the_library_s_do(
    tmp_path: Path, name: str, length: int
) -> None:
    """Answers grow over the border with our cache, and without one in the library.

    The library's own cache keeps what the table before the border made, and its dynamic table
    stays as long as the longest sequence was, until a short one comes.
    """
    changed = {"max_position_embeddings": 40} if name == "InternLM2ForCausalLM" else {}
    official, native = folders(tmp_path, name, is_large=False, **changed)
    model, ours = peer(native), load_internvl(official)
    ours.context, ours.chunk = 400, 7
    ids = np.random.default_rng(length).integers(5, 380, length).tolist()
    prompt = ours.prompt_of([ids], [])

    def theirs() -> torch.Tensor:
        with torch.inference_mode():
            model(input_ids=torch.tensor([ids[:3]]), use_cache=False)
            return model(input_ids=torch.tensor([ids]), use_cache=False).logits[0]

    torch.testing.assert_close(ours.all_logits(prompt), theirs(), rtol=0, atol=1e-3)
    logits, cache = ours.prefill([prompt])
    for _ in range(4):
        wanted = theirs()[-1]
        torch.testing.assert_close(logits[0], wanted, rtol=0, atol=1e-3)
        ids.append(int(wanted.argmax()))
        logits = ours.decode(torch.tensor(ids[-1:]), cache)


@pytest.mark.parametrize("said", [None, True])
def test_a_model_that_the_library_ties_is_tied(tmp_path: Path, said: bool | None) -> None:
    """Files without an output are tied by the library even where their config does not say so.

    What it saves then says so. The published layout has the output as a tensor of its own.
    """
    _, native = folders(tmp_path, "Qwen2ForCausalLM", is_large=False)
    config = json.loads((native / CONFIG).read_text())
    del config["tie_word_embeddings"]
    config |= {} if said is None else {"tie_word_embeddings": said}
    (native / CONFIG).write_text(json.dumps(config))
    tensors = load_file(native / WEIGHTS)
    if said:
        with pytest.raises(WeightsError, match=r"1 extra: language_model\.lm_head\.weight"):
            load_internvl(native)
    del tensors["language_model.lm_head.weight"]
    save_file(tensors, native / WEIGHTS)
    if not said:
        with pytest.raises(WeightsError, match=r"1 missing: language_model\.lm_head\.weight"):
            load_internvl(native)
    model, saved, back = peer(native), tmp_path / "saved", tmp_path / "back"
    assert model.lm_head.weight is model.model.language_model.embed_tokens.weight
    model.save_pretrained(saved)
    result = CliRunner().invoke(main, ["convert", str(saved), str(back), "--layout", "official"])
    assert result.exit_code == 0, result.output
    ids = [1, 5, 17, 200, 31, 8, 90]
    with torch.inference_mode():
        wanted = model(input_ids=torch.tensor([ids])).logits[0]
    for folder, is_tied in ((saved, True), (back, False)):
        reader = load_internvl(folder)
        assert reader.cfg.decoder.is_tied == is_tied
        found = reader.all_logits(reader.prompt_of([ids], []))
        torch.testing.assert_close(found, wanted, rtol=0, atol=1e-3)


@pytest.mark.parametrize("is_large", [False, True], ids=["layer-norm", "rms-norm"])
def test_norms_of_another_eps_are_the_library_s(tmp_path: Path, is_large: bool) -> None:
    """Those of queries and keys have the eps 1e-6 in the library, whatever the others have."""
    official, native = folders(tmp_path, "Qwen2ForCausalLM", is_large=is_large)
    for folder in (official, native):
        config = json.loads((folder / CONFIG).read_text())
        config["vision_config"]["layer_norm_eps"] = 0.05
        (folder / CONFIG).write_text(json.dumps(config))
    reader = load_internvl(native)
    seen = pixels(reader.tiles(page(90, 90), 1))
    with torch.inference_mode():
        wanted = peer(native).get_image_features(pixel_values=seen).pooler_output
        found = reader.network.encode(seen)
        other = load_internvl(official).network.encode(seen)
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-4)
    assert torch.allclose(other, found, atol=1e-4) != is_large
    for folder, layout in ((official, "native"), (native, "official")):
        words = ["convert", str(folder), str(tmp_path / f"as-{layout}"), "--layout", layout]
        result = CliRunner().invoke(main, words)
        assert result.exit_code == int(is_large), result.output
        assert ("norms of queries and keys" in result.output) == is_large


def test_a_reader_saved_by_the_library_is_read(tmp_path: Path) -> None:
    official, native = folders(tmp_path, "Qwen2ForCausalLM", is_large=False)
    peer(native).save_pretrained(tmp_path / "saved")
    one, other = load_internvl(official), load_internvl(tmp_path / "saved")
    a, b = one.network.state_dict(), other.network.state_dict()
    assert a.keys() == b.keys()
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert one.cfg.decoder == other.cfg.decoder
    assert one.cfg.vision == other.cfg.vision
