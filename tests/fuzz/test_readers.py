"""Damaged files over all readers: none crashes, hangs, takes too much, or says what is no sentence.

``python -m tests.fuzz --count 10000`` is the whole run; here are small draws of it.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.fuzz.pool import CHEAP, SHARES, Case, Result, run, shared_out
from tests.fuzz.worker import damaged

_KEPT = Path(__file__).with_name("found")


def _faults(results: list[Result]) -> list[str]:
    return [f"{each.case}: {each.fault}: {each.said[-600:]}" for each in results if each.fault]


def test_damaged_files_of_the_quick_kinds_give_pages_or_one_sentence() -> None:
    results = list(run(shared_out(300, seed=1, groups=CHEAP)))
    assert _faults(results) == []
    assert {each.case.group for each in results} == set(CHEAP)
    assert 20 < sum(each.said == "pages" for each in results) < 280  # some damage is harmless


@pytest.mark.slow
@pytest.mark.parametrize("group", SHARES)
def test_damaged_files_of_every_kind_give_pages_or_one_sentence(group: str) -> None:
    program = {"libreoffice": "soffice", "chromium": "chromium"}.get(group)
    if program and shutil.which(program) is None:
        pytest.skip(f"no {program} on the path; make system installs it")
    count = 400 if group in CHEAP else 12
    assert _faults(list(run([Case(group, number, 2) for number in range(count)]))) == []


def test_the_same_case_is_the_same_file() -> None:
    cases = [Case("images", number, 3) for number in range(20)]
    assert [damaged(*case) for case in cases] == [damaged(*case) for case in cases]
    assert len({damaged(*case) for case in cases}) > 15
