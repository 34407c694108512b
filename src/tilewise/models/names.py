"""The families' tables of names, for programs that copy weights without loading a model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from tilewise.errors import ConfigError
from tilewise.weights.files import TensorFiles, read_config
from tilewise.weights.keymap import KeyRule, has_our_names
from tilewise.weights.renaming import Layout, Renaming


def renaming_to(
    folder: Path, layout: Layout | None, *, is_quantised: bool = False
) -> Renaming | None:
    """What the tensors of a folder are to be called in a copy, None where they keep their names.

    Args:
        folder: where ``config.json`` names the family.
        layout: of the copy; None publishes tensors that have our names, and no others.
        is_quantised: weights of the copy are rounded, so that it must have its family's very
            names, and adapters merged.

    Raises:
        WeightsError: config or tensors are missing or damaged.
        ConfigError: the config holds what the family has not, or the family has one layout alone.
    """
    config = read_config(folder)
    family = str(config.get("model_type"))
    if is_quantised and layout is None:
        layout = LAYOUTS.get(family)
    if layout is not None:
        if family not in LAYOUTS:
            raise ConfigError(
                f"{folder}: a model of the kind {family!r} has one layout, those of the kinds "
                f"{', '.join(LAYOUTS)} have several; leave out --layout."
            )
        return _internvl_renaming(folder, layout)
    rules = TABLES[family](config, None) if family in TABLES else ()
    files = TensorFiles(folder)
    if not has_our_names(files.infos, rules):
        return None
    ours = [KeyRule(theirs=(name,), ours=name) for rule in rules for name in rule.made]
    return Renaming(files=files, before=ours, after=rules)


def weights_to_quantise(folder: Path, layout: Layout | None = None) -> frozenset[str]:
    """The published names of the weights that a folder's family lets be quantised, as patterns.

    Args:
        folder: where ``config.json`` names the family.
        layout: whose names; None for those of the folder.

    Raises:
        WeightsError: the config is missing or damaged.
        ConfigError: the family has none, or the config holds what it has not.
    """
    config = read_config(folder)
    family = str(config.get("model_type"))
    if family not in QUANTISED:
        raise ConfigError(
            f"{folder}: a model of the kind {family!r} is not quantised, those of "
            f"{', '.join(QUANTISED)} are; leave out --quantise."
        )
    chosen = QUANTISED[family]()
    rules = TABLES[family](config, layout)
    return frozenset(name for rule in rules if chosen.issuperset(rule.made) for name in rule.theirs)


def _ixc2(config: Mapping[str, Any], layout: Layout | None) -> Sequence[KeyRule]:
    from tilewise.models.ixc2.config import Ixc2Config  # noqa: PLC0415 - a family is imported when used
    from tilewise.models.ixc2.keys import rules  # noqa: PLC0415

    return rules(Ixc2Config.from_json(config))


def _internvl(config: Mapping[str, Any], layout: Layout | None) -> Sequence[KeyRule]:
    from tilewise.models.internvl.config import read_config  # noqa: PLC0415 - as above
    from tilewise.models.internvl.keys import rules  # noqa: PLC0415
    from tilewise.models.internvl.layouts import in_layout  # noqa: PLC0415

    own = LAYOUTS[config["model_type"]]
    return rules(read_config(in_layout(config, layout or own)), layout or own)


def _internvl_renaming(folder: Path, layout: Layout) -> Renaming:
    from tilewise.models.internvl.layouts import renaming  # noqa: PLC0415 - as above

    return renaming(folder, layout)


def _quantised_ixc2() -> frozenset[str]:
    from tilewise.models.ixc2.keys import QUANTISED  # noqa: PLC0415 - as above

    return QUANTISED


def _quantised_internvl() -> frozenset[str]:
    from tilewise.models.internvl.keys import QUANTISED  # noqa: PLC0415 - as above

    return QUANTISED


LAYOUTS: Final[Mapping[str, Layout]] = {"internvl_chat": "official", "internvl": "native"}
"""Layouts by the ``model_type``, of the family that has several."""

Table = Callable[[Mapping[str, Any], Layout | None], Sequence[KeyRule]]
"""Makes a family's table from its config, and from a layout where it has several."""

TABLES: Final[Mapping[str, Table]] = {
    "internlmxcomposer2": _ixc2,
    "internvl_chat": _internvl,
    "internvl": _internvl,
}
"""Tables by the ``model_type`` of ``config.json``; other families have one set of names."""

QUANTISED: Final[Mapping[str, Callable[[], frozenset[str]]]] = {
    "internlmxcomposer2": _quantised_ixc2,
    "internvl_chat": _quantised_internvl,
    "internvl": _quantised_internvl,
}
"""Our names of the weights that may be quantised, as patterns, by the ``model_type``."""
