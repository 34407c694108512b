"""Which labels and numbers of a page belong together, charts before tables."""

from __future__ import annotations

from tests.models.nano.making import INK, perfect, reading_of, sheet_of
from tilewise.models.nano.alphabet import PAGE_CHARS
from tilewise.models.nano.match import extremes, numbers
from tilewise.models.nano.reading import SAME_WORD, Reading, read
from tilewise.models.nano.series import series

Run = tuple[float, float, str]


def text(reading: Reading, first: int, last: int) -> str:
    parts = [
        PAGE_CHARS[reading.chars.cls[i] - 1] + ("" if reading.gap[i] == SAME_WORD else " ")
        for i in range(first, last + 1)
    ]
    return "".join(parts).strip()


def found(*runs: Run) -> list[list[tuple[str, float]]]:
    reading = reading_of(*runs)
    groups = series(reading, numbers(reading))
    return [[(text(reading, *entry.label), entry.value) for entry in group] for group in groups]


BARS: tuple[Run, ...] = (
    (60, 60, "41"), (160, 30, "87"), (260, 90, "12"),
    (50, 150, "North"), (150, 150, "South"), (250, 150, "East"),
)  # fmt: skip
ROWS: tuple[Run, ...] = (
    (20, 200, "Oak"), (120, 200, "14"), (20, 224, "Beech"), (120, 224, "9"),
    (20, 248, "Elm"), (120, 248, "31"),
)  # fmt: skip


def test_numbers_above_labels_are_bars() -> None:
    assert found(*BARS) == [[("North", 41.0), ("South", 87.0), ("East", 12.0)]]


def test_rows_of_a_label_and_a_number_are_a_series() -> None:
    assert found(*ROWS) == [[("Oak", 14.0), ("Beech", 9.0), ("Elm", 31.0)]]


def test_bars_come_before_rows() -> None:
    assert [group[0][0] for group in found(*ROWS, *BARS)] == ["North", "Oak"]


def test_a_unit_behind_the_number_does_not_hide_it() -> None:
    rows = [(x, y, f"{t} MWh" if x > 100 else t) for x, y, t in ROWS]
    assert found(*rows) == found(*ROWS)


def test_years_are_labels_and_other_numbers_are_not() -> None:
    years = {"Oak": "2021", "Beech": "2022", "Elm": "2023"}
    assert [n for n, _ in found(*((x, y, years.get(t, t)) for x, y, t in ROWS))[0]] == [
        "2021", "2022", "2023",
    ]  # fmt: skip
    codes = {"Oak": "52", "Beech": "614", "Elm": "7"}
    assert found(*((x, y, codes.get(t, t)) for x, y, t in ROWS)) == []


def test_columns_of_a_table_come_last() -> None:
    table = [(200.0, y, f"Pine {y:.0f}") for y in (40.0, 64.0, 88.0, 112.0)]
    table += [(400.0, y, str(int(y))) for _, y, _ in table[:4]]
    table += [(560.0, y, "abc") for _, y, _ in table[:4]]
    assert [group[0][0] for group in found(*table, *ROWS)] == ["Oak", "Pine 40"]


def test_the_highest_label_is_the_first_place_to_look() -> None:
    reading = reading_of(*BARS, *ROWS)
    for sign, label in ((1, "South"), (-1, "East")):
        first = extremes(reading, sign)
        assert text(reading, int(first.first[0]), int(first.last[0])) == label


def test_labels_that_read_as_one_segment_are_told_apart_by_the_numbers_above() -> None:
    runs: tuple[Run, ...] = (
        (20, 60, "41"), (75, 30, "87"), (140, 90, "12"), (12, 150, "Valley Highland Lowland"),
    )  # fmt: skip
    assert found(*runs) == [[("Valley", 41.0), ("Highland", 87.0), ("Lowland", 12.0)]]


def test_words_of_running_text_below_a_row_of_numbers_are_no_labels() -> None:
    runs: tuple[Run, ...] = (
        (20, 60, "41"), (75, 30, "87"), (140, 90, "12"),
        (12, 150, "They sailed on to the harbour of Lowland again"),
    )  # fmt: skip
    assert found(*runs) == []


def test_a_headline_that_ends_in_a_year_is_no_entry_of_the_list_below() -> None:
    sheet = sheet_of(*ROWS)
    sheet.text(20, 172, "Trees of the park 2015", None, 24, INK)
    reading = read(perfect(sheet.glyphs(), 672, 336))
    groups = series(reading, numbers(reading))
    assert [[entry.value for entry in group] for group in groups] == [[14.0, 9.0, 31.0]]


def test_amounts_below_numbers_are_no_labels() -> None:
    runs: tuple[Run, ...] = (
        (60, 60, "41"), (160, 30, "87"), (260, 90, "12"),
        (50, 150, "1.4km"), (150, 150, "€6.87"), (250, 150, "21"),
    )  # fmt: skip
    assert found(*runs) == []
