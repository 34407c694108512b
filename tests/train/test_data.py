"""Packs from files of samples: the same in any number of workers, resumed, and with bad samples."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from tests.shards.making import record, save_picture, write_lines
from tests.train.making import internvl, ixc2
from tilewise.errors import ConfigError, DataError
from tilewise.models.pack import Pack
from tilewise.models.units import Unit
from tilewise.shards.bad import BadConfig
from tilewise.train.data import DataConfig, Packs, ResolutionClass, open_packs
from tilewise.train.packing import PackingConfig

LENIENT = BadConfig(most_share=1.0)


@pytest.fixture
def meta(tmp_path: Path) -> Path:
    """Two datasets: "pages" of 12 samples of one to three images, "texts" of 7 without any."""
    for n in range(6):
        save_picture(tmp_path / "img" / f"{n}.png", 30 + 25 * n, 40 + 7 * n, seed=n)
    pages = [
        record(
            str(n),
            [f"{(n + k) % 6}.png" for k in range(1 + n % 3)],
            "<image>" * (1 + n % 3) + f"What is page {n}?",
            f"It is number {n}." * (1 + n % 4),
        )
        for n in range(12)
    ]
    write_lines(tmp_path / "pages.jsonl", pages)
    texts = [record(str(n), None, f"Say {n}", "word " * n + "end") for n in range(7)]
    write_lines(tmp_path / "texts.jsonl", texts)
    listing = {
        "pages": {"annotation": "pages.jsonl", "root": "img", "data_augment": True},
        "texts": {"annotation": "texts.jsonl", "root": ""},
    }
    path = tmp_path / "meta.json"
    path.write_text(json.dumps(listing))
    return path


def config(meta: Path, **more: Any) -> DataConfig:
    classes = (
        ResolutionClass(name="pages", datasets=("pages",), batch=2),
        ResolutionClass(name="rest", batch=3),
    )
    given: dict[str, Any] = {
        "classes": classes,
        "context": 900,
        "max_tiles": 6,
        "bad": LENIENT,
    } | more
    return DataConfig(meta=str(meta), **(given | more))


def told(pack: Pack) -> list[object]:
    """All that an example is made of."""
    return [
        (example.id, example.labels, [_told(unit) for unit in example.units])
        for example in pack.examples
    ]


def _told(unit: Unit) -> object:
    if isinstance(unit, int):
        return unit
    return [part.tobytes() for part in (unit.tiles.canvas, unit.tiles.local, unit.plan.entries)]


def first(packs: Packs, count: int) -> list[list[object]]:
    return [told(pack) for pack in islice(packs, count)]


FORMS: dict[str, dict[str, Any]] = {
    "classes": {},
    "sqrt": {"weighting": "sqrt"},
    "grouped": {"is_grouped": True},
    "packed": {"packing": PackingConfig(tiles=30, tokens=900, buffers=3)},
}


@pytest.mark.parametrize("form", FORMS)
def test_a_row_of_packs_goes_on_where_its_state_was(meta: Path, form: str) -> None:
    cfg = config(meta, **FORMS[form])
    row = first(open_packs(cfg, ixc2(), seed=5, workers=0), 14)
    packs = open_packs(cfg, ixc2(), seed=5, workers=0)
    assert first(packs, 5) == row[:5]
    state = json.loads(json.dumps(packs.state()))
    again = open_packs(cfg, ixc2(), seed=5, workers=0)
    again.load_state(state)
    assert first(again, 9) == row[5:]
    other = open_packs(cfg, ixc2(), seed=6, workers=0)
    assert first(other, 5) != row[:5]


def test_workers_change_nothing_and_prepare_no_state(meta: Path) -> None:
    cfg = config(meta, packing=PackingConfig(tiles=30, tokens=900, buffers=3))
    alone = open_packs(cfg, internvl(), seed=1, workers=0)
    row, states = [], []
    for pack in islice(alone, 8):
        row.append(told(pack))
        states.append(alone.state())
    packs = open_packs(cfg, internvl(), seed=1, workers=2)
    try:
        for n, pack in enumerate(islice(packs, 4)):
            assert told(pack) == row[n]
            assert packs.state() == states[n]  # though more is prepared
        packs.load_state(states[1])
        assert first(packs, 3) == row[2:5]
    finally:
        packs.close()


def test_a_pass_shows_each_sample_once_in_batches_of_its_class(meta: Path) -> None:
    packs = open_packs(config(meta), ixc2(), seed=2, workers=0)
    assert packs.steps_per_epoch == 6 + 3
    seen: list[str] = []
    for pack in islice(packs, 9):
        names = {Path(name.partition(":")[0]).name for name in pack.ids}
        assert len(names) == 1
        assert len(pack.examples) <= (2 if "pages.jsonl" in names else 3)
        seen += pack.ids
    assert len(seen) == len(set(seen)) == 19
    assert (
        open_packs(
            replace(config(meta), packing=PackingConfig()), ixc2(), seed=0, workers=0
        ).steps_per_epoch
        is None
    )


def test_ranks_share_the_samples_of_a_pass(meta: Path) -> None:
    cfg = config(meta, classes=(ResolutionClass(),), batch=1)
    ranks = [open_packs(cfg, ixc2(), seed=2, workers=0, rank=r, world=2) for r in range(2)]
    seen = [name for packs in ranks for pack in islice(packs, 10) for name in pack.ids]
    assert len(set(seen)) == 19  # one of the twenty is of the next pass


def test_classes_have_their_own_tile_limits(meta: Path) -> None:
    classes = (
        ResolutionClass(name="high", datasets=("pages",), max_tiles=9),
        ResolutionClass(name="low", is_scaled=True, max_tiles=1),
    )
    packs = open_packs(config(meta, classes=classes), ixc2(), seed=2, workers=0)
    most = max(image.tiles.fit.grid.tiles for pack in islice(packs, 19) for image in pack.images)
    assert 6 < most <= 9


def spoil(meta: Path) -> None:
    """Two broken lines, a missing image and one too many, among 19 samples that are good."""
    (meta.parent / "img" / "5.png").unlink()
    with (meta.parent / "texts.jsonl").open("a") as file:
        file.write("{broken\n")
        file.write(json.dumps(record("x", None, "<image>", "A")) + "\n")


def test_bad_samples_are_listed_with_their_reasons_and_left_out(meta: Path, tmp_path: Path) -> None:
    spoil(meta)
    out = tmp_path / "run"
    packs = open_packs(config(meta), ixc2(), seed=2, workers=0, out=out)
    for _ in islice(packs, 4):
        state = packs.state()
    packs.load_state(state)
    seen: list[str] = []
    while packs.state()["mix"]["next"] < 10:
        seen += next(packs).ids
    rows = [json.loads(line) for line in (out / "bad.jsonl").read_text().splitlines()]
    assert packs.skipped == len(rows) == 6
    assert sorted({row["reason"] for row in rows}) == [
        "missing image", "unreadable record", "wrong placeholder count",
    ]  # fmt: skip
    broken = next(row for row in rows if row["reason"] == "unreadable record")
    assert broken["where"] == f"{meta.parent}/texts.jsonl:8"
    assert not {row["where"] for row in rows} & set(seen)
    packs.close()


def test_too_many_bad_samples_end_a_run(meta: Path, tmp_path: Path) -> None:
    spoil(meta)
    cfg = config(meta, bad=BadConfig(most_share=0.1, least=10))
    packs = open_packs(cfg, ixc2(), seed=2, workers=0, out=tmp_path)
    with pytest.raises(DataError, match=r"of 1\d samples are bad \(.*at most 10.00% may be; .*bad"):
        list(islice(packs, 30))


def test_a_sample_that_fits_no_pack_is_bad(meta: Path) -> None:
    cfg = config(meta, packing=PackingConfig(tiles=4, tokens=900))
    packs = open_packs(cfg, internvl(), seed=2, workers=0)
    list(islice(packs, 6))
    assert packs.skipped
    assert set(packs.state()["bad"]["reasons"]) == {"too long"}


def test_settings_that_cannot_hold_are_refused(meta: Path, caplog: Any) -> None:
    with pytest.raises(ConfigError, match=r"data\.meta is empty"):
        open_packs(DataConfig(), ixc2(), seed=0, workers=0)
    with pytest.raises(ConfigError, match="both set"):
        DataConfig(packing=PackingConfig(), is_grouped=True)
    with pytest.raises(ConfigError, match=r"name '\*' twice"):
        DataConfig(classes=(ResolutionClass(), ResolutionClass()))
    cfg = config(meta, classes=(ResolutionClass(datasets=("pages", "other")),))
    with pytest.raises(ConfigError, match="no class for the dataset 'texts'"):
        open_packs(cfg, ixc2(), seed=0, workers=0)
    assert "no dataset is called other" in caplog.text
