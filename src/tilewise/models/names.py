"""The families' tables of names, for programs that copy weights without loading a model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

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


def _ixc2(config: Mapping[str, Any]) -> Sequence[KeyRule]:
    from tilewise.models.ixc2.config import Ixc2Config  # noqa: PLC0415 - a family is imported when used
    from tilewise.models.ixc2.keys import rules  # noqa: PLC0415

    return rules(Ixc2Config.from_json(config))


TABLES: Final[Mapping[str, Callable[[Mapping[str, Any]], Sequence[KeyRule]]]] = {
    "internlmxcomposer2": _ixc2,
}
"""Tables by the ``model_type`` of ``config.json``; other families have one set of names."""
