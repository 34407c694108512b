"""Published names of weights to ours and back: the machine that applies a family's table.

A table is a sequence of rules. In its names ``{i}`` (any word in braces) stands for a number,
the same number in all names of a rule. Loading is strict both ways and reads one tensor at a
time, so that at most the weights and a few of their largest tensors are in memory at once.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor, nn

from tilewise.errors import WeightsError
from tilewise.weights.files import TensorFiles
from tilewise.weights.names import listed

Report = Callable[[str, int, int], None]
"""Called with (stage, done, total) while weights are read; done and total are MiB."""

Place = torch.device | str | Callable[[str], torch.device | str]
"""A device for all tensors, or a function from our name of a tensor to its device."""

_FIELD: Final = re.compile(r"\\\{(\w+)\\\}")
_MIB: Final = 1 << 20


def _same(*tensors: Tensor) -> Tensor:
    (tensor,) = tensors
    return tensor


def _alone(tensor: Tensor) -> tuple[Tensor, ...]:
    return (tensor,)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRule:
    """How one tensor of ours is made of published ones.

    Several of ``theirs`` are joined to the one ``ours``. ``load`` and ``store`` are inverses,
    made of tensor operations alone, and never write to what they are given; without them the
    one tensor is taken as it is. ``ours`` is None for published tensors that are not used.
    """

    theirs: tuple[str, ...]
    ours: str | None
    load: Callable[..., Tensor] = _same
    store: Callable[[Tensor], tuple[Tensor, ...]] = _alone


def load_weights(
    model: nn.Module,
    files: TensorFiles,
    rules: Sequence[KeyRule],
    *,
    dtype: torch.dtype | None = None,
    device: Place = "cpu",
    progress: Report | None = None,
) -> None:
    """Fill a model from the files of a folder.

    Args:
        model: its ``state_dict`` names what is wanted; tensors on the meta device are made.
        files: the published tensors.
        rules: the family's table; of several rules that fit a name the first is taken.
        dtype: of the floating-point tensors; None keeps that of the model.
        device: where the tensors go, or a function from our name to where.
        progress: told of the MiB read.

    Raises:
        WeightsError: lists every missing, extra and misshapen tensor. Nothing is changed then.
    """
    wanted = model.state_dict()
    groups, extra = _groups(files, rules)
    faults = _faults(wanted, groups, extra, files, rules)
    if faults:
        raise WeightsError(
            f"{files.folder}: its tensors do not fit {type(model).__name__}: {'; '.join(faults)}. "
            "Give a folder of this model, or one whose config.json says what it is."
        )
    # All are made before any is filled, so that what is freed between leaves no gaps in the heap.
    for ours in groups:
        place = device(ours) if callable(device) else device
        _make(model, ours, dtype, torch.device(place))
    total, done = files.size_bytes, 0
    for ours, group in groups.items():
        with torch.no_grad():
            _tensor(model, ours).copy_(group.rule.load(*map(files.read, group.names)))
        done += sum(files.infos[name].size_bytes for name in group.names)
        if progress is not None:
            progress("weights", done // _MIB, total // _MIB)
    files.close()


def published(model: nn.Module, rules: Sequence[KeyRule]) -> Iterator[tuple[str, Tensor]]:
    """A model's tensors under their published names, in the published form.

    Raises:
        WeightsError: lists every tensor of the model that no rule names.
    """
    yield from publish(model.state_dict(), rules)


def publish(
    tensors: Mapping[str, Tensor], rules: Sequence[KeyRule]
) -> Iterator[tuple[str, Tensor]]:
    """As ``published``, of tensors by our names."""
    backward = _Table([(rule.ours, rule) for rule in rules if rule.ours is not None])
    found = {name: backward.find(name) for name in tensors}
    nameless = [name for name, match in found.items() if match is None]
    if nameless:
        raise WeightsError(f"no published name is known for: {listed(nameless)}.")
    for name, match in found.items():
        assert match is not None
        rule, numbers = match
        yield from zip(
            [theirs.format(**numbers) for theirs in rule.theirs],
            rule.store(tensors[name]),
            strict=True,
        )


def has_our_names(names: Iterable[str], rules: Sequence[KeyRule]) -> bool:
    """Whether tensors have our names, all of them, rather than the published ones."""
    backward = _Table([(rule.ours, rule) for rule in rules if rule.ours is not None])
    return all(backward.find(name) is not None for name in names)


@dataclass(frozen=True, slots=True)
class _Group:
    """The published names that make one tensor of ours, None where one is missing."""

    rule: KeyRule
    names: list[str]


class _Table:
    """Finds the rule of a name. Patterns without a number are looked up, the others tried."""

    def __init__(self, patterns: Sequence[tuple[str, KeyRule]]) -> None:
        self._exact: dict[str, KeyRule] = {}
        self._tried: list[tuple[re.Pattern[str], KeyRule]] = []
        for pattern, rule in patterns:
            if "{" in pattern:
                self._tried.append((_compiled(pattern), rule))
            else:
                self._exact.setdefault(pattern, rule)

    def find(self, name: str) -> tuple[KeyRule, dict[str, str]] | None:
        """The rule of a name and its numbers."""
        if name in self._exact:
            return self._exact[name], {}
        for pattern, rule in self._tried:
            match = pattern.fullmatch(name)
            if match:
                return rule, match.groupdict()
        return None


def _compiled(pattern: str) -> re.Pattern[str]:
    """``a.{i}.b`` → a.(?P<i>0|[1-9][0-9]*).b, so that a name has one number and back."""
    return re.compile(_FIELD.sub(r"(?P<\1>0|[1-9][0-9]*)", re.escape(pattern)))


def _groups(files: TensorFiles, rules: Sequence[KeyRule]) -> tuple[dict[str, _Group], list[str]]:
    """What the files hold: groups by our name in the order of the files, and names unknown."""
    forward = _Table([(theirs, rule) for rule in rules for theirs in rule.theirs])
    groups: dict[str, _Group] = {}
    extra = []
    for name in files.infos:
        match = forward.find(name)
        if match is None:
            extra.append(name)
            continue
        rule, numbers = match
        if rule.ours is not None:
            names = [theirs.format(**numbers) for theirs in rule.theirs]
            groups.setdefault(rule.ours.format(**numbers), _Group(rule, names))
    return groups, extra


def _faults(
    wanted: Mapping[str, Tensor],
    groups: Mapping[str, _Group],
    extra: list[str],
    files: TensorFiles,
    rules: Sequence[KeyRule],
) -> list[str]:
    """What is missing, extra or misshapen, each kind as one clause, in published names."""
    absent = {name: value.to("meta") for name, value in wanted.items() if name not in groups}
    missing = [name for name, _ in publish(absent, rules)]
    misshapen: dict[str, list[str]] = {}
    for ours, group in groups.items():
        if ours not in wanted:
            extra = extra + [name for name in group.names if name in files.infos]
            continue
        missing += [name for name in group.names if name not in files.infos]
        shapes = [tuple(part.shape) for part in group.rule.store(wanted[ours].to("meta"))]
        for name, shape in zip(group.names, shapes, strict=True):
            if name in files.infos and files.infos[name].shape != shape:
                shapes_said = f"{files.infos[name].shape} instead of {shape}"
                misshapen.setdefault(shapes_said, []).append(name)
    faults = [
        f"{len(names)} {kind}: {listed(names)}"
        for kind, names in (("missing", missing), ("extra", extra))
        if names
    ]
    return faults + [
        f"{len(names)} misshapen, {said}: {listed(names)}" for said, names in misshapen.items()
    ]


def _tensor(model: nn.Module, name: str) -> Tensor:
    owner, _, leaf = name.rpartition(".")
    tensor: Tensor = getattr(model.get_submodule(owner), leaf)
    return tensor


def _make(model: nn.Module, name: str, dtype: torch.dtype | None, device: torch.device) -> None:
    """See that the model's tensor lies on the device in the dtype, made anew if it does not."""
    owner, _, leaf = name.rpartition(".")
    old = _tensor(model, name)
    kind = dtype if dtype is not None and old.is_floating_point() else old.dtype
    if old.device == device and old.dtype == kind:
        return
    new = torch.empty(old.shape, dtype=kind, device=device)
    if isinstance(old, nn.Parameter):
        new = nn.Parameter(new, requires_grad=old.requires_grad)
        model.get_submodule(owner).register_parameter(leaf, new)
    else:
        model.get_submodule(owner).register_buffer(leaf, new)
