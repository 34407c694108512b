"""Published names of weights to ours and back: the machine that applies a family's table.

A table is a sequence of rules. In its names ``{i}`` (any word in braces) stands for a number,
the same number in all names of a rule. Loading is strict both ways and reads one tensor at a
time, so that at most the weights and a few of their largest tensors are in memory at once.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Final, Protocol

import torch
from torch import Tensor, nn

from tilewise.errors import WeightsError
from tilewise.weights.files import TensorInfo
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
    """How tensors of ours are made of published ones.

    All of ``theirs`` together make ``ours``: one tensor, or where ``ours`` is a tuple as many as
    it names. ``load`` and ``store`` are inverses, made of tensor operations alone, and never
    write to what they are given; without them the one tensor is taken as it is. ``ours`` is None
    for published tensors that are not used.
    """

    theirs: tuple[str, ...]
    ours: str | tuple[str, ...] | None
    load: Callable[..., Tensor | tuple[Tensor, ...]] = _same
    store: Callable[..., tuple[Tensor, ...]] = _alone

    @property
    def made(self) -> tuple[str, ...]:
        """Names of ours, none where the published tensors are not used."""
        if self.ours is None:
            return ()
        return (self.ours,) if isinstance(self.ours, str) else self.ours

    def loaded(self, tensors: Iterable[Tensor]) -> tuple[Tensor, ...]:
        """Our tensors, made of the published ones."""
        value = self.load(*tensors)
        return (value,) if isinstance(value, Tensor) else value


@dataclass(frozen=True, slots=True)
class Group:
    """A rule at certain numbers: names of published tensors, and of ours that they make."""

    rule: KeyRule
    theirs: tuple[str, ...]
    ours: tuple[str, ...]


class Tensors(Protocol):
    """Tensors of a folder, such as ``weights.files.TensorFiles``."""

    @property
    def folder(self) -> Path:
        """Where they lie."""

    @property
    def infos(self) -> Mapping[str, TensorInfo]:
        """Shapes and dtypes by name, in the fastest order to read them in."""

    def read(self, name: str) -> Tensor:
        """A tensor by its name, on the CPU; copy it before writing to it."""

    def close(self) -> None:
        """Let go of open files."""


def load_weights(
    model: nn.Module,
    files: Tensors,
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
    groups = check_fits(model, files, rules)
    # All are made before any is filled, so that what is freed between leaves no gaps in the heap.
    for ours in chain.from_iterable(group.ours for group in groups):
        place = device(ours) if callable(device) else device
        _make(model, ours, dtype, torch.device(place))
    total, done = sum(info.size_bytes for info in files.infos.values()), 0
    for group in groups:
        with torch.no_grad():
            values = group.rule.loaded(map(files.read, group.theirs))
            for ours, value in zip(group.ours, values, strict=True):
                _tensor(model, ours).copy_(value)
        done += sum(files.infos[name].size_bytes for name in group.theirs)
        if progress is not None:
            progress("weights", done // _MIB, total // _MIB)
    files.close()


def check_fits(model: nn.Module, files: Tensors, rules: Sequence[KeyRule]) -> list[Group]:
    """See that the tensors of a folder are those of a model, without reading one.

    Returns:
        What makes each tensor of ours.

    Raises:
        WeightsError: lists every missing, extra and misshapen tensor.
    """
    groups, extra = groups_of(files.infos, rules)
    faults = _faults(model.state_dict(), groups, extra, files, rules)
    if faults:
        raise WeightsError(
            f"{files.folder}: its tensors do not fit {type(model).__name__}: {'; '.join(faults)}. "
            "Give a folder of this model, or one whose config.json says what it is."
        )
    return groups


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
    for group in groups_to_publish(tensors, rules):
        parts = group.rule.store(*(tensors[name] for name in group.ours))
        yield from zip(group.theirs, parts, strict=True)


def groups_to_publish(names: Iterable[str], rules: Sequence[KeyRule]) -> list[Group]:
    """What tensors by our names are published as, in the order of the first of each group.

    Raises:
        WeightsError: lists every name that no rule has, or that lacks others of its rule.
    """
    there = dict.fromkeys(names)
    groups, nameless = _matched(there, [(name, rule) for rule in rules for name in rule.made])
    halves = [group for group in groups if not there.keys() >= set(group.ours)]
    nameless += [name for group in halves for name in group.ours if name in there]
    if nameless:
        raise WeightsError(f"no published name is known for: {listed(nameless)}.")
    return groups


def groups_of(names: Iterable[str], rules: Sequence[KeyRule]) -> tuple[list[Group], list[str]]:
    """What published tensors make, in the order of the first of each group, and names unknown."""
    table = [(name, rule) for rule in rules for name in rule.theirs]
    groups, unknown = _matched(names, table)
    return [group for group in groups if group.ours], unknown


def has_our_names(names: Iterable[str], rules: Sequence[KeyRule]) -> bool:
    """Whether tensors have our names, all of them, rather than the published ones."""
    backward = _Table([(name, rule) for rule in rules for name in rule.made])
    return all(backward.find(name) is not None for name in names)


def _matched(
    names: Iterable[str], patterns: Sequence[tuple[str, KeyRule]]
) -> tuple[list[Group], list[str]]:
    """Groups of names by the rule and numbers that their patterns give, and names without."""
    table = _Table(patterns)
    groups: dict[tuple[tuple[str, ...], tuple[str, ...]], Group] = {}
    unknown = []
    for name in names:
        match = table.find(name)
        if match is None:
            unknown.append(name)
            continue
        rule, numbers = match
        theirs = tuple(name.format(**numbers) for name in rule.theirs)
        ours = tuple(name.format(**numbers) for name in rule.made)
        groups.setdefault((theirs, ours), Group(rule, theirs, ours))
    return list(groups.values()), unknown


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


def _faults(
    wanted: Mapping[str, Tensor],
    groups: Sequence[Group],
    extra: list[str],
    files: Tensors,
    rules: Sequence[KeyRule],
) -> list[str]:
    """What is missing, extra or misshapen, each kind as one clause, in published names."""
    made = {name for group in groups for name in group.ours}
    absent = {name: value.to("meta") for name, value in wanted.items() if name not in made}
    missing = [name for name, _ in publish(absent, rules)]
    misshapen: dict[str, list[str]] = {}
    for group in groups:
        if not wanted.keys() >= set(group.ours):
            extra = extra + [name for name in group.theirs if name in files.infos]
            continue
        missing += [name for name in group.theirs if name not in files.infos]
        parts = group.rule.store(*(wanted[name].to("meta") for name in group.ours))
        for name, part in zip(group.theirs, parts, strict=True):
            if name in files.infos and files.infos[name].shape != tuple(part.shape):
                said = f"{files.infos[name].shape} instead of {tuple(part.shape)}"
                misshapen.setdefault(said, []).append(name)
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
