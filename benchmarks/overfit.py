"""Do tiny models learn 32 real pages by heart, from random weights, on two cores?

    python benchmarks/overfit.py FOLDER [--only internvl_tiny] [--picture docs/images/overfit.png]

Pages are those of the package's own page maker and its demonstration, with questions that have
true answers. Printed are, for each model, the steps, the time, the losses, and how many answers
are said exactly as they were taught, by the model that was written and loaded again. The run named
``_lora`` begins with the model of the run before it, on 32 other pages, and teaches adapters alone.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator, Sequence
from math import log10
from pathlib import Path
from random import Random
from typing import Any, Final

import numpy as np
from PIL import Image, ImageDraw, ImageFont

import tilewise
from tilewise.recipes.table import find_recipe
from tilewise.settings import with_options
from tilewise.synth.pages import make_page
from tilewise.synth.questions import questions_about
from tilewise.train.config import TrainConfig
from tilewise.train.loop import LOGS
from tilewise.train.report import read_losses
from tilewise.train.task import run_training

PAGES: Final = 32
DEMO: Final = Path(tilewise.__file__).parent / "assets" / "demo"
RUNS: Final = ("internvl_tiny", "internvl_tiny_lora", "ixc2_tiny", "ixc2_tiny_lora")
STEPS: Final = (300, 300, 200, 120)
COLOURS: Final = ("#1f6fb4", "#c44e52", "#3a8a4d", "#8561b5")


def write_pages(folder: Path, seed: int) -> list[dict[str, Any]]:
    """Pages with a question each, as samples in ``samples.jsonl`` of a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    records = []
    for number, (pixels, question, answer) in enumerate(_asked(seed)):
        name = f"{number}.png"
        Image.fromarray(pixels).save(folder / name)
        turns = [{"from": "human", "value": question}, {"from": "gpt", "value": answer}]
        records.append({"id": f"{seed}-{number}", "image": name, "conversations": turns})
        if len(records) == PAGES:
            break
    lines = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)
    (folder / "samples.jsonl").write_text(lines, encoding="utf-8")
    return records


def _asked(seed: int) -> Iterator[tuple[Any, str, str]]:
    """Pixels, a question and its answer: the demonstration's pictures, then pages made."""
    rng = Random(seed)
    if seed == 0:
        for item in json.loads((DEMO / "questions.json").read_text(encoding="utf-8")):
            if item["file"].endswith(".png"):
                first = item["questions"][0]
                picture = Image.open(DEMO / item["file"]).convert("RGB")
                yield np.asarray(picture), first["question"], first["answer"]
    while True:
        made = make_page(rng, size=(rng.randrange(330, 560), rng.randrange(330, 560)))
        found = questions_about(made.facts, made.sheet.glyphs(), rng, "train", 1)
        short = [one for one in found if one.answer and len(one.answer) <= 40]
        for one in short:
            yield made.sheet.render(), one.text, str(one.answer)


def run(name: str, folder: Path) -> dict[str, Any]:
    """Teach one model its pages; gives what it took and what it says then."""
    base = folder / name.removesuffix("_lora") / "model"
    is_lora = name.endswith("_lora")
    records = write_pages(folder / name / "pages", seed=int(is_lora))
    cfg = _config(name, folder / name / "pages" / "samples.jsonl", base)
    began = time.perf_counter()
    out = run_training(cfg, folder / name / "model", callbacks=[_tell])
    took_s = time.perf_counter() - began
    reader: Any = tilewise.load(out)
    right = 0
    for record in records:
        (asked, answer) = (turn["value"] for turn in record["conversations"])
        page = folder / name / "pages" / record["image"]
        said = tilewise.ask(
            page, asked, model=reader, max_tiles=cfg.data.max_tiles, max_new_tokens=60
        )
        right += "".join(said).strip() == answer.strip()
    losses = read_losses(out / LOGS)
    weights = sum(weight.numel() for weight in reader.network.parameters())
    return {
        "run": name,
        "weights": weights,
        "steps": len(losses),
        "seconds": round(took_s),
        "first loss": round(losses[1], 3),
        "last loss": round(losses[len(losses)], 5),
        "exact": f"{right} of {len(records)}",
        "losses": losses,
    }


def _config(name: str, data: Path, base: Path) -> TrainConfig:
    recipe = name.removesuffix("_lora")
    options = [f"data.meta={data}", "data.batch=8", "data.max_tiles=4"]
    options.append(f"schedule.steps={STEPS[RUNS.index(name)]}")
    if name.endswith("_lora"):
        options += [
            "model.is_random=false",
            f"model.folder={base}",
            'model.trained=["projector"]',
            "model.lora.rank=16",
            "model.lora.dropout=0.0",
            "optim.lr=4e-3",
        ]
    return with_options(find_recipe(recipe), options)


def _tell(report: Any) -> None:
    if report.step % 20 == 0:
        print(report.line, flush=True)


def draw(found: Sequence[dict[str, Any]], path: Path) -> None:
    """The losses by step, on a scale of powers of ten, as a picture."""
    width, height, left, top, bottom = 900, 460, 70, 30, 50
    picture = Image.new("RGB", (width, height), "white")
    pen, face = ImageDraw.Draw(picture), ImageFont.load_default(15)
    steps = max(one["steps"] for one in found)
    most, least = 1.0, -4.0

    def place(step: int, loss: float) -> tuple[float, float]:
        power = log10(max(loss, 1e-4))
        x = left + (width - left - 20) * step / steps
        return x, top + (height - top - bottom) * (most - power) / (most - least)

    for power in range(int(least), int(most) + 1):
        _, y = place(0, 10.0**power)
        pen.line((left, y, width - 20, y), "#dddddd")
        pen.text((12, y - 9), f"{10.0**power:g}", "black", face)
    for step in range(0, steps + 1, 100):
        x, _ = place(step, 1.0)
        pen.text((x - 10, height - bottom + 8), str(step), "black", face)
    pen.text((width / 2 - 30, height - 24), "step", "black", face)
    for number, (one, colour) in enumerate(zip(found, COLOURS, strict=False)):
        losses = {int(step): loss for step, loss in one["losses"].items()}
        pen.line([place(step, loss) for step, loss in losses.items()], colour, 2)
        said = f"{one['run']}: {one['exact']} exact"
        pen.text((width - 300, top + 4 + 22 * number), said, colour, face)
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path)


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", choices=RUNS, action="append")
    parser.add_argument("--picture", type=Path)
    words = parser.parse_args()
    for name in words.only or RUNS:
        found = run(name, words.folder)
        (words.folder / f"{name}.json").write_text(json.dumps(found), encoding="utf-8")
        print({key: value for key, value in found.items() if key != "losses"}, flush=True)
    if words.picture:
        files = [words.folder / f"{name}.json" for name in RUNS]
        draw([json.loads(file.read_text()) for file in files if file.exists()], words.picture)


if __name__ == "__main__":
    main()
