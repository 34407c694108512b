"""Labels on disk: appended whole, read whatever a kill has left."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import pytest

from tilewise.corpus.review.labels import Label, append_label, label_of, latest, read_labels
from tilewise.errors import DataError

ONE = Label(document="a", rule="urls", fired=True, is_right=False, block=3, note="名前\nline")
REST = Label(document="a", rule="*", fired=False, is_right=True, rules_fired=("urls",))


def test_labels_come_back_as_they_were_given(tmp_path: Path) -> None:
    file = tmp_path / "review" / "labels.jsonl"
    append_label(file, ONE)
    append_label(file, REST)
    assert read_labels(file) == ([ONE, REST], 0)
    assert file.read_bytes().count(b"\n") == 2


def test_a_torn_line_is_counted_and_does_not_take_the_next_along(tmp_path: Path) -> None:
    file = tmp_path / "labels.jsonl"
    append_label(file, ONE)
    with file.open("ab") as torn:
        torn.write(b'{"document": "b", "ru')
    append_label(file, REST)
    assert read_labels(file) == ([ONE, REST], 1)


def test_of_several_labels_on_the_same_thing_the_last_counts() -> None:
    changed = Label(**{**asdict(ONE), "is_right": True})
    other = Label(**{**asdict(ONE), "block": 4})
    assert latest([ONE, other, changed]) == [changed, other]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ([], "is a list"),
        ({"document": "a", "rule": "r", "fired": True}, "lacks 'is_right'"),
        ({**asdict(ONE), "extra": 1}, "no field 'extra'"),
        ({**asdict(ONE), "fired": 1}, "'fired' of a label is 1"),
        ({**asdict(ONE), "block": -1}, "'block' of a label is -1"),
        ({**asdict(ONE), "block": True}, "'block' of a label is True"),
        ({**asdict(ONE), "rule": 5}, "'rule' of a label is 5"),
        ({**asdict(ONE), "text": "x" * 3_000}, "at most 2000"),
        ({**asdict(ONE), "rules_fired": "urls"}, "'rules_fired' of a label"),
    ],
)
def test_what_is_no_label_is_refused(row: object, said: str) -> None:
    with pytest.raises(DataError, match=said):
        label_of(row)


def test_a_file_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        read_labels(tmp_path / "no.jsonl")
    with pytest.raises(DataError, match="cannot be written"):
        append_label(tmp_path, ONE)
