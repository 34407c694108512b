"""The families' tables of names, for programs that copy weights without loading a model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from tilewise.errors import ConfigError
from tilewise.weights.files import TensorFiles, read_config
from tilewise.weights.keymap import KeyRule, has_our_names


def rules_to_publish(folder: Path, files: TensorFiles) -> Sequence[KeyRule]:
    """The table that takes a folder's tensors to their published names, if they have ours.

    Args:
        folder: where ``config.json`` names the family.
        files: its tensors.

    Returns:
        The family's table, or nothing where the names are the published ones already.

    Raises:
        WeightsError: the config is missing or damaged.
        ConfigError: the config holds what the family has not.
    """
    config = read_config(folder)
    table = TABLES.get(str(config.get("model_type")))
    rules = table(config) if table else ()
    return rules if has_our_names(files.infos, rules) else ()


def weights_to_quantise(folder: Path) -> frozenset[str]:
    """The published names of the weights that a folder's family lets be quantised, as patterns.

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
    rules = TABLES[family](config)
    return frozenset(
        name for rule in rules for ours in rule.made if ours in chosen for name in rule.theirs
    )


def _ixc2(config: Mapping[str, Any]) -> Sequence[KeyRule]:
    from tilewise.models.ixc2.config import Ixc2Config  # noqa: PLC0415 - a family is imported when used
    from tilewise.models.ixc2.keys import rules  # noqa: PLC0415

    return rules(Ixc2Config.from_json(config))


def _quantised_ixc2() -> frozenset[str]:
    from tilewise.models.ixc2.keys import QUANTISED  # noqa: PLC0415 - as above

    return QUANTISED


TABLES: Final[Mapping[str, Callable[[Mapping[str, Any]], Sequence[KeyRule]]]] = {
    "internlmxcomposer2": _ixc2,
}
"""Tables by the ``model_type`` of ``config.json``; other families have one set of names."""

QUANTISED: Final[Mapping[str, Callable[[], frozenset[str]]]] = {
    "internlmxcomposer2": _quantised_ixc2,
}
"""Our names of the weights that may be quantised, as patterns, by the ``model_type``."""
