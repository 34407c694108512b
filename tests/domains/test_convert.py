"""A folder of raw files becomes data that the readers of samples understand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.domains import raw
from tilewise.domains.convert import META, TESTS, convert
from tilewise.domains.mixture import Mixing, mixed, read_meta, write_meta
from tilewise.errors import ConfigError, DataError
from tilewise.shards.bad import BadConfig
from tilewise.shards.conversation import Sample
from tilewise.shards.listing import open_data

BEAR = BadConfig(most_share=0.7)


def _raw(domain: str, root: Path) -> None:
    root.mkdir()
    if domain == "driving":
        raw.drivelm(root)
        raw.bddx(root)
    elif domain == "medical":
        raw.pmc_vqa(root)
        raw.captions(root)
    else:
        for name in ("geochat", "fit_rs", "dior_rsvg"):
            (root / name).mkdir()
            getattr(raw, name)(root / name)
        (root / "rsvqa").mkdir()
        raw.rsvqa(root / "rsvqa")
        raw.rsvqa(root / "rsvqa", "LR_split_train")


@pytest.mark.parametrize(
    ("domain", "train", "test"),
    [
        ("driving", {"drivelm-v1_1_train_nus": 5, "bddx-BDD_X_training_label": 4}, {"drivelm": 1}),
        ("medical", {"pmc-vqa": 1, "captions-pmc_oa": 1}, {}),
        (
            "remote-sensing",
            {
                "geochat-GeoChat_Instruct": 4,
                "rsvqa-LR_split_train": 5,
                "dior-rsvg": 2,
                "fit-rs-FIT-RS-train-1415k": 1,
            },
            {"rsvqa": 5, "dior-rsvg": 1},
        ),
    ],
)
def test_all_data_sets_of_a_domain_are_found_and_readable(
    domain: str, train: dict[str, int], test: dict[str, int], tmp_path: Path
) -> None:
    _raw(domain, tmp_path / "raw")
    out = tmp_path / "out"
    convert(domain, tmp_path / "raw", out, bad=BEAR)  # type: ignore[arg-type]
    listed = open_data(out / META)
    repeats = {name: entry["repeat_time"] for name, entry in _json(out / META).items()}
    assert {one.name: len(one.data) // repeats[one.name] for one in listed} == train
    for one in listed:
        for number in range(len(one.data)):
            sample = one.data[number]
            assert isinstance(sample, Sample), sample
            assert all(ref.page().width > 0 for ref in sample.images)
    tests = _json(out / TESTS)
    assert {entry["task"]: entry["length"] for entry in tests} == test
    for entry in tests:
        lines = (out / entry["annotation"]).read_text().splitlines()
        assert len(lines) == entry["length"]
        record = json.loads(lines[0])
        assert (out / entry["root"] / record["image"]).is_file()


def _json(path: Path) -> Any:
    return json.loads(path.read_text())


def test_bad_records_are_listed_and_too_many_stop(tmp_path: Path) -> None:
    _raw("medical", tmp_path / "raw")
    with pytest.raises(DataError, match="3 of 5 samples are bad"):
        convert("medical", tmp_path / "raw", tmp_path / "out")
    lines = (tmp_path / "out" / "bad.jsonl").read_text().splitlines()
    assert [json.loads(line)["reason"] for line in lines] == [
        "missing image",
        "unreadable record",
        "unreadable record",
    ]
    assert not (tmp_path / "out" / META).exists()


def test_a_folder_without_raw_files_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="holds no file of driving"):
        convert("driving", tmp_path, tmp_path / "out")
    with pytest.raises(ConfigError, match="no such folder"):
        convert("driving", tmp_path / "none", tmp_path / "out")


DOMAIN = {"drive": {"annotation": "a.jsonl", "length": 400, "repeat_time": 1}}
GENERAL = {
    "docs": {"annotation": "d.jsonl", "length": 300, "repeat_time": 1},
    "charts": {"annotation": "c.jsonl", "length": 100, "repeat_time": 1},
}


@pytest.mark.parametrize(
    ("cfg", "times"),
    [
        (Mixing(ratio=0.25), {"docs": 0.25, "charts": 0.25}),
        (Mixing(ratio=1.0), {"docs": 1.0, "charts": 1.0}),
        (Mixing(ratio=3.0), {"docs": 3, "charts": 3}),
        (Mixing(share=0.2), {"docs": 0.2, "charts": 0.2}),
        (Mixing(ratio=0.0), {}),
    ],
)
def test_general_data_comes_in_the_ratio_asked_for(cfg: Mixing, times: dict[str, float]) -> None:
    made = mixed(DOMAIN, GENERAL, cfg)
    assert {name: made[name]["repeat_time"] for name in made if name != "drive"} == times
    assert made["drive"] == DOMAIN["drive"]


def test_a_mixture_is_readable_where_it_is_written(tmp_path: Path) -> None:
    _raw("remote-sensing", tmp_path / "raw")
    convert("remote-sensing", tmp_path / "raw", tmp_path / "out", bad=BEAR)
    general = tmp_path / "general"
    general.mkdir()
    turns = [{"from": "human", "value": "Two?"}, {"from": "gpt", "value": "2"}]
    lines = "\n".join(json.dumps({"id": n, "conversations": turns}) for n in range(24))
    (general / "g.jsonl").write_text(lines)
    write_meta(general / "meta.json", {"g": {"root": ".", "annotation": "g.jsonl", "length": 24}})
    out = tmp_path / "out"
    entries = read_meta(general / "meta.json", out)
    write_meta(out / "mixed.json", mixed(read_meta(out / META, out), entries, Mixing(ratio=0.75)))
    counts = {one.name: len(one.data) for one in open_data(out / "mixed.json")}
    assert counts["g"] == 12
    assert sum(counts.values()) == 12 + 4 + 5 + 2 * 3 + 1


def test_a_mixture_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="give one of the two"):
        Mixing(ratio=1.0, share=0.5)
    with pytest.raises(ConfigError, match="drive is a data set of both"):
        mixed(DOMAIN, DOMAIN, Mixing(ratio=1.0))
    with pytest.raises(DataError, match="length is None"):
        mixed(DOMAIN, {"g": {"annotation": "g.jsonl"}}, Mixing(ratio=1.0))
    (tmp_path / "meta.json").write_text("[]")
    with pytest.raises(DataError, match="no meta file"):
        read_meta(tmp_path / "meta.json", tmp_path)
