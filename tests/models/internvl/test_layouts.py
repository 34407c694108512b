"""Checkpoints from one layout to the other: nothing is lost, and nothing is read differently."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import save_file

from tests.models.internvl.published import (
    TEMPLATES,
    Parts,
    official_config,
    random_parts,
    random_tensors,
)
from tests.models.internvl.test_keys import adapted, golden_folders, same
from tilewise.cli.main import main
from tilewise.errors import ConfigError, WeightsError
from tilewise.models.internvl.config import NATIVE, OFFICIAL, read_config
from tilewise.models.internvl.keys import name_form, open_files, rules
from tilewise.models.internvl.model import load_internvl
from tilewise.models.internvl.pictures import PREPROCESSOR
from tilewise.models.names import renaming_to
from tilewise.weights.files import CONFIG, PICKLE, WEIGHTS, TensorFiles
from tilewise.weights.files import read_config as read_file
from tilewise.weights.keymap import load_weights


def official_folder(folder: Path, config: dict[str, Any]) -> Path:
    """A published folder with random weights."""
    folder.mkdir()
    said = {"img_start": 391, "img_end": 392, "img_context": 393}
    text = json.dumps({**config, "test_token_ids": said})
    (folder / CONFIG).write_text(text)
    save_file(random_tensors(config), folder / WEIGHTS)
    return folder


def run(*words: object) -> str:
    """What ``tilewise convert`` says; it has to succeed."""
    result = CliRunner().invoke(main, ["convert", *map(str, words)])
    assert result.exit_code == 0, result.output
    return result.output


def check_equal(one: Path, other: Path) -> None:
    first, second = TensorFiles(one), TensorFiles(other)
    assert first.infos.keys() == second.infos.keys()
    for name in first.infos:
        assert first.infos[name].dtype == second.infos[name].dtype
        assert torch.equal(first.read(name), second.read(name)), name


def read(folder: Path) -> Parts:
    """The weights of a folder, its adapters merged."""
    cfg = read_config(read_file(folder))
    files, parts = open_files(folder, cfg), Parts(cfg)
    load_weights(parts, files, rules(cfg, name_form(files.infos, folder)))
    return parts


@pytest.mark.parametrize("is_large", [False, True])
@pytest.mark.parametrize("name", TEMPLATES)
def test_there_and_back_is_the_identity(tmp_path: Path, name: str, is_large: bool) -> None:
    config = official_config(name, is_large=is_large) | {"system_message": "S", "note": [1]}
    source = official_folder(tmp_path / "source", config)
    run(source, tmp_path / "native", "--layout", "native", "--shard-size", "40kB")
    run(tmp_path / "native", tmp_path / "back", "--layout", "official", "--to", "pickle")
    check_equal(source, tmp_path / "back")
    native, back = (read_file(tmp_path / folder) for folder in ("native", "back"))
    assert back["llm_config"]["architectures"] == [name]
    assert read_config(back) == read_config(config)
    assert back["note"] == native["note"] == [1]
    assert same(read(source), read(tmp_path / "native"))


def test_the_native_config_says_what_the_library_must_not_guess(tmp_path: Path) -> None:
    source = official_folder(tmp_path / "source", official_config("Phi3ForCausalLM"))
    run(source, tmp_path / "native", "--layout", "native")
    config = read_file(tmp_path / "native")
    assert config["architectures"] == ["InternVLForConditionalGeneration"]
    assert config["tie_word_embeddings"] is False
    assert config["text_config"]["tie_word_embeddings"] is False
    assert (config["image_token_id"], config["image_seq_length"]) == (393, 4)
    assert config["text_config"]["rope_scaling"]["rope_type"] == "longrope"
    assert config["vision_config"]["image_size"] == [56, 56]
    assert name_form(TensorFiles(tmp_path / "native").infos, tmp_path) == "native"


def test_a_random_model_keeps_the_ids_of_its_tokens(tmp_path: Path) -> None:
    source = official_folder(tmp_path / "source", official_config())
    native = tmp_path / "native"
    run(source, native, "--layout", "native")
    config = read_file(native) | {"image_token_id": 380}
    del config["test_token_ids"]  # which the published layout has
    (native / CONFIG).write_text(json.dumps(config))
    run(native, tmp_path / "back", "--layout", "official")
    for folder in (native, tmp_path / "back"):
        tokenizer = load_internvl(folder).tokenizer
        found = [tokenizer.id_of(name) for name in ("<IMG_CONTEXT>", "<img>", "</box>")]
        assert found == [380, 378, 386]


def test_names_of_a_loaded_native_model_become_those_of_files(tmp_path: Path) -> None:
    source = official_folder(tmp_path / "source", official_config("Qwen2ForCausalLM"))
    run(source, tmp_path / "native", "--layout", "native")
    memory = tmp_path / "memory"
    memory.mkdir()
    (memory / CONFIG).write_text((tmp_path / "native" / CONFIG).read_text())
    save_file(
        random_tensors(official_config("Qwen2ForCausalLM"), "native-memory"), memory / WEIGHTS
    )
    run(memory, tmp_path / "files", "--layout", "native")
    check_equal(tmp_path / "native", tmp_path / "files")


def test_weights_under_our_names_get_either(tmp_path: Path) -> None:
    config = official_config("Phi3ForCausalLM")
    source = official_folder(tmp_path / "source", config)
    ours = tmp_path / "ours"
    ours.mkdir()
    (ours / CONFIG).write_text((source / CONFIG).read_text())
    torch.save(random_parts(config).state_dict(), ours / PICKLE)
    run(ours, tmp_path / "published")
    check_equal(source, tmp_path / "published")
    run(ours, tmp_path / "native", "--layout", "native")
    assert same(read(tmp_path / "native"), random_parts(config))


def test_adapters_are_merged_on_the_way(tmp_path: Path) -> None:
    config = official_config() | {"use_llm_lora": 3}
    source = official_folder(tmp_path / "source", config)
    save_file(adapted(random_tensors(config), 3, ["attention.wqkv", "w2"]), source / WEIGHTS)
    reader = load_internvl(source)
    for layout in ("official", "native"):
        run(source, tmp_path / layout, "--layout", layout)
        assert same(read(tmp_path / layout), read(source))
        assert same(load_internvl(tmp_path / layout).network, reader.network)
    said = read_file(tmp_path / "official")
    assert (said["use_llm_lora"], said["use_backbone_lora"]) == (0, 0)
    assert not any("lora" in name for name in TensorFiles(tmp_path / "official").infos)
    run(source, tmp_path / "as-it-is")
    check_equal(source, tmp_path / "as-it-is")


def test_settings_of_pictures_are_written_as_the_layout_has_them(tmp_path: Path) -> None:
    source = official_folder(tmp_path / "source", official_config())
    (source / PREPROCESSOR).write_text(json.dumps({"size": 56, "crop_size": 56}))
    (source / "generation_config.json").write_text("{}")
    run(source, tmp_path / "native", "--layout", "native")
    run(tmp_path / "native", tmp_path / "back", "--layout", "official")
    written = json.loads((tmp_path / "native" / PREPROCESSOR).read_text())
    assert (written["max_patches"], written["size"]) == (12, {"height": 56, "width": 56})
    assert json.loads((tmp_path / "back" / PREPROCESSOR).read_text())["size"] == 56
    assert (tmp_path / "back" / "generation_config.json").is_file()


@pytest.mark.parametrize("layout", [None, "native"])
def test_the_language_model_alone_is_quantised(tmp_path: Path, layout: str | None) -> None:
    source = official_folder(tmp_path / "source", official_config("Phi3ForCausalLM"))
    words = ["--layout", layout] if layout else []
    run(source, tmp_path / "int8", "--quantise", "int8", *words)
    names = [name for name in TensorFiles(tmp_path / "int8").infos if name.endswith("_int8")]
    assert len(names) == 2 * 4
    assert all(name.startswith("language_model.model.layers.") for name in names)
    with pytest.raises(ConfigError, match="its weights are quantised, and only others"):
        renaming_to(tmp_path / "int8", "official")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"ps_version": "v1"}, "has version 2 of the merge alone"),
        ({"use_llm_lora": 2}, "the two contradict each other"),
        ({"template": "phi3-chat"}, "contradict each other"),
    ],
)
def test_what_has_no_native_layout_is_told(
    tmp_path: Path, change: dict[str, Any], says: str
) -> None:
    source = official_folder(tmp_path / "source", official_config())
    config = read_file(source) | change
    (source / CONFIG).write_text(json.dumps(config))
    with pytest.raises((ConfigError, WeightsError), match=says):
        renaming_to(source, "native")
    result = CliRunner().invoke(
        main, ["convert", str(source), str(tmp_path / "native"), "--layout", "native"]
    )
    assert result.exit_code == 1
    assert result.output.count("\n") == 1
    assert not (tmp_path / "native").exists()


def test_tensors_that_do_not_fit_are_told_before_anything_is_written(tmp_path: Path) -> None:
    source = official_folder(tmp_path / "source", official_config())
    tensors = random_tensors(official_config())
    del tensors["mlp1.0.bias"]
    save_file(tensors, source / WEIGHTS)
    with pytest.raises(WeightsError, match=r"1 missing: mlp1\.0\.bias"):
        renaming_to(source, "native")


def test_a_family_of_one_layout_refuses_the_option(tmp_path: Path) -> None:
    (tmp_path / CONFIG).write_text('{"model_type": "internlmxcomposer2"}')
    with pytest.raises(ConfigError, match=r"'internlmxcomposer2' has one layout, .*leave out"):
        renaming_to(tmp_path, "native")


@pytest.mark.golden
@pytest.mark.parametrize(
    "folder", golden_folders(OFFICIAL) + golden_folders(NATIVE), ids=lambda path: path.name
)
def test_a_published_model_goes_there_and_back(folder: Path, tmp_path: Path) -> None:
    there, back = (
        ("native", "official") if folder in golden_folders(OFFICIAL) else ("official", "native")
    )
    if read_config(read_file(folder)).is_transposed:  # the library has no such form
        there = "official"
        with pytest.raises(ConfigError, match="has version 2 of the merge alone"):
            renaming_to(folder, "native")
    run(folder, tmp_path / "there", "--layout", there)
    run(tmp_path / "there", tmp_path / "back", "--layout", back)
    check_equal(folder, tmp_path / "back")
    assert read_config(read_file(tmp_path / "back")) == read_config(read_file(folder))
