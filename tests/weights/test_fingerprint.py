"""The hash of a model changes with every file that its answers depend on."""

from __future__ import annotations

from pathlib import Path

import pytest

from tilewise.weights.fingerprint import fingerprint

NAMES = """
config.json model.safetensors tokenizer.model tokenizer.json tokenizer_config.json vocab.json
merges.txt added_tokens.json special_tokens_map.json
""".split()


@pytest.mark.parametrize("name", NAMES)
def test_files_of_weights_and_tokenizer_count(tmp_path: Path, name: str) -> None:
    (tmp_path / "config.json").write_text("{}")
    before = fingerprint(tmp_path)
    (tmp_path / name).write_text("[]")
    assert fingerprint(tmp_path) != before


def test_other_files_do_not_count(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    before = fingerprint(tmp_path)
    (tmp_path / "README.md").write_text("text")
    assert fingerprint(tmp_path) == before
