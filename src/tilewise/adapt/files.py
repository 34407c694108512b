"""Adapters in files beside a model, as the PEFT library keeps them, and parts of a model alone.

Source: the PEFT checkpoint format (huggingface.co/docs/peft/developer_guides/checkpoint).
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from tilewise.adapt.freeze import Part, part_of
from tilewise.adapt.lora import adapters
from tilewise.adapt.published import Half, attach_published, paired, published_adapters
from tilewise.errors import WeightsError
from tilewise.weights.keymap import KeyRule, groups_of, publish
from tilewise.weights.names import listed

WEIGHTS: Final = "adapter_model.safetensors"
SETTINGS: Final = "adapter_config.json"
PARTS_FILE: Final = "parts.safetensors"

WRAPPER: Final = "base_model.model."
"""What PEFT puts in front of the names of a model that it has wrapped."""

_UNREAD: Final[Mapping[str, tuple[object, ...]]] = {
    "peft_type": ("LORA",),
    "bias": ("none", None),
    "fan_in_fan_out": (False, None),
    "use_dora": (False, None),
    "lora_bias": (False, None),
    "modules_to_save": (None, []),
}
"""Settings of which one meaning is known here, and the values that have it."""


def save_adapter(
    network: nn.Module, folder: str | Path, rules: Sequence[KeyRule], *, base: str = ""
) -> None:
    """Write the adapters of a network as PEFT does: settings and tensors, without the base.

    Args:
        network: with adapters.
        folder: is made where it is not there; files of these names in it are replaced.
        rules: the family's table of names.
        base: name or path of the model that the adapters are of.

    Raises:
        WeightsError: as ``published_adapters``, or the files cannot be written.
    """
    made = published_adapters(network, rules)
    dropouts = {adapter.dropout for adapter in adapters(network).values()}
    tensors = {}
    for name, half in made.items():
        tensors[f"{WRAPPER}{name}.lora_A.weight"] = half.a
        tensors[f"{WRAPPER}{name}.lora_B.weight"] = half.b
    settings = _settings(made, max(dropouts), base)
    write_tensors(Path(folder), WEIGHTS, tensors)
    write_text(Path(folder) / SETTINGS, json.dumps(settings, indent=2) + "\n")


def load_adapter(network: nn.Module, folder: str | Path, rules: Sequence[KeyRule]) -> list[str]:
    """Attach the adapters that a folder holds in PEFT's form; the network has none yet.

    Names may begin at the whole model or at its language model, as far as it is clear which.

    Returns:
        Our names of the layers.

    Raises:
        WeightsError: files missing or damaged, settings of another kind of adapter, or tensors
            that fit no layer; nothing is attached then.
    """
    folder = Path(folder)
    settings = _read_settings(folder)
    tensors = {name.removeprefix(WRAPPER): t for name, t in _read(folder / WEIGHTS).items()}
    halves = paired(tensors, folder, lambda name, rank: _scale_of(settings, name, rank))
    dropout = float(settings.get("lora_dropout") or 0.0)
    return attach_published(network, halves, rules, dropout, folder)


def save_parts(
    network: nn.Module, folder: str | Path, rules: Sequence[KeyRule], parts: Sequence[Part]
) -> None:
    """Write some parts of a network by published names, such as Partial LoRA alone.

    Raises:
        WeightsError: the network has nothing of these parts, or a tensor has no published name.
    """
    own = {name: t for name, t in network.state_dict().items() if part_of(name) in parts}
    if not own:
        raise WeightsError(f"the network has nothing of {', '.join(sorted(parts))} to save.")
    write_tensors(Path(folder), PARTS_FILE, dict(publish(own, rules)))


@torch.no_grad()
def load_parts(network: nn.Module, folder: str | Path, rules: Sequence[KeyRule]) -> list[str]:
    """Copy the parts that ``save_parts`` wrote into a network.

    Returns:
        Our names of the tensors.

    Raises:
        WeightsError: the file is missing or damaged, or does not fit; nothing is copied then.
    """
    path = Path(folder) / PARTS_FILE
    tensors, own = _read(path), network.state_dict()
    groups, unknown = groups_of(tensors, rules)
    made: dict[str, Tensor] = {}
    for group in groups:
        if not tensors.keys() >= set(group.theirs):
            unknown += [name for name in group.theirs if name in tensors]
            continue
        values = group.rule.loaded(tensors[name] for name in group.theirs)
        made |= dict(zip(group.ours, values, strict=True))
    unknown += [n for n, t in made.items() if n not in own or own[n].shape != t.shape]
    if unknown:
        raise WeightsError(
            f"{path}: these do not fit {type(network).__name__}: {listed(unknown)}; give the parts "
            "of a model of this kind."
        )
    for name, value in made.items():
        own[name].copy_(value)
    return list(made)


def _settings(made: Mapping[str, Half], dropout: float, base: str) -> dict[str, Any]:
    """PEFT's settings; what most layers have is the rule, others are listed by name."""
    ranks = {name: len(half.a) for name, half in made.items()}
    alphas = {name: half.scale * ranks[name] for name, half in made.items()}
    rank, alpha = (_most(values.values()) for values in (ranks, alphas))
    return {
        "peft_type": "LORA",
        "task_type": None,  # adapters of any module; a task would ask for a method of its own
        "base_model_name_or_path": base,
        "r": rank,
        "lora_alpha": alpha,
        "lora_dropout": dropout,
        "target_modules": list(made),
        "rank_pattern": {name: r for name, r in ranks.items() if r != rank},
        "alpha_pattern": {name: a for name, a in alphas.items() if a != alpha},
        "bias": "none",
        "fan_in_fan_out": False,
        "use_rslora": False,
        "use_dora": False,
        "modules_to_save": None,
        "inference_mode": True,
    }


def _most(values: Collection[Any]) -> Any:
    return max(dict.fromkeys(values), key=list(values).count)


def _read_settings(folder: Path) -> dict[str, Any]:
    path = folder / SETTINGS
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
    except OSError as err:
        raise WeightsError(f"{path}: cannot be read ({err.strerror}); check the path.") from err
    except ValueError as err:
        raise WeightsError(f"{path}: is damaged, it is no JSON; get the adapter again.") from err
    if not isinstance(settings, dict):
        raise WeightsError(f"{path}: is damaged, it holds no JSON object; get the adapter again.")
    for name, known in _UNREAD.items():
        if name in settings and settings[name] not in known:
            raise WeightsError(
                f"{path}: {name} is {settings[name]!r}; plain LoRA, whose {name} is {known[0]!r}, "
                "can be read. Merge this adapter with the library that made it."
            )
    return settings


def _scale_of(settings: Mapping[str, Any], name: str, rank: int) -> float:
    """Alpha over the rank, where a pattern says so, of this layer."""
    alpha: Any = settings.get("lora_alpha", 8)
    for key, value in (settings.get("alpha_pattern") or {}).items():
        with suppress(re.error):
            if re.fullmatch(rf"(?:.*\.)?(?:{key})", name):
                alpha = value
                break
    if isinstance(alpha, bool) or not isinstance(alpha, int | float) or alpha <= 0:
        raise WeightsError(f"{SETTINGS}: lora_alpha is {alpha!r}; a number above 0 is needed.")
    return float(alpha) / (rank**0.5 if settings.get("use_rslora") else rank)


def _read(path: Path) -> dict[str, Tensor]:
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except FileNotFoundError as err:
        raise WeightsError(f"{path}: the file is missing; check the path.") from err
    except (OSError, SafetensorError) as err:
        raise WeightsError(f"{path}: is damaged or cannot be read; get it again.") from err


def write_tensors(folder: Path, name: str, tensors: Mapping[str, Tensor]) -> None:
    """Write tensors beside their place, then move them there, so that no half of a file stays.

    Raises:
        WeightsError: the file cannot be written.
    """
    part = folder / f".{name}.part"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        plain = {key: t.detach().cpu().clone().contiguous() for key, t in tensors.items()}
        save_file(plain, part, {"format": "pt"})
        part.replace(folder / name)
    except OSError as err:
        raise WeightsError(f"{folder / name}: cannot be written ({err.strerror or err}).") from err
    finally:
        part.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text in the same way; raises WeightsError."""
    part = path.with_name(f".{path.name}.part")
    try:
        part.write_text(text, encoding="utf-8")
        part.replace(path)
    except OSError as err:
        raise WeightsError(f"{path}: cannot be written ({err.strerror or err}).") from err
