"""Teach a tiny reader to read stamps on invoices; print how often it is right on new ones.

python examples/finetune_invoices.py [FOLDER]    (a few minutes on a CPU)
"""

import json
import sys
from pathlib import Path
from random import Random
from tempfile import mkdtemp
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from tilewise import ask, load
from tilewise.models.reader import Reader
from tilewise.recipes.internvl import internvl_tiny
from tilewise.settings import with_options
from tilewise.train.report import StepReport
from tilewise.train.start import open_model
from tilewise.train.task import run_training

STAMPS = {"paid": "darkgreen", "open": "darkblue", "overdue": "darkred"}
QUESTION = "Is this invoice paid, open or overdue?"


def draw(path: Path, rng: Random) -> dict[str, Any]:
    """Draw an invoice with a stamp on it, somewhere; gives its file and what the stamp says."""
    page, state = Image.new("RGB", (224, 112), "white"), rng.choice(list(STAMPS))
    pen = ImageDraw.Draw(page)
    pen.text((8, 4), f"Invoice {rng.randint(100, 999)}", "black", ImageFont.load_default(20))
    pen.text((8, 34), f"Total {rng.randint(1, 9999)}.00 EUR", "black", ImageFont.load_default(14))
    at, face = (rng.randint(8, 40), rng.randint(54, 62)), ImageFont.load_default(34)
    left, top, right, bottom = pen.textbbox(at, state.upper(), font=face)
    pen.rectangle((left - 6, top - 6, right + 6, bottom + 6), STAMPS[state])
    pen.text(at, state.upper(), "white", face)
    page.save(path)
    turns = [{"from": "human", "value": QUESTION}, {"from": "gpt", "value": state}]
    return {"image": path.name, "conversations": turns, "state": state}


def accuracy(reader: Reader, folder: Path, invoices: list[dict[str, Any]]) -> float:
    """The share of invoices whose state the reader says."""
    right = 0
    for invoice in invoices:
        said = ask(folder / invoice["image"], QUESTION, model=reader, max_new_tokens=10)
        right += "".join(said) == invoice["state"]
    return right / len(invoices)


def tell(step: StepReport) -> None:
    """Print every 25th step."""
    if step.step % 25 == 0:
        print(step.line)


def main(folder: Path) -> None:
    """Draw, train, compare."""
    rng, data = Random(0), folder / "samples.jsonl"
    invoices = [draw(folder / f"{number}.png", rng) for number in range(240)]
    data.write_text("".join(json.dumps(invoice) + "\n" for invoice in invoices[40:]))
    said = [f"data.meta={data}", "data.batch=8", "data.max_tiles=2", "schedule.steps=80"]
    cfg = with_options(internvl_tiny(), said)
    before = accuracy(open_model(cfg.model, seed=0).reader, folder, invoices[:40])
    print(f"before: {before:.0%} of 40 new invoices right")
    out = run_training(cfg, folder / "model", callbacks=[tell])
    print(f"after: {accuracy(load(out), folder, invoices[:40]):.0%} of them right")
    print(f"tilewise ask --model {out} {folder / '0.png'} '{QUESTION}'")


if __name__ == "__main__":
    main(Path(sys.argv[1] if sys.argv[1:] else mkdtemp()))
