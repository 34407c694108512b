"""A trained model as a folder in the published form, with a card that says how it came about."""

from __future__ import annotations

import json
import platform
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import nn

import tilewise
from tilewise.adapt.files import save_adapter
from tilewise.adapt.lora import adapters, merge
from tilewise.errors import TrainingError
from tilewise.models.names import renaming_to
from tilewise.settings import settings
from tilewise.train.config import ModelConfig, TrainConfig
from tilewise.train.start import Start
from tilewise.weights.convert import convert
from tilewise.weights.files import CONFIG, LAYOUTS, MANIFEST, WEIGHTS, read_config

ADAPTER: Final = "adapter"
"""Folder of the adapters of a run by themselves, before they were merged."""

RECIPE: Final = "recipe.json"
CARD: Final = "README.md"

_KEPT_ENDINGS: Final = {".json", ".model", ".txt"}
_PART: Final = ".export.part"


def export(start: Start, out: Path, cfg: TrainConfig, losses: Mapping[int, float]) -> None:
    """Write the model of a run, its settings and its card into a folder.

    Adapters are written by themselves, then merged into the network, which is used up by that.

    Args:
        start: what was trained.
        out: the run's folder; config.json is the last file to come.
        cfg: of the run.
        losses: by step.

    Raises:
        TrainingError, ConfigError, WeightsError: the folder cannot be written.
    """
    part = out / _PART
    shutil.rmtree(part, ignore_errors=True)
    try:
        part.mkdir(parents=True)
        if adapters(start.network):
            save_adapter(start.network, out / ADAPTER, start.rules, base=str(start.folder))
            merge(start.network)
        ours, made = part / "ours", part / "made"
        _write_ours(start, ours)
        convert(ours, made, renaming=renaming_to(ours, None))
        values = json.dumps(settings(cfg), indent=1, ensure_ascii=False) + "\n"
        (made / RECIPE).write_text(values, encoding="utf-8")
        (made / CARD).write_text(card(start.folder, cfg, losses), encoding="utf-8")
        for path in sorted(made.iterdir(), key=lambda path: path.name == CONFIG):
            path.replace(out / path.name)
    except (OSError, SafetensorError) as err:
        reason = err.strerror if isinstance(err, OSError) and err.strerror else str(err)
        raise TrainingError(
            f"{out}: the model cannot be written ({reason}); its checkpoints are there. Make room "
            "and write it with --resume."
        ) from err
    finally:
        shutil.rmtree(part, ignore_errors=True)


def card(base: Path, cfg: TrainConfig, losses: Mapping[int, float]) -> str:
    """The model card: base, recipe, data, seed, code and versions, in Markdown."""
    steps = max(losses, default=0)
    last = f"{losses[steps]:.4f}" if losses else "unknown"
    origin = "random weights in the shape of" if cfg.model.is_random else "the weights of"
    rows = {
        "recipe": cfg.name,
        "began from": f"{origin} `{base.name}`",
        "data": f"`{cfg.data.meta}`",
        "steps": str(steps),
        "loss of the last step": last,
        "seed": str(cfg.run.seed),
        "parts that learned": ", ".join(_learned(cfg.model)),
        "arithmetic": cfg.run.precision,
        "made on": datetime.now(UTC).strftime("%Y-%m-%d"),
        "code": f"tilewise {tilewise.__version__}, commit {commit()}",
        "versions": f"Python {platform.python_version()}, torch {torch.__version__}",
    }
    table = "\n".join(f"| {name} | {value} |" for name, value in rows.items())
    return (
        f"# {cfg.name}\n\n"
        "Trained with tilewise. Ask it with `tilewise ask --model FOLDER PAGE QUESTION`.\n\n"
        f"| | |\n| --- | --- |\n{table}\n\n"
        f"All settings are in [{RECIPE}]({RECIPE}).\n"
    )


def commit() -> str:
    """Commit of the code that runs, "unknown" where it lies in no repository."""
    found = _git("log", "-1", "--format=%H", "--", ".")
    if not found:
        return "unknown"
    return f"{found} with changes" if _git("status", "--porcelain", "--", ".") else found


def _git(*words: str) -> str:
    """What git says of the folder of the code, "" where it says nothing."""
    here = Path(tilewise.__file__).parent
    try:
        done = subprocess.run(
            ["git", "-C", str(here), *words],
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip()


def _learned(cfg: ModelConfig) -> Iterator[str]:
    """What learned, in words."""
    yield from cfg.trained
    if cfg.lora is not None:
        yield f"adapters of rank {cfg.lora.rank} in the decoder"
    if cfg.vit_lora is not None:
        yield f"adapters of rank {cfg.vit_lora.rank} in the vision encoder"


def _write_ours(start: Start, folder: Path) -> None:
    """A folder with the network's tensors by our names and the base's other files."""
    folder.mkdir()
    config = read_config(start.folder)
    named = str(config.get("dtype") or config.get("torch_dtype") or "float32")
    dtype = getattr(torch, named, torch.float32)
    save_file(_tensors(start.network, dtype), folder / WEIGHTS)
    indices = {index for _, index in LAYOUTS}
    for path in sorted(start.folder.iterdir()):
        is_kept = path.suffix in _KEPT_ENDINGS or path.name.startswith("LICENSE")
        if path.is_file() and is_kept and path.name not in {MANIFEST, RECIPE, *indices}:
            shutil.copyfile(path, folder / path.name)
    merged = {name: 0 for name in ("use_backbone_lora", "use_llm_lora") if name in config}
    text = json.dumps(config | merged, indent=2, ensure_ascii=False) + "\n"
    (folder / CONFIG).write_text(text, encoding="utf-8")


def _tensors(network: nn.Module, dtype: torch.dtype) -> dict[str, torch.Tensor]:
    return {
        name: value.detach().to("cpu", dtype).contiguous()
        for name, value in network.state_dict().items()
    }
