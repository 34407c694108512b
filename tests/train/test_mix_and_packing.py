"""What comes next: nothing lost, nothing twice in a pass, and taken up where it was."""

from __future__ import annotations

import json
from collections import Counter
from itertools import islice
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tilewise.errors import ConfigError
from tilewise.train.draw import number, shuffle, shuffled, uniform, whole
from tilewise.train.mix import Group, Mix, Pick, by_length
from tilewise.train.packing import Packer, PackingConfig

SIZES = st.lists(st.integers(1, 30), min_size=1, max_size=4)


@st.composite
def groups(draw: st.DrawFn) -> list[Group]:
    found, first = [], 0
    is_grouped = draw(st.booleans())
    for sizes in draw(st.lists(SIZES, min_size=1, max_size=3)):
        sources = tuple(range(first, first + len(sizes)))
        first += len(sizes)
        lengths = np.arange(sum(sizes), dtype=np.int32)[::-1] if is_grouped else None
        batch = draw(st.integers(1, 5))
        found.append(Group(sources=sources, sizes=tuple(sizes), batch=batch, lengths=lengths))
    return found


def all_picks(parts: list[Group], epoch: int) -> set[Pick]:
    return {
        Pick(source, index, epoch)
        for group in parts
        for source, size in zip(group.sources, group.sizes, strict=True)
        for index in range(size)
    }


@given(groups(), st.integers(0, 2**40), st.integers(1, 3), st.integers(1, 4))
def test_a_pass_has_every_sample_once_whatever_the_number_of_ranks(
    parts: list[Group], seed: int, world: int, chunks: int
) -> None:
    total = 2 * sum(group.size for group in parts)
    ranks = [Mix(parts, seed=seed, rank=rank, world=world, chunks=chunks) for rank in range(world)]
    passed = 2 * Mix(parts, seed=seed, chunks=chunks).batches  # of all ranks, in two passes
    seen: Counter[Pick] = Counter()
    for mix in ranks:  # each takes its own of these
        while mix.state()["next"] < passed:
            before = mix.state()
            try:
                batch = next(mix)
            except ConfigError:  # the batches of this process are the empty ones of short steps
                assert min(group.size for group in parts) < world * chunks
                break
            if batch[0].epoch > 1:
                mix.load_state(before)
                break
            seen.update(batch)
            group = next(group for group in parts if batch[0].source in group.sources)
            assert len(batch) <= group.batch
            assert {pick.source for pick in batch} <= set(group.sources)
    assert set(seen) == all_picks(parts, 0) | all_picks(parts, 1)
    assert seen.total() == total


@given(groups(), st.integers(0, 2**40), st.sampled_from(["size", "sqrt"]), st.integers(0, 20))
def test_a_mix_goes_on_where_its_state_was(
    parts: list[Group], seed: int, weighting: Any, first: int
) -> None:
    mix = Mix(parts, seed=seed, weighting=weighting, chunks=2)
    whole_row = list(islice(mix, first + 15))
    mix = Mix(parts, seed=seed, weighting=weighting, chunks=2)
    assert list(islice(mix, first)) == whole_row[:first]
    again = Mix(parts, seed=seed, weighting=weighting, chunks=2)
    again.load_state(json.loads(json.dumps(mix.state())))
    assert list(islice(again, 15)) == whole_row[first:]


@given(groups(), st.integers(0, 2**40), st.integers(1, 3))
def test_drawn_datasets_go_through_all_their_samples_before_any_comes_again(
    parts: list[Group], seed: int, world: int
) -> None:
    by_rank = [Mix(parts, seed=seed, weighting="sqrt", rank=r, world=world) for r in range(world)]
    seen: Counter[Pick] = Counter()
    for mix in by_rank:
        for batch in islice(mix, 40):
            seen.update(batch)
    assert max(seen.values()) == 1
    sizes = {s: n for g in parts for s, n in zip(g.sources, g.sizes, strict=True)}
    assert all(pick.item < sizes[pick.source] for pick in seen)


def test_a_process_for_which_no_sample_is_left_says_so() -> None:
    lone = Group(sources=(0,), sizes=(1,), lengths=np.array([7], np.int32))
    assert next(Mix([lone], seed=0, rank=0, world=2, chunks=4)) == (Pick(0, 0, 0),)
    with pytest.raises(ConfigError, match="process 2 of 2 gets none of the 1 samples"):
        next(Mix([lone], seed=0, rank=1, world=2, chunks=4))


def test_shares_of_samples_follow_sizes_whatever_the_batches() -> None:
    low = Group(sources=(0, 1), sizes=(900, 2_100), batch=8)
    high = Group(sources=(2,), sizes=(1_000,), batch=2)
    picked = Counter(
        pick.source for batch in islice(Mix([low, high], seed=3), 400) for pick in batch
    )
    share = picked[2] / picked.total()
    assert 0.2 < share < 0.3  # a quarter of the samples in batches a quarter as large
    rooted = Mix([low, high], seed=3, weighting="sqrt")
    picked = Counter(pick.source for batch in islice(rooted, 4_000) for pick in batch)
    roots = {0: 900**0.5, 1: 2_100**0.5, 2: 1_000**0.5}
    for source, root in roots.items():
        assert picked[source] / picked.total() == pytest.approx(root / sum(roots.values()), rel=0.1)


def test_batches_of_a_step_are_of_like_length_when_grouped() -> None:
    lengths = np.array([number(3, n) % 4_000 for n in range(4_096)], np.int32)
    spread = []
    for given_lengths in (None, lengths):
        group = Group(sources=(0,), sizes=(4_096,), batch=4, lengths=given_lengths)
        mix = Mix([group], seed=1, chunks=16)
        steps = [list(islice(mix, 16)) for _ in range(20)]
        sums = [[sum(lengths[p.item] for p in batch) for batch in step] for step in steps]
        spread.append(float(np.mean([np.std(step) / np.mean(step) for step in sums])))
    assert spread[1] < spread[0] / 10  # no batch of a step waits for a longer one


@given(st.lists(st.integers(0, 100), min_size=1, max_size=40), st.integers(1, 9))
def test_grouping_by_length_loses_nothing(lengths: list[int], chunks: int) -> None:
    found = by_length(lengths, chunks)
    assert len(found) == chunks
    assert sorted(at for chunk in found for at in chunk) == list(range(len(lengths)))
    assert max(map(len, found)) == -(-len(lengths) // chunks)


@given(st.integers(1, 2_000), st.lists(st.integers(0, 2**63), max_size=3))
def test_a_shuffle_is_a_permutation_found_one_by_one_or_at_once(count: int, key: list[int]) -> None:
    every = shuffle(count, *key)
    assert sorted(every.tolist()) == list(range(count))
    some = range(0, count, max(1, count // 7))
    assert [shuffled(n, count, *key) for n in some] == every[list(some)].tolist()


def test_draws_are_even_and_the_same_everywhere() -> None:
    assert number(1, 2, 3) == 15_020_427_595_393_229_491  # runs of earlier versions resume
    counts = Counter(whole(3, 7, 5, n) for n in range(5_000))
    assert set(counts) == set(range(3, 8))
    assert min(counts.values()) > 900
    assert 0.49 < np.mean([uniform(1, n) for n in range(5_000)]) < 0.51
    moved = np.mean([abs(n - shuffled(n, 1_000, 9)) for n in range(1_000)])
    assert 300 < moved < 370  # a third of 1000, as of a random order


SIZED = st.lists(st.tuples(st.integers(0, 12), st.integers(1, 100)), max_size=60)
PACKING = st.builds(
    PackingConfig,
    tiles=st.integers(12, 40),
    tokens=st.integers(100, 300),
    buffers=st.integers(1, 6),
)


@given(SIZED, PACKING)
def test_packing_loses_nothing_and_keeps_its_limits(
    sizes: list[tuple[int, int]], cfg: PackingConfig
) -> None:
    packer: Packer[int] = Packer(cfg)
    packs = [packer.add(n, *size) for n, size in enumerate(sizes)]
    assert len(packer.open) <= cfg.buffers
    every = [pack for pack in packs if pack] + packer.flush()
    assert sorted(item for pack in every for item in pack) == list(range(len(sizes)))
    for pack in every:
        assert list(pack) == sorted(pack)
        assert sum(sizes[item][0] for item in pack) <= cfg.tiles
        assert sum(sizes[item][1] for item in pack) <= cfg.tokens
    assert packer.open == ()


@given(SIZED, PACKING, st.integers(0, 60))
@settings(max_examples=60)
def test_a_packer_goes_on_with_the_packs_that_were_open(
    sizes: list[tuple[int, int]], cfg: PackingConfig, stop: int
) -> None:
    packer: Packer[int] = Packer(cfg)
    for n, size in enumerate(sizes[:stop]):
        packer.add(n, *size)
    again: Packer[int] = Packer(cfg)
    again.restore([[(item, *sizes[item]) for item in pack] for pack in packer.open])
    for n, size in enumerate(sizes[stop:], start=stop):
        assert packer.add(n, *size) == again.add(n, *size)
    assert packer.flush() == again.flush()


def test_a_sample_joins_the_pack_with_the_most_tiles_that_has_room() -> None:
    packer: Packer[str] = Packer(PackingConfig(tiles=10, tokens=100, buffers=3))
    for name, tiles in [("a", 4), ("b", 7), ("c", 5)]:
        assert packer.add(name, tiles, 10) is None
    assert packer.open == (("a", "c"), ("b",))
    assert packer.add("d", 3, 10) == ("b", "d")  # full
    assert packer.add("e", 1, 80) == ("a", "c", "e")
    for name in "fgh":
        assert packer.add(name, 6, 50) is None
    assert packer.add("i", 6, 60) == ("i",)  # one too many are open: the fullest goes


def test_settings_that_cannot_hold_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"packing.tiles is 0"):
        PackingConfig(tiles=0)
    with pytest.raises(ConfigError, match="at least one"):
        Mix([], seed=0)
    with pytest.raises(ConfigError, match="is empty"):
        Group(sources=(0,), sizes=(0,))
    with pytest.raises(ConfigError, match="batch is 0"):
        Group(sources=(0,), sizes=(1,), batch=0)
