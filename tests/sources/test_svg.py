"""Drawings lose what they would load, and keep what they hold."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from tilewise.errors import SourceError
from tilewise.sources.pages import open_source
from tilewise.sources.svg import without_links

_SPACES = 'xmlns="http://www.w3.org/2000/svg" xmlns:x="http://www.w3.org/1999/xlink"'


@pytest.mark.parametrize(
    "inside",
    [
        '<image x:href="file:///etc/passwd"/>',
        '<image href="http://localhost/a.png"/>',
        '<image x:href=" HTTP://localhost/a.png"/>',
        '<use x:href="other.svg#part"/>',
        '<rect fill="url(http://localhost/a.svg#g)"/>',
        "<rect style=\"fill: url( 'file:///etc/passwd' )\"/>",
        "<style>@import url(http://localhost/a.css); p { fill: red }</style>",
        '<g xml:base="http://localhost/"/>',
    ],
)
def test_links_to_elsewhere_are_dropped(inside: str) -> None:
    safe = without_links(f"<svg {_SPACES}>{inside}</svg>".encode())
    for word in (b"localhost", b"HTTP:", b"passwd", b"other.svg"):
        assert word not in safe


@pytest.mark.parametrize(
    "inside",
    [
        '<use x:href="#part"/>',
        '<image href="data:image/png;base64,AAAA"/>',
        '<rect fill="url(#gradient)"/>',
        "<style>p { fill: url(#g); stroke: red }</style>",
    ],
)
def test_what_is_inside_the_drawing_stays(inside: str) -> None:
    safe = without_links(f"<svg {_SPACES}>{inside}</svg>".encode())
    (element,) = ElementTree.fromstring(safe)
    (given,) = ElementTree.fromstring(f"<svg {_SPACES}>{inside}</svg>")
    assert b"<svg xmlns" in safe
    assert element.tag == given.tag
    assert (element.attrib, element.text) == (given.attrib, given.text)


def test_entities_that_unfold_beyond_measure_are_refused() -> None:
    lines = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 10))
    bomb = f'<svg><!DOCTYPE svg [<!ENTITY e0 "lol">{lines}]><text>&e9;</text></svg>'
    ordered = bomb.replace("<svg><!DOCTYPE", "<!DOCTYPE", 1).replace("]>", f"]><svg {_SPACES}>")
    with pytest.raises(ElementTree.ParseError):
        without_links(ordered.encode())


def test_a_drawing_without_bottom_is_refused_in_one_sentence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TILEWISE_SOFFICE", "/bin/true")
    inside = "<g>" * 20_000 + "</g>" * 20_000
    with pytest.raises(SourceError, match="over 256 of its elements lie inside one another"):
        open_source(f"<svg {_SPACES}>{inside}</svg>".encode())
    inside = "<g>" * 255 + "</g>" * 255
    assert without_links(f"<svg {_SPACES}>{inside}</svg>".encode()).count(b"<g") == 255


def test_a_damaged_drawing_is_refused_in_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TILEWISE_SOFFICE", "/bin/true")
    with pytest.raises(SourceError, match="the SVG file cannot be read: mismatched tag"):
        open_source(b"<svg><rect></svg>")
