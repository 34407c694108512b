"""Settings: from files and texts, refused by name where they do not fit, told apart by a hash."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tilewise.corpus.config import PROFILES, CorpusConfig, profile, read_config
from tilewise.errors import ConfigError
from tilewise.settings import digest, plain, with_options, with_values


@pytest.mark.parametrize("name", PROFILES)
def test_a_profile_survives_json(name: str) -> None:
    said = json.loads(json.dumps(plain(profile(name))))
    assert with_values(CorpusConfig(), said) == profile(name)


def test_profiles_differ_by_their_hash() -> None:
    assert len({digest(profile(name).told()) for name in PROFILES}) == len(PROFILES)


def test_how_work_is_cut_changes_no_hash() -> None:
    small = with_options(CorpusConfig(), ["run.shard_bytes=1000"])
    assert small != CorpusConfig()
    assert small.told() == CorpusConfig().told()


@pytest.mark.parametrize("ending", ["toml", "json"])
def test_a_file_begins_with_a_profile_and_changes_it(tmp_path: Path, ending: str) -> None:
    file = tmp_path / f"my.{ending}"
    if ending == "toml":
        file.write_text('profile = "strict"\n[dedup]\nthreshold = 0.7\n[lines]\nmost = 3\n')
    else:
        file.write_text('{"profile": "strict", "dedup": {"threshold": 0.7}, "lines": {"most": 3}}')
    cfg = read_config(file)
    assert cfg.dedup.threshold == 0.7
    assert cfg.dedup.image_set
    assert cfg.lines is not None
    assert cfg.lines.most == 3


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["dedup.treshold=0.7"], "did you mean dedup.threshold?"),
        (["dedupe.threshold=0.7"], "did you mean dedup?"),
        (["dedup.threshold=high"], "dedup.threshold is 'high'; a number is allowed"),
        (["prelim_text.words_min=0.5"], "words_min is 0.5; a whole number is allowed"),
        (["output.forms=[]"], "one or more of parquet, webdataset, jsonl"),
        (["lines.most=0"], "most is 0"),
        (["dedup"], "has no value"),
        (['scorers={"fluency_prob": {"model": "a.onnx"}}'], "tokenizer is missing"),
    ],
)
def test_what_does_not_fit_is_told_with_what_does(options: list[str], said: str) -> None:
    with pytest.raises(ConfigError) as told:
        with_options(CorpusConfig(), options)
    assert said in str(told.value)


def test_a_part_that_is_off_is_switched_on_by_a_setting_of_it_and_off_again() -> None:
    cfg = with_options(CorpusConfig(), ["fetch.contact=me@example.org"])
    assert cfg.fetch is not None
    assert with_options(cfg, ["fetch=null"]).fetch is None


@pytest.mark.parametrize(
    ("text", "said"),
    [("{", "is no JSON"), ("[1]", "a table of settings is needed"), ('{"x": 1}', "x is unknown")],
)
def test_a_file_that_is_no_config_is_named(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "my.json"
    file.write_text(text)
    with pytest.raises(ConfigError, match=r"my\.json") as told:
        read_config(file)
    assert said in str(told.value)


def test_an_unknown_profile_is_told_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean omnicorpus-en"):
        profile("omnicorpus-eng")
