"""``--straighten``: skewed files are put straight unless told not to, and --json says so."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random

import pytest
from click.testing import CliRunner
from PIL import Image

from tilewise.cli.main import main
from tilewise.synth.pages import make_page


@pytest.mark.parametrize(("option", "turned"), [("auto", 5.0), ("off", 0.0)])
def test_a_skewed_page_is_straightened_unless_told_not_to(
    folder: Path, option: str, turned: float
) -> None:
    made = make_page(Random(0), "test", size=(800, 1000), layouts=("letter",))
    page = Image.fromarray(made.sheet.render())
    skewed = page.rotate(-5, Image.Resampling.BICUBIC, expand=True, fillcolor="white")
    skewed.save(folder / "scan.png")
    words = ["ask", "--model", "tiny", "--straighten", option, "--json", "--max-tiles", "1"]
    result = CliRunner().invoke(main, [*words, str(folder / "scan.png"), "What?"])
    assert result.exit_code == 0, result.stderr
    (told,) = json.loads(result.stdout)["pages"]
    assert told["turned"] == pytest.approx(turned, abs=0.2)
    is_as_given = (told["width"], told["height"]) == skewed.size
    assert is_as_given == (option == "off")
