"""Lines that a domain repeats."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.corpus.pages import page, write_shards
from tilewise.corpus.dedup.lines import LinesConfig, repeated_lines, without_repeated
from tilewise.errors import ConfigError
from tilewise.records import Block, Document

MENU = "Home | News | About"


def left(
    documents: list[Document], folder: Path, cfg: LinesConfig | None = None, shards: int = 2
) -> list[str]:
    """The text of each document without the lines that are repeated."""
    cfg = cfg or LinesConfig()
    paths = write_shards(folder / "shards", documents, shards)
    counts = repeated_lines(paths, folder / "work", cfg)
    cleaned = [without_repeated(document, counts, cfg) for document in documents]
    return ["\n".join(block.text for block in one.blocks if block.text) for one in cleaned]


def test_a_line_in_two_documents_of_a_domain_goes_from_both(tmp_path: Path) -> None:
    documents = [
        page(f"{MENU}\nfirst story", url="http://a.example/1"),
        page(f"second story\n  {MENU.upper()} ", url="https://www.a.example/2"),
        page(f"{MENU}\nthird story", url="http://b.example/1"),
    ]
    assert left(documents, tmp_path) == ["first story", "second story", f"{MENU}\nthird story"]


def test_a_line_twice_in_one_document_stays(tmp_path: Path) -> None:
    documents = [page("again\nagain", url="http://a.example/1")]
    assert left(documents, tmp_path) == ["again\nagain"]


def test_more_documents_may_be_allowed_to_have_a_line(tmp_path: Path) -> None:
    documents = [page(f"{MENU}\nstory {n}", url=f"http://a.example/{n}") for n in range(3)]
    assert left(documents, tmp_path / "3", LinesConfig(most=3))[0] == f"{MENU}\nstory 0"
    assert left(documents, tmp_path / "2", LinesConfig(most=2))[0] == "story 0"
    assert left(documents, tmp_path / "s", LinesConfig(min_characters=99))[0] == f"{MENU}\nstory 0"


def test_lines_across_domains_go_where_it_is_asked_for(tmp_path: Path) -> None:
    documents = [page(f"{MENU}\nstory {n}", url=f"http://{n}.example/") for n in range(3)]
    assert left(documents, tmp_path / "off")[0] == f"{MENU}\nstory 0"
    assert left(documents, tmp_path / "on", LinesConfig(across=3))[0] == "story 0"
    assert left(documents, tmp_path / "4", LinesConfig(across=4))[0] == f"{MENU}\nstory 0"


def test_code_stays_and_the_share_that_went_is_noted(tmp_path: Path) -> None:
    blocks = (
        Block(kind="code", text="}\n}"),
        Block(kind="list", text="one\ntwo"),
        Block(kind="text", text="one"),
    )
    documents = [
        Document(id=f"{n:032x}", url=f"http://a.example/{n}", blocks=blocks[: 3 - n])
        for n in range(2)
    ]
    paths = write_shards(tmp_path, documents, 1)
    counts = repeated_lines(paths, tmp_path / "work")
    cleaned = without_repeated(documents[0], counts, LinesConfig())
    assert [block.kind for block in cleaned.blocks] == ["code"]
    assert cleaned.scores == {"repeated_lines": 1.0}


TEXTS = st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=5).map("\n".join)


@settings(max_examples=10)
@given(
    texts=st.lists(st.tuples(TEXTS, st.sampled_from("xy")), min_size=1, max_size=9),
    shards=st.integers(1, 4),
)
def test_what_goes_is_what_a_simple_count_says(
    tmp_path_factory: pytest.TempPathFactory, texts: list[tuple[str, str]], shards: int
) -> None:
    documents = [
        page(text, url=f"http://{site}.example/{number}")
        for number, (text, site) in enumerate(texts)
    ]
    seen = Counter((site, line) for text, site in texts for line in set(text.split("\n")))
    expected = [
        "\n".join(line for line in text.split("\n") if seen[site, line] <= 1)
        for text, site in texts
    ]
    cfg = LinesConfig(memory_bytes=1 << 16)
    assert left(documents, tmp_path_factory.mktemp("lines"), cfg, shards) == expected


def test_settings_that_cannot_hold_are_told() -> None:
    with pytest.raises(ConfigError, match="most is 0"):
        LinesConfig(most=0)
    with pytest.raises(ConfigError, match="across 1"):
        LinesConfig(across=1)
