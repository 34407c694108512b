"""The type of a title tells where it ends, or that only the decoder can know."""

from __future__ import annotations

from tests.models.nano.making import INK, perfect
from tilewise.models.nano.reading import Reading, read
from tilewise.models.nano.title import goes_on
from tilewise.synth.sheet import Sheet

BODY = [(20.0, 140 + 22.0 * i, "Words of the text below the title", 16) for i in range(4)]


def page(*runs: tuple[float, float, str, int]) -> Reading:
    sheet = Sheet(672, 336)
    for x, baseline, text, size in runs:
        sheet.text(x, baseline, text, None, size, INK)
    return read(perfect(sheet.glyphs(), 672, 336))


def end_of(reading: Reading, text: str) -> int:
    return len(text.replace(" ", "")) - 1


def test_a_title_does_not_end_within_its_line() -> None:
    reading = page((20, 40, "Harbour news", 30), *BODY)
    assert goes_on(reading, end_of(reading, "Harbour")) is True
    assert goes_on(reading, end_of(reading, "Harb")) is True


def test_a_title_ends_before_smaller_type_and_at_the_end_of_the_page() -> None:
    reading = page((20, 40, "Harbour news", 30), *BODY)
    assert goes_on(reading, end_of(reading, "Harbour news")) is False
    assert goes_on(reading, len(reading) - 1) is False


def test_a_title_goes_on_in_a_second_line_of_the_same_large_type() -> None:
    reading = page((20, 40, "Harbour news", 30), (20, 76, "of the week", 30), *BODY)
    assert goes_on(reading, end_of(reading, "Harbour news")) is True
    assert goes_on(reading, end_of(reading, "Harbour news of the week")) is False


def test_type_cannot_tell_where_all_is_of_one_size() -> None:
    reading = page((20, 40, "Harbour news", 16), *BODY)
    assert goes_on(reading, end_of(reading, "Harbour news")) is None
