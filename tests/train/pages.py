"""Small real pages with questions and answers, as samples on disk."""

from __future__ import annotations

import json
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

TOWNS = ("Lund", "Oslo", "Graz", "Bern", "Turin", "Cork", "Riga", "Porto")


def write_samples(folder: Path, count: int = 12, width: int = 220, height: int = 110) -> Path:
    """Pages of a town and a number, with a question about one of them; gives the JSON Lines."""
    folder.mkdir(parents=True, exist_ok=True)
    font = ImageFont.load_default(28)
    lines = []
    for number in range(count):
        town, total = TOWNS[number % len(TOWNS)], 17 * number + 5
        page = Image.new("RGB", (width + 11 * (number % 3), height), "white")
        draw = ImageDraw.Draw(page)
        draw.text((8, 8), town, fill="black", font=font)
        draw.text((8, 60), f"Total {total}", fill="black", font=font)
        page.save(folder / f"page-{number}.png")
        asked = ("Which town?", town) if number % 2 else ("What is the total?", str(total))
        turns = [
            {"from": "human", "value": f"<image>\n{asked[0]}"},
            {"from": "gpt", "value": asked[1]},
        ]
        record = {"id": f"page-{number}", "image": f"page-{number}.png", "conversations": turns}
        lines.append(json.dumps(record) + "\n")
    path = folder / "samples.jsonl"
    path.write_text("".join(lines), encoding="utf-8")
    return path
