"""Training on shards of documents: each once in a pass, resumed, groups decoded a few times."""

from __future__ import annotations

import json
from collections import Counter
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from tests.shards.documents import document
from tests.shards.making import picture, record, write_lines
from tests.train.making import internvl
from tilewise.shards.bad import BadConfig
from tilewise.shards.document_files import ShardsConfig, write_documents
from tilewise.shards.document_shards import Shards
from tilewise.shards.index import Form, write_index
from tilewise.train.data import DataConfig, open_packs
from tilewise.train.mix import Group, Mix
from tilewise.train.packing import PackingConfig

SMALL = ShardsConfig(group_bytes=6_000, shard_bytes=20_000)


def write(folder: Path, count: int, form: Form) -> None:
    documents = [document(n, images=n % 2, words=8) for n in range(count)]
    shards = write_documents(
        documents, folder, form=form, cfg=SMALL, lookup=lambda url: picture(30, 20)
    )
    write_index(folder, shards, form)


@pytest.fixture
def meta(tmp_path: Path) -> Path:
    """18 documents with their images in archives, and 7 conversations."""
    write(tmp_path / "final", 18, "webdataset")
    write_lines(tmp_path / "texts.jsonl", [record(str(n), None, "Say", f"{n}") for n in range(7)])
    listing = {
        "web": {"annotation": "final", "root": ""},
        "texts": {"annotation": "texts.jsonl", "root": ""},
    }
    path = tmp_path / "meta.json"
    path.write_text(json.dumps(listing))
    return path


FORMS: dict[str, dict[str, Any]] = {
    "batches": {"batch": 2},
    "grouped": {"batch": 2, "is_grouped": True},
    "sqrt": {"weighting": "sqrt"},
    "packed": {"packing": PackingConfig(tiles=30, tokens=900, buffers=2)},
}


@pytest.mark.parametrize("form", FORMS)
def test_documents_and_conversations_come_once_in_a_pass_and_are_resumed(
    meta: Path, form: str
) -> None:
    cfg = DataConfig(
        meta=str(meta),
        context=900,
        max_tiles=2,
        bad=BadConfig(most_share=0.0, least=1),
        **FORMS[form],
    )
    row = [pack.ids for pack in islice(open_packs(cfg, internvl(), seed=5, workers=0), 14)]
    packs = open_packs(cfg, internvl(), seed=5, workers=0)
    assert [pack.ids for pack in islice(packs, 5)] == row[:5]
    state = json.loads(json.dumps(packs.state()))
    again = open_packs(cfg, internvl(), seed=5, workers=0)
    again.load_state(state)
    assert [pack.ids for pack in islice(again, 9)] == row[5:]
    steps = packs.steps_per_epoch
    if form == "batches" and steps is not None:
        packs = open_packs(cfg, internvl(), seed=1, workers=0)
        seen = [name for pack in islice(packs, steps) for name in pack.ids]
        assert len(seen) == len(set(seen)) == 25


def test_a_pass_over_ranks_has_each_once_and_stays_within_few_groups() -> None:
    runs = (50,) * 40
    groups = [
        Group(sources=(0, 2), sizes=(2000, 300), batch=3, runs=(runs, None)),
        Group(sources=(1,), sizes=(100,), batch=2),
    ]
    mixes = [Mix(groups, seed=2, rank=rank, world=3) for rank in range(3)]
    picks = []
    for _ in range(mixes[0].batches):
        picks += [pick for mix in mixes for pick in next(mix) if pick.epoch == 0]
    assert len(picks) == len(set(picks)) == 2400
    web = [pick.item // 50 for pick in picks if pick.source == 0]
    near = [len(set(web[at : at + 100])) for at in range(0, 1900, 50)]
    assert max(near) <= 6
    kinds = Counter(pick.source for pick in picks[:480])
    assert kinds[0] > 300
    assert kinds[2] > 30


def test_groups_are_decoded_a_few_times_in_a_pass(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "final", 200, "jsonl")
    reads: Counter[int] = Counter()
    own = Shards._rows

    def counted(self: Shards, group: int) -> Any:
        reads[group] += group not in self._kept
        return own(self, group)

    monkeypatch.setattr(Shards, "_rows", counted)
    cfg = DataConfig(
        meta=str(tmp_path / "final"), context=9000, max_tiles=1, bad=BadConfig(most_share=1.0)
    )
    packs = open_packs(cfg, internvl(), seed=1, workers=0)
    list(islice(packs, 90))  # half of the documents have images, which are not there
    assert len(reads) > 10
    assert sum(reads.values()) <= 1.5 * len(reads)
