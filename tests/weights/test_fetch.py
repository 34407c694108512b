"""Models by hub id: what is fetched, resumed, kept, refused, and said when there is no network."""

from __future__ import annotations

import builtins
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from huggingface_hub import constants
from safetensors.torch import save

from tests.engine.tiny_reader import load_tiny
from tests.weights.hub import COMMIT, Hub, running
from tilewise.cli.main import main
from tilewise.errors import MissingExtraError, WeightsError
from tilewise.models.folders import find
from tilewise.models.load import FAMILIES
from tilewise.weights.fetch import cached, fetch, wanted_files
from tilewise.weights.files import INDEX, PICKLE, PICKLE_INDEX, WEIGHTS, TensorFiles
from tilewise.weights.resume import PART

NAME = "maker/model"
TENSORS = {"a": torch.arange(300_000, dtype=torch.float32), "b": torch.ones(3)}
FILES = {
    "config.json": b'{"model_type": "tiny"}',
    "tokenizer.model": b"pieces",
    "README.md": b"words",
    "modeling.py": b"raise SystemExit",
    "training_args.bin": b"\x80",
    INDEX: json.dumps({"weight_map": {"a": "x-1.safetensors", "b": "x-2.safetensors"}}).encode(),
    "x-1.safetensors": save({"a": TENSORS["a"]}),
    "x-2.safetensors": save({"b": TENSORS["b"]}),
    PICKLE_INDEX: json.dumps({"weight_map": {"a": "y-1.bin"}}).encode(),
    "y-1.bin": b"\x80",
    "consolidated.safetensors": b"more",
}
WANTED = {"config.json", "tokenizer.model", INDEX, "x-1.safetensors", "x-2.safetensors"}


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with running(NAME, dict(FILES)) as server:
        monkeypatch.setattr(constants, "ENDPOINT", server.address)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
        monkeypatch.setattr(
            constants,
            "HUGGINGFACE_CO_URL_TEMPLATE",
            server.address + "/{repo_id}/resolve/{revision}/{filename}",
        )
        yield server


def test_a_model_is_fetched_without_code_and_other_formats(hub: Hub) -> None:
    reports: list[tuple[str, int, int]] = []
    folder = fetch(NAME, lambda *report: reports.append(report))
    assert {path.name for path in folder.iterdir()} == WANTED
    found = TensorFiles(folder)
    assert all(torch.equal(found.read(name), tensor) for name, tensor in TENSORS.items())
    assert reports[-1] == ("MiB fetched", 1, 1)
    assert all(done <= total for _, done, total in reports)


def test_what_is_here_already_asks_nothing_of_the_network(hub: Hub) -> None:
    folder = fetch(NAME)
    hub.got.clear()
    assert fetch(NAME) == find(NAME) == folder
    assert hub.got == []


def test_a_line_that_breaks_is_taken_up_where_it_broke(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 100_000)
    hub.cut = 500_000
    folder = fetch(NAME)
    assert torch.equal(TensorFiles(folder).read("a"), TENSORS["a"])
    ranges = [wanted for verb, path, wanted in hub.got if path.endswith("x-1.safetensors")]
    assert [r for r in ranges if r] == ["bytes=500000-"]


def test_a_run_that_is_stopped_keeps_the_files_that_are_whole(hub: Hub) -> None:
    def stop(*_: object) -> None:
        if any(path.endswith("x-2.safetensors") for _, path, _ in hub.got):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch(NAME, stop)
    hub.got.clear()
    fetch(NAME)
    assert not [1 for verb, path, _ in hub.got if verb == "GET" and "x-1" in path]


def test_a_run_that_is_stopped_in_a_file_goes_on_from_there(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 100_000)
    folder = fetch(NAME)
    (folder / "x-1.safetensors").resolve().unlink()
    (folder / "x-1.safetensors").unlink()

    def stop(stage: str, done: int, total: int) -> None:
        sizes = [part.stat().st_size for part in tmp_path.rglob(f"*{PART}")]
        if sizes and sizes[0] >= 400_000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch(NAME, stop)
    (part,) = tmp_path.rglob(f"*{PART}")
    assert part.read_bytes() == FILES["x-1.safetensors"][:400_000]
    hub.got.clear()
    reports: list[tuple[str, int, int]] = []
    assert fetch(NAME, lambda *report: reports.append(report)) == folder
    assert torch.equal(TensorFiles(folder).read("a"), TENSORS["a"])
    ranges = [wanted for verb, path, wanted in hub.got if path.endswith("x-1.safetensors")]
    assert [r for r in ranges if r] == ["bytes=400000-"]
    assert all(done <= total for _, done, total in reports)
    assert not list(tmp_path.rglob(f"*{PART}"))


def test_a_part_that_was_damaged_is_not_taken(hub: Hub, tmp_path: Path) -> None:
    folder = fetch(NAME)
    blob = (folder / "x-1.safetensors").resolve()
    (folder / "x-1.safetensors").unlink()
    blob.rename(blob.with_name(blob.name + PART)).write_bytes(b"x" * 500_000)
    with pytest.raises(WeightsError, match=r"x-1\.safetensors of maker/model was damaged on its"):
        fetch(NAME)
    assert not list(tmp_path.rglob(f"*{PART}"))
    assert torch.equal(TensorFiles(fetch(NAME)).read("a"), TENSORS["a"])


def test_a_part_of_a_model_is_completed(hub: Hub) -> None:
    folder = fetch(NAME)
    (folder / "x-2.safetensors").unlink()
    assert {path.name for path in fetch(NAME).iterdir()} == WANTED


def test_without_network_one_sentence_says_what_is_missing(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(WeightsError, match=r"not on this machine and the hub cannot be reached"):
        fetch(NAME)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    folder = fetch(NAME)
    (folder / "x-2.safetensors").unlink()
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")  # nobody answers there
    with pytest.raises(WeightsError, match=r"only in part on this machine and the hub cannot be"):
        fetch(NAME)


def test_what_the_cache_holds_is_listed_without_the_network(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cached() == []
    folder = fetch(NAME)
    hub.got.clear()
    monkeypatch.setitem(FAMILIES, "tiny", load_tiny)
    (whole,) = cached()
    assert (whole.hub_id, whole.folder, whole.is_whole) == (NAME, folder, True)
    assert whole.size_bytes == sum(path.stat().st_size for path in folder.iterdir())
    listed = CliRunner().invoke(main, ["models"]).output
    assert any(line.startswith(NAME) and str(folder) in line for line in listed.splitlines())
    assert "in part" not in listed
    (folder / "x-2.safetensors").unlink()
    assert [one.is_whole for one in cached()] == [False]
    assert "in part; asking it fetches the rest" in CliRunner().invoke(main, ["models"]).output
    monkeypatch.delitem(FAMILIES, "tiny")
    assert NAME not in CliRunner().invoke(main, ["models"]).output
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "none"))
    assert cached() == []
    assert hub.got == []


def test_a_revision_is_listed_by_its_name_and_found_by_it(hub: Hub) -> None:
    fetch(f"{NAME}@{COMMIT}")
    (kept,) = cached()
    assert kept.hub_id == f"{NAME}@{COMMIT}"
    hub.got.clear()
    assert find(kept.hub_id) == kept.folder
    assert hub.got == []


def test_a_model_that_is_not_there_is_named(hub: Hub) -> None:
    with pytest.raises(WeightsError, match=r"'maker/other' is no folder here and no model on the"):
        find("maker/other")


def test_a_model_without_weights_or_config_is_named(hub: Hub) -> None:
    hub.files = {"config.json": b"{}", "a.gguf": b"x"}
    with pytest.raises(WeightsError, match=r"maker/model on the hub: it holds none of model\.safe"):
        fetch(NAME)
    hub.files = {WEIGHTS: save(TENSORS)}
    with pytest.raises(WeightsError, match=r"on the hub has no config\.json"):
        fetch(NAME)


def test_safetensors_are_preferred_and_pickles_taken_where_there_are_none() -> None:
    both = ["config.json", WEIGHTS, PICKLE, PICKLE_INDEX, "a/model.safetensors", "x.py", ".json"]
    assert wanted_files(both) == (["config.json"], (WEIGHTS, INDEX))
    assert wanted_files([PICKLE_INDEX, "vocab.txt"]) == (
        ["vocab.txt", PICKLE_INDEX],
        (PICKLE, PICKLE_INDEX),
    )
    assert wanted_files([PICKLE, "tokenizer.model"]) == (
        ["tokenizer.model"],
        (PICKLE, PICKLE_INDEX),
    )


def test_without_the_extra_the_error_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any, **named: Any) -> Any:
        if name.startswith("huggingface_hub"):
            raise ImportError(name)
        return real(name, *rest, **named)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingExtraError, match=r"pip install 'tilewise\[hub\]'"):
        find("maker/model")
