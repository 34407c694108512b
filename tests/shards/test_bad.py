"""Bad samples are counted, listed, and too many of them are an error."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tilewise.errors import ConfigError, DataError
from tilewise.shards.bad import BadConfig, BadList
from tilewise.shards.conversation import Bad

GONE = Bad("a.jsonl:3", "missing image", "x.png does not exist")
LONG = Bad("a.jsonl:9", "too long", "9 tokens")


def test_bad_samples_are_counted_by_reason_and_written_as_they_come(tmp_path: Path) -> None:
    listed = BadList(tmp_path / "run" / "bad.jsonl", BadConfig(most_share=1.0))
    listed.add(GONE, LONG, LONG, good=4)
    rows = (tmp_path / "run" / "bad.jsonl").read_text().splitlines()
    assert [json.loads(row)["where"] for row in rows] == ["a.jsonl:3", "a.jsonl:9", "a.jsonl:9"]
    assert (listed.seen, listed.bad) == (7, 3)
    assert listed.told() == "too long 2, missing image 1"
    listed.close()
    listed.close()


def test_a_list_goes_on_from_its_state_and_drops_what_came_after(tmp_path: Path) -> None:
    path = tmp_path / "bad.jsonl"
    listed = BadList(path, BadConfig(most_share=1.0))
    listed.add(GONE, good=1)
    state = json.loads(json.dumps(listed.state()))
    listed.add(LONG)
    listed.close()
    again = BadList(path, BadConfig(most_share=1.0), state)
    assert (again.seen, again.bad, again.told()) == (2, 1, "missing image 1")
    assert len(path.read_text().splitlines()) == 1
    again.add(GONE)
    assert len(path.read_text().splitlines()) == 2
    again.close()
    path.unlink()  # the run's folder came without its list
    BadList(path, BadConfig(most_share=1.0), state).add(LONG)
    assert [json.loads(row)["reason"] for row in path.read_text().splitlines()] == ["too long"]


def test_a_run_ends_when_more_than_a_share_is_bad_but_not_at_its_first_samples() -> None:
    listed = BadList(None, BadConfig(most_share=0.25, least=8))
    listed.add(GONE, GONE, good=1)
    listed.add(good=4)
    with pytest.raises(DataError, match=r"3 of 8 samples are bad \(missing image 2, too long 1\)"):
        listed.add(LONG)
    early = BadList(None, BadConfig(most_share=0.1, least=8))
    early.add(GONE, good=6)
    with pytest.raises(DataError, match="1 of 8"):
        early.add(good=1)  # only now enough were seen
    moved = BadList(None, BadConfig(most_share=0.5))
    moved.add(good=2)
    moved.move(GONE)
    assert (moved.seen, moved.bad) == (2, 1)
    strict = BadList(None, BadConfig(most_share=0.0))
    strict.add(GONE, good=9)  # few were seen
    with pytest.raises(DataError, match=r"at most 0\.00% may be"):
        strict.check()


def test_a_list_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot be listed there"):
        BadList(tmp_path / "file" / "bad.jsonl")
    with pytest.raises(ConfigError, match="a share of 0 to 1"):
        BadConfig(most_share=2)
