"""Charts leave the pen below all that they drew, so that nothing is set over them."""

from __future__ import annotations

from random import Random

import pytest

from tilewise.synth.blocks import Pen, Style
from tilewise.synth.charts import chart
from tilewise.synth.facts import Facts
from tilewise.synth.pages import make_page
from tilewise.synth.sheet import Sheet

STYLE = Style(
    face=None, bold=None, size=20, lead=1.3, ink=(0, 0, 0), accent=(0, 0, 90), soft=(220, 220, 220)
)


@pytest.mark.parametrize("width", [180, 260, 420, 900])
def test_nothing_that_a_chart_draws_lies_below_the_pen(width: int) -> None:
    for seed in range(40):
        sheet = Sheet(1000, 1400)
        pen = Pen(sheet, Facts(), Random(seed), "train", 40.0, 40.0 + width, 40.0, 1300.0)
        chart(pen, STYLE)
        glyphs = sheet.glyphs()
        if len(glyphs):
            assert float((glyphs.y + 0.3 * glyphs.height).max()) < pen.y, seed


def test_a_spreadsheet_s_chart_draws_a_column_of_its_table() -> None:
    drawn = 0
    for seed in range(40):
        made = make_page(Random(seed), layouts=("sheet",), max_tiles=9)
        bars = [p for p in made.facts.pairs if p.is_chart]
        table = made.facts.tables[0] if made.facts.tables else None
        if table is None or not bars:
            continue
        for bar, row in zip(bars, table.rows, strict=False):  # narrow room may cut either
            assert bar.label.startswith(row) or row.startswith(bar.label)
        code = made.sheet.glyphs().code
        said = ["".join(map(chr, code[b.value.start : b.value.stop])) for b in bars]
        cells = table.cells[: len(bars)]
        columns = [
            ["".join(map(chr, code[run.start : run.stop])) for run in column]
            for column in zip(*cells, strict=True)
        ]
        assert said in columns
        drawn += 1
    assert drawn > 10
