"""A whole training run as one frozen value, its settings by dotted name, and changes to them."""

from __future__ import annotations

import json
import types
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import Any, Final, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

import torch

from tilewise.adapt.freeze import PARTS, Part
from tilewise.adapt.lora import DECODER_TARGETS, VIT_TARGETS, LoraConfig
from tilewise.errors import ConfigError
from tilewise.train.data import DataConfig
from tilewise.train.distill import TeacherConfig
from tilewise.train.loop import RunConfig
from tilewise.train.objectives import Reduction
from tilewise.train.optim import OptimConfig
from tilewise.train.schedule import ScheduleConfig

FREE: Final = frozenset(
    {f"run.{name}" for name in ("device", "workers", "save_every", "measure_every", "keep")}
    | {"run.is_checkpointed", "run.sharding", "run.rank_timeout_s", "name"}
)
"""Settings that may change when a run is resumed: they do not change what it computes."""

VIT_LORA: Final = LoraConfig(targets=VIT_TARGETS)
"""What ``model.vit_lora`` is where one of its settings is named and the others are not."""

_MADE: Final = "made"
"""A field's value where one of its settings is named and it has none, in the field's metadata."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelConfig:
    """What is trained, and which parts of it learn.

    ``folder`` is a name that ``tilewise models`` lists, a folder, or a hub id. With ``is_random``
    its weights are not read but drawn, and it need hold none. ``trained`` are the parts that learn;
    where there are adapters (``lora`` in the decoder, ``vit_lora`` in the vision encoder) these
    learn besides. Layers of the vision encoder from ``vit_layers`` on learn in any case, counted
    from the end where negative, 0 for none, and so does the decoder's output where
    ``has_open_output``. ``drop_path`` is the share of tiles for which the encoder's last layer is
    left out, and ``partial_lora_dropout`` that of inputs that Partial LoRA does not see while it
    learns; None for what the model's config says.
    """

    folder: str = ""
    is_random: bool = False
    trained: tuple[Part, ...] = ("vit", "projector", "decoder")
    vit_layers: int = 0
    has_open_output: bool = False
    lora: LoraConfig | None = None
    vit_lora: LoraConfig | None = field(default=None, metadata={_MADE: VIT_LORA})
    drop_path: float | None = None
    partial_lora_dropout: float | None = None

    def __post_init__(self) -> None:
        odd = [part for part in self.trained if part not in PARTS]
        if odd:
            raise ConfigError(f"model.trained names {odd[0]!r}; parts are {', '.join(PARTS)}.")
        for name, known in (("lora", DECODER_TARGETS), ("vit_lora", VIT_TARGETS)):
            lora: LoraConfig | None = getattr(self, name)
            place = f"{known[0].partition('.')[0]}."
            aside = [one for one in lora.targets if not one.startswith(place)] if lora else []
            if aside:
                raise ConfigError(
                    f"model.{name}.targets names {aside[0]}; layers whose names begin with {place} "
                    f"are allowed, such as {known[0]}."
                )
        for name in ("drop_path", "partial_lora_dropout"):
            share = getattr(self, name)
            if share is not None and not 0 <= share < 1:
                raise ConfigError(f"model.{name} is {share}; 0 <= share < 1 must hold.")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainConfig:
    """A run: ``name`` for people, the model, the data, what is lost, and how it is learned.

    With a ``teacher`` the model's vision encoder learns from another one, not from answers.
    """

    name: str
    model: ModelConfig = field(default_factory=ModelConfig)
    data: DataConfig = field(default_factory=DataConfig)
    reduction: Reduction = "mean"
    teacher: TeacherConfig | None = None
    optim: OptimConfig = field(default_factory=OptimConfig)
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    run: RunConfig = field(default_factory=RunConfig)


def settings(cfg: object, prefix: str = "") -> dict[str, Any]:
    """All settings by dotted name, as plain JSON values."""
    return dict(_settings(cfg, prefix))


def changed(cfg: T, name: str, value: object) -> T:
    """A config with one setting changed.

    Args:
        cfg: a frozen dataclass.
        name: dotted, e.g. ``optim.lr``.
        value: fits the setting's type; lists stand for tuples.

    Raises:
        ConfigError: there is no such setting, or the value does not fit.
    """
    head, _, rest = name.partition(".")
    assert is_dataclass(cfg), "settings are those of dataclasses"
    known = [one.name for one in fields(cfg)]
    if head not in known:
        raise ConfigError(
            f"{type(cfg).__name__} has no setting {head!r}; it has {', '.join(known)}."
        )
    if rest:
        inner = getattr(cfg, head)
        if inner is None:  # a part that is left out by default, such as model.lora
            inner = _made(cfg, head)
        if not is_dataclass(inner):
            raise ConfigError(f"{head} has no settings of its own; leave out .{rest}.")
        return replace(cfg, **{head: changed(inner, rest, value)})  # type: ignore[type-var]
    hint = get_type_hints(type(cfg))[head]
    return replace(cfg, **{head: _fitted(hint, value, head)})  # type: ignore[type-var]


def with_options(cfg: T, options: Sequence[str]) -> T:
    """A config with settings changed by texts such as ``optim.lr=2e-5``.

    A value is JSON, or a text as it stands where it is none.

    Raises:
        ConfigError: a text without ``=``, or as ``changed``.
    """
    for option in options:
        name, sign, text = option.partition("=")
        if not sign:
            raise ConfigError(f"--set {option}: has no value; write it as optim.lr=2e-5.")
        try:
            value = json.loads(text)
        except ValueError:
            value = text
        try:
            cfg = changed(cfg, name.strip(), value)
        except ConfigError as err:
            raise ConfigError(f"--set {option}: {err}") from err
    return cfg


def _settings(cfg: object, prefix: str) -> Iterator[tuple[str, Any]]:
    assert is_dataclass(cfg), "settings are those of dataclasses"
    for one in fields(cfg):
        value, name = getattr(cfg, one.name), f"{prefix}{one.name}"
        if is_dataclass(value):
            yield from _settings(value, f"{name}.")
        else:
            yield name, _plain(value)


def _plain(value: object) -> Any:
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if is_dataclass(value):
        return settings(value)
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    return str(value)


def _made(cfg: Any, name: str) -> Any:
    """The defaults of a part that a config has not, by its type, such as ``LoraConfig | None``."""
    (own,) = (one for one in fields(cfg) if one.name == name)
    if _MADE in own.metadata:
        return own.metadata[_MADE]
    kinds = [kind for kind in get_args(get_type_hints(type(cfg))[name]) if is_dataclass(kind)]
    return kinds[0]() if kinds else None  # type: ignore[operator]


def _fitted(hint: Any, value: object, name: str) -> Any:
    """The value in the form that the type asks for."""
    for kind in _kinds(hint):
        fit = _as(kind, value, name)
        if fit is not _NO:
            return fit
    raise ConfigError(f"{name} is {value!r}; {_spoken(hint)} is allowed.")


_NO: Final[Any] = object()


def _as(kind: Any, value: Any, name: str) -> Any:
    """The value as one kind, ``_NO`` where it is none."""
    origin = get_origin(kind)
    if origin is Literal:
        return value if value in get_args(kind) else _NO
    if origin is tuple and isinstance(value, (list, tuple)):
        return _as_tuple(get_args(kind), value, name)
    if kind is type(None):
        return None if value is None or value == "none" else _NO
    if kind is float and isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    if kind in (int, str, bool):
        return value if type(value) is kind else _NO
    if kind is torch.dtype and isinstance(value, str):
        found = getattr(torch, value, None)
        return found if isinstance(found, torch.dtype) else _NO
    if is_dataclass(kind) and isinstance(value, Mapping):
        made = cast(Any, kind)()
        for key, one in value.items():
            made = changed(made, key, one)
        return made
    return _NO


def _as_tuple(parts: tuple[Any, ...], values: Sequence[Any], name: str) -> Any:
    if len(parts) == 2 and parts[1] is Ellipsis:
        return tuple(_fitted(parts[0], one, name) for one in values)
    if len(parts) != len(values):
        return _NO
    return tuple(_fitted(part, one, name) for part, one in zip(parts, values, strict=True))


def _kinds(hint: Any) -> tuple[Any, ...]:
    return get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)


def _spoken(hint: Any) -> str:
    """A type as it is said in messages."""
    words: dict[Any, str] = {
        int: "a whole number",
        float: "a number",
        str: "a text",
        bool: "true or false",
        type(None): "none",
    }
    said = []
    for kind in _kinds(hint):
        if get_origin(kind) is Literal:
            said += [repr(one) for one in get_args(kind)]
        elif get_origin(kind) is tuple:
            said.append("a list")
        else:
            said.append(words.get(kind, getattr(kind, "__name__", str(kind))))
    return " or ".join(said)
