"""Scores of the domains' tasks, worked out by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.models.internvl.making import small_reader
from tilewise.errors import DataError
from tilewise.eval.run import answered, read_records
from tilewise.eval.tasks.domains import TASKS
from tilewise.eval.tasks.task import Row


def _rows(*pairs: tuple[dict[str, Any], str]) -> list[Row]:
    return [Row(record, answer) for record, answer in pairs]


def test_driving_counts_exact_answers_alone() -> None:
    rows = _rows(
        ({"answer": "B"}, " B"),
        ({"answer": "Yes."}, "yes."),
        ({"answer": "No."}, "No."),
        ({"answer": "Going straight."}, "anything"),
        ({"answer": ""}, "anything"),
    )
    assert TASKS["drivelm"].score(rows) == {"accuracy": 2 / 3}
    assert TASKS["drivelm"].score(rows[3:]) == {}


def test_clips_are_scored_by_their_signals() -> None:
    rows = _rows(
        ({"kind": "control", "answer": "(4.0, 0.5)"}, "Speed 4.3, angle 0.5"),
        ({"kind": "control", "answer": "(2.0, -3)"}, "(6, 1)"),
        ({"kind": "control", "answer": "(2.0, 1.0)"}, "no idea"),
        ({"kind": "full", "answer": "It stops."}, "It stops. "),
    )
    scores = TASKS["bddx"].score(rows)
    assert scores["speed_rmse"] == pytest.approx(((0.3**2 + 4**2) / 2) ** 0.5)
    assert scores["speed_within_0.5"] == pytest.approx(100 / 3)
    assert scores["angle_within_0.1"] == pytest.approx(100 / 3)
    assert scores["angle_within_5"] == pytest.approx(200 / 3)
    assert scores["full_exact"] == 1.0


def test_letters_are_scored() -> None:
    record = {"choices": ["A cyst", "a vessel", "Nothing"], "answer": "B"}
    said = ("B", "B. a vessel", "a vessel it is", "C", "")
    assert TASKS["choice"].score(_rows(*((record, text) for text in said))) == {"accuracy": 0.6}


def test_questions_are_asked_as_they_stand(tmp_path: Path) -> None:
    turns = [{"from": "human", "value": "Frame-1: <image>\nWhat?"}, {"from": "gpt", "value": "x"}]
    from tests.domains.raw import picture

    picture(tmp_path / "p" / "a.png")
    file = tmp_path / "t.jsonl"
    line = json.dumps({"id": 1, "image": "p/a.png", "conversations": turns, "kind": "full"})
    file.write_text(f"{line}\n{line}\n{line}\n")
    told: list[tuple[str, int, int]] = []
    rows = list(
        answered(
            small_reader(),
            TASKS["bddx"],
            file,
            tmp_path,
            most=2,
            progress=lambda *said: told.append(said),
        )
    )
    assert [row.record["kind"] for row in rows] == ["full", "full"]
    assert rows[0].answer == rows[1].answer
    assert told == [("questions", 1, 2), ("questions", 2, 2)]


@pytest.mark.parametrize(
    ("text", "said"),
    [("{", r"t\.jsonl:1 is no JSON"), ("[1]", "is no object"), ('{"id": 1}', "cannot be asked")],
)
def test_a_line_that_cannot_be_asked_is_named(text: str, said: str, tmp_path: Path) -> None:
    file = tmp_path / "t.jsonl"
    file.write_text(text)
    with pytest.raises(DataError, match=said):
        list(answered(small_reader(), TASKS["choice"], file, tmp_path))
    with pytest.raises(DataError, match="cannot be read"):
        read_records(tmp_path / "none.jsonl")
