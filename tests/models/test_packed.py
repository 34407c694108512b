"""Packs of examples against the same examples one by one, and against the reading of prompts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Final, cast

import pytest
import torch
from torch import Tensor, nn

from tests.models.internvl import making as internvl
from tests.models.ixc2 import making as ixc2
from tilewise.adapt.freeze import train_only
from tilewise.adapt.lora import LoraConfig, attach
from tilewise.models.internvl.model import InternVLReader
from tilewise.models.internvl.network import InternVL
from tilewise.models.ixc2.model import Ixc2Reader
from tilewise.models.pack import IGNORE, Example, Pack, Trainable
from tilewise.models.units import Prompt
from tilewise.records import Page, Turn
from tilewise.train.objectives import loss_weights, packed_loss

Reader = Ixc2Reader | InternVLReader

MADE: Final[dict[str, Callable[[], Reader]]] = {
    "ixc2": ixc2.small_reader,
    "internvl": internvl.small_reader,
    "longrope": lambda: internvl.small_reader(internvl.STRETCHED),
}
QUESTIONS: Final[Sequence[tuple[str, Sequence[tuple[int, int]]]]] = (
    ("What?", [(100, 60)]),
    ("Hello there", []),
    ("Compare these pages word by word.", [(60, 200), (30, 30)]),
    ("", [(240, 130)]),
)
"""Questions about pages of these sizes: none, one and several, of different grids."""


def _example(reader: Reader, question: str, sizes: Sequence[tuple[int, int]]) -> Example:
    blank = Page(pixels=ixc2.noise_page(1, 1).pixels.repeat(90, 0).repeat(90, 1), name="blank")
    pages = [ixc2.noise_page(*size, seed) for seed, size in enumerate(sizes)]
    pages += [blank] if len(sizes) > 1 else []
    tiles = [reader.tiles(page, 6) for page in pages]
    prompt = reader.prompt([Turn(role="user", text=question + "?")], tiles)
    answer = (len(question), 66, 67, 68)[: 2 + len(sizes)]
    labels = (IGNORE,) * len(prompt) + answer
    return Example(units=(*prompt.units, *answer), labels=labels, id=question)


def _examples(reader: Reader) -> tuple[Example, ...]:
    return tuple(_example(reader, *asked) for asked in QUESTIONS)


def _total(network: Trainable, examples: Sequence[Example], *, is_checkpointed: bool) -> Tensor:
    pack = Pack(examples=tuple(examples))
    hidden = network.hidden(pack, is_checkpointed=is_checkpointed)
    labels = [example.labels for example in examples]
    return packed_loss(network.decoder, hidden, labels, loss_weights(labels, "square")).total


@pytest.mark.parametrize("is_checkpointed", [False, True])
@pytest.mark.parametrize("kind", MADE)
def test_a_pack_has_the_loss_and_gradients_of_its_examples_one_by_one(
    kind: str, is_checkpointed: bool
) -> None:
    reader = MADE[kind]()
    network = reader.network.requires_grad_(True)
    examples = _examples(reader)
    if kind == "longrope":  # some on either side of the length at which the table changes
        assert min(map(len, examples)) < 80 < max(map(len, examples))
    total = _total(network, examples, is_checkpointed=is_checkpointed)
    found = torch.autograd.grad(total, list(network.parameters()))
    parts = [_total(network, [example], is_checkpointed=False) for example in examples]
    alone = torch.stack(parts).sum()
    wanted = torch.autograd.grad(alone, list(network.parameters()))
    torch.testing.assert_close(total, alone)
    for one, other in zip(found, wanted, strict=True):
        assert (one - other).norm() <= 1e-5 * other.norm() + 1e-6


@pytest.mark.parametrize("kind", MADE)
def test_what_is_learned_from_is_what_is_read(kind: str) -> None:
    reader = MADE[kind]()
    network = reader.network
    examples = _examples(reader)
    with torch.no_grad():
        hidden = network.hidden(Pack(examples=examples))
        logits = network.decoder.logits(hidden).split([len(example) for example in examples])
    for example, own in zip(examples, logits, strict=True):
        read = reader.all_logits(Prompt(units=example.units))
        torch.testing.assert_close(own, read, atol=2e-4, rtol=2e-4)


@pytest.mark.parametrize("kind", ["ixc2", "internvl"])
def test_a_pack_of_text_alone_leaves_the_vision_side_out(kind: str) -> None:
    reader = MADE[kind]()
    network = reader.network.requires_grad_(True)
    texts = [_example(reader, "Hello", []), _example(reader, "And?", [])]
    _total(network, texts, is_checkpointed=False).backward()
    assert network.projector.up.weight.grad is None
    assert network.decoder.embed.weight.grad is not None


def test_tiles_that_look_alike_pass_the_encoder_once_unless_layers_are_dropped() -> None:
    reader = MADE["ixc2"]()
    vit, counts = reader.network.vit, list[int]()
    vit.register_forward_hook(lambda _, views, __: counts.append(len(views[0])))
    pack = Pack(examples=(_example(reader, "Two", [(50, 50), (90, 30)]),))
    with torch.no_grad():
        reader.network.hidden(pack)
        fewer = sum(counts)
        counts.clear()
        vit.train()
        cast(Any, vit.layers[-1]).drop = 0.5
        reader.network.hidden(pack)
    assert fewer < sum(counts) == pack.tiles


def test_a_network_without_its_ends_says_so() -> None:
    reader = MADE["internvl"]()
    network = InternVL(internvl.SMALL)
    with pytest.raises(ValueError, match=r"InternVL\.ends is None"):
        network.hidden(Pack(examples=(_example(reader, "?", [(30, 30)]),)))


def test_dropping_acts_in_training_alone_and_is_the_same_when_computed_again() -> None:
    reader = ixc2.small_reader()
    network = reader.network.requires_grad_(True)
    examples = _examples(reader)
    calm = _total(network, examples, is_checkpointed=False)
    network.train()

    def gradients(is_checkpointed: bool) -> tuple[Tensor, ...]:
        torch.manual_seed(5)
        total = _total(network, examples, is_checkpointed=is_checkpointed)
        assert not torch.equal(total, calm)
        return torch.autograd.grad(total, list(network.parameters()))

    for one, other in zip(gradients(True), gradients(False), strict=True):
        torch.testing.assert_close(one, other)


def test_text_alone_meets_no_dropping() -> None:
    reader = ixc2.small_reader()
    examples = [_example(reader, "Hello", [])]
    with torch.no_grad():
        calm = _total(reader.network, examples, is_checkpointed=False)
        reader.network.train()
        assert torch.equal(_total(reader.network, examples, is_checkpointed=False), calm)


@pytest.mark.parametrize("policy", ["bfloat16 weights", "bfloat16 products"])
@pytest.mark.parametrize("kind", ["ixc2", "internvl"])
def test_a_step_in_half_precision_goes_the_same_way(kind: str, policy: str) -> None:
    reader = MADE[kind]()
    for weight in reader.network.parameters():  # of a size at which sums do not blow up
        weight.data.mul_(0.3)
    network: nn.Module = reader.network.requires_grad_(True)
    examples = _examples(reader)
    sharp = _total(reader.network, examples, is_checkpointed=True)
    wanted = torch.autograd.grad(sharp, list(network.parameters()))
    if policy == "bfloat16 weights":
        network.to(torch.bfloat16)
    with torch.autocast("cpu", torch.bfloat16, enabled=policy == "bfloat16 products"):
        total = _total(reader.network, examples, is_checkpointed=True)
    assert total.dtype == torch.float32
    torch.testing.assert_close(total, sharp, rtol=0.02, atol=0.02)
    found = torch.autograd.grad(total, list(network.parameters()))
    flat, true = (torch.cat([g.flatten().float() for g in some]) for some in (found, wanted))
    assert torch.cosine_similarity(flat, true, dim=0) > 0.99


@pytest.mark.parametrize("kind", ["ixc2", "internvl"])
def test_adapters_learn_alike_with_activations_kept_and_computed_again(kind: str) -> None:
    reader = MADE[kind]()
    network, examples = reader.network, _examples(reader)
    attach(network, LoraConfig(rank=2, dropout=0.1))
    names = train_only(network, "adapter")
    for name in names:
        nn.init.normal_(network.get_parameter(name), std=0.1)
    network.train()

    def gradients(is_checkpointed: bool) -> tuple[Tensor, ...]:
        torch.manual_seed(5)
        total = _total(network, examples, is_checkpointed=is_checkpointed)
        return torch.autograd.grad(total, list(map(network.get_parameter, names)))

    for one, other in zip(gradients(True), gradients(False), strict=True):
        torch.testing.assert_close(one, other)
        assert one.any()


def test_positions_of_an_example_do_not_see_another() -> None:
    reader = MADE["internvl"]()
    examples = _examples(reader)
    changed = replace(examples[0], units=(9, *examples[0].units[1:]))
    with torch.no_grad():
        one = reader.network.hidden(Pack(examples=examples))
        other = reader.network.hidden(Pack(examples=(changed, *examples[1:])))
    at = len(examples[0])
    assert torch.equal(one[at:], other[at:])
    assert not torch.equal(one[:at], other[:at])
