"""Losses and gradients against those of the original code."""

from __future__ import annotations

import json
from itertools import chain, pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from torch import Tensor

from tests.goldens import GoldenFile
from tests.models.internvl import making as internvl
from tests.models.ixc2 import making as ixc2
from tilewise.models.internvl.model import load_internvl
from tilewise.models.ixc2.keys import rules
from tilewise.models.ixc2.model import load_ixc2
from tilewise.models.pack import IGNORE, Example, Pack
from tilewise.train.objectives import Reduction, loss_weights, packed_loss
from tilewise.weights.keymap import publish


@pytest.mark.golden
@pytest.mark.parametrize("reduction", ["token", "sample", "square"])
def test_weights_of_positions_are_those_of_the_original(
    reduction: Reduction, golden: GoldenFile
) -> None:
    cases = json.loads(golden("internvl", "packed_loss_weights.json").read_text())["cases"]
    for case in cases:
        ends = case["cu_seqlens"]
        labels = [case["labels"][a:b] for a, b in pairwise(ends)]
        # The originals are float32.
        found = torch.tensor(list(chain.from_iterable(loss_weights(labels, reduction))))
        assert found.tolist() == case[f"loss_weight_{reduction}"]


def test_a_sample_without_labels_weighs_nothing() -> None:
    assert loss_weights([[IGNORE, IGNORE], []], "sample") == [[0, 0], []]


@pytest.mark.golden
@pytest.mark.parametrize("is_checkpointed", [False, True])
@pytest.mark.parametrize("folder", ixc2.golden_folders(), ids=lambda f: f.name)
def test_ixc2_loses_and_learns_as_the_original(folder: Path, is_checkpointed: bool) -> None:
    train = ixc2.expected(folder)["train"]
    network = load_ixc2(folder, dtype=torch.float32).network.requires_grad_(True)
    prompt, answer = ixc2.golden_prompt(folder, train["prompt"]), train["answer_ids"]
    labels = (IGNORE,) * len(prompt) + tuple(answer)
    pack = Pack(examples=(Example(units=(*prompt.units, *answer), labels=labels),))
    hidden = network.hidden(pack, is_checkpointed=is_checkpointed)
    loss = packed_loss(network.decoder, hidden, [labels], loss_weights([labels], "mean"))
    mean = loss.total / loss.weight
    assert mean.item() == pytest.approx(train["loss"], rel=1e-5)
    mean.backward()
    gradients = {name: value.grad for name, value in network.named_parameters()}
    assert None not in gradients.values()
    found = dict(publish(gradients, rules(network.cfg)))  # type: ignore[arg-type]  # seen above
    assert found.keys() == train["grad_norms"].keys()
    for name, norm in train["grad_norms"].items():
        assert found[name].norm().item() == pytest.approx(norm, rel=1e-4, abs=2e-7), name
    for name, gradient in _gradients(folder).items():
        assert (found[name].flatten() - gradient).norm() < 1e-4 * gradient.norm(), name


def _gradients(folder: Path) -> dict[str, Tensor]:
    """Golden gradients by published name, flat; the file is too large to lie beside the tests."""
    path, prefix = folder / "expected.safetensors", "train.grad."
    if not path.is_file():
        return {}
    longer = {"vit.class_embedding": "vit.vision_tower.vision_model.embeddings.class_embedding"}
    with safe_open(path, "pt") as file:
        names = [name for name in file.keys() if name.startswith(prefix)]  # noqa: SIM118
        found: dict[str, Any] = {n.removeprefix(prefix): file.get_tensor(n) for n in names}
    return {longer.get(name, name): value.flatten() for name, value in found.items()}


@pytest.mark.golden
@pytest.mark.parametrize(("folder", "truth"), internvl.golden_pairs(), ids=str)
def test_internvl_loses_as_the_original(folder: Path, truth: Path) -> None:
    expected = internvl.expected(truth)
    network = load_internvl(folder, dtype=torch.float32).network
    labels = expected["labels"][0].tolist()
    units = internvl.golden_prompt(folder, truth).units
    pack = Pack(examples=(Example(units=units, labels=tuple(labels)),))
    with torch.no_grad():
        hidden = network.hidden(pack)
        for name, weights in (
            ("loss", loss_weights([labels], "token")),
            ("loss_weighted", expected["loss_weight"].tolist()),
        ):
            loss = packed_loss(network.decoder, hidden, [labels], weights)
            assert loss.total.item() / loss.weight == pytest.approx(expected[name].item(), abs=1e-5)
