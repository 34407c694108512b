"""Filling a network from a folder's files, each weight where it will run."""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from typing import cast

import torch
from torch import nn

from tilewise.models.memory import Network, places, room, slow_part
from tilewise.models.reader import Progress
from tilewise.weights.keymap import KeyRule, Tensors, load_weights
from tilewise.weights.quantised import check_runs, fill, form_of, hollow, quantised_rules

_LOG = logging.getLogger(__name__)


def fill_network(
    model: nn.Module,
    files: Tensors,
    rules: Sequence[KeyRule],
    *,
    quantised: Collection[str],
    devices: Sequence[torch.device],
    page_views: int,
    what: str,
    progress: Progress | None = None,
) -> None:
    """Give a network the weights of a folder and make it ready to run.

    Args:
        model: a ``models.memory.Network`` on the meta device, in the dtype that it is to have.
        files: the folder's tensors.
        rules: the family's table of names.
        quantised: weights that may be quantised, as patterns of our names; those that the files
            hold so stay so.
        devices: where to run; layers that one has no room for go to the next.
        page_views: tiles and whole-page views of the largest page that it was trained on.
        what: how a message calls the model.
        progress: told ("weights", MiB read, MiB in all).

    Raises:
        WeightsError: tensors missing, extra or misshapen, or too little memory.
        ConfigError, MissingExtraError: quantised weights do not run here.
    """
    network = cast(Network, model)  # mypy has no type for what is both
    dtype, form = network.decoder.norm.weight.dtype, form_of(files.infos)
    if form is not None:
        rules = quantised_rules(rules, quantised, form)
        hollow(model, quantised, form)
    placed = places(network, room(network, devices, page_views), what)
    if slow := slow_part(placed):
        _LOG.warning(slow)
    if form is not None:
        check_runs(form, dtype, map(torch.device, placed.values()))
    load_weights(model, files, rules, device=placed.__getitem__, progress=progress)
    if form is not None:
        fill(model, form, dtype)
    model.eval().requires_grad_(False)
