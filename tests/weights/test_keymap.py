"""Tables of names: applied strictly both ways, inverted, and within the memory they promise."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from tilewise.errors import WeightsError
from tilewise.weights.files import WEIGHTS, TensorFiles
from tilewise.weights.keymap import KeyRule, load_weights, published
from tilewise.weights.names import listed


def join(*parts: Tensor) -> Tensor:
    return torch.cat(parts)


def split(joined: Tensor) -> tuple[Tensor, ...]:
    return joined.chunk(3)


RULES = (
    KeyRule(theirs=("emb.weight",), ours="embed.weight"),
    KeyRule(
        theirs=("h.{i}.q.weight", "h.{i}.k.weight", "h.{i}.v.weight"),
        ours="layers.{i}.qkv.weight",
        load=join,
        store=split,
    ),
    KeyRule(
        theirs=("h.{i}.o",),
        ours="layers.{i}.out.weight",
        load=lambda flat: flat[0].T,
        store=lambda ours: (ours.T[None],),
    ),
    KeyRule(theirs=("h.{i}.mask",), ours=None),
    KeyRule(theirs=("steps",), ours="steps"),
)


class Layer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.qkv = nn.Linear(4, 6, bias=False)
        self.out = nn.Linear(2, 4, bias=False)


class Model(nn.Module):
    steps: Tensor

    def __init__(self, layers: int = 2) -> None:
        super().__init__()
        self.embed = nn.Embedding(5, 4)
        self.layers = nn.ModuleList(Layer() for _ in range(layers))
        self.register_buffer("steps", torch.tensor(7))


def seeded(layers: int = 2) -> Model:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Model(layers)


def theirs() -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in published(seeded(), RULES)}


def saved(folder: Path, tensors: dict[str, Tensor]) -> TensorFiles:
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, folder / WEIGHTS)
    return TensorFiles(folder)


def same(a: nn.Module, b: nn.Module) -> bool:
    mine, other = a.state_dict(), b.state_dict()
    return mine.keys() == other.keys() and all(torch.equal(mine[n], other[n]) for n in mine)


def test_published_names_and_shapes_are_theirs() -> None:
    shapes = {name: tuple(tensor.shape) for name, tensor in published(seeded(1), RULES)}
    assert shapes == {
        "emb.weight": (5, 4),
        "h.0.q.weight": (2, 4),
        "h.0.k.weight": (2, 4),
        "h.0.v.weight": (2, 4),
        "h.0.o": (1, 2, 4),
        "steps": (),
    }


def test_names_and_shapes_need_no_memory() -> None:
    with torch.device("meta"):
        model = Model()
    assert all(tensor.is_meta for _, tensor in published(model, RULES))


@pytest.mark.parametrize("device", ["meta", "cpu"])
def test_published_then_loaded_is_the_identity(tmp_path: Path, device: str) -> None:
    with torch.device(device):
        model = Model()
    model.requires_grad_(False)
    load_weights(model, saved(tmp_path, theirs()), RULES)
    assert same(model, seeded())
    assert not any(parameter.requires_grad for parameter in model.parameters())


def test_unused_tensors_are_dropped_only_if_the_table_says_so(tmp_path: Path) -> None:
    model = Model()
    load_weights(model, saved(tmp_path, theirs() | {"h.1.mask": torch.ones(3)}), RULES)
    assert same(model, seeded())


def test_dtype_is_that_asked_for_and_whole_numbers_keep_theirs(tmp_path: Path) -> None:
    with torch.device("meta"):
        model = Model()
    load_weights(model, saved(tmp_path, theirs()), RULES, dtype=torch.bfloat16)
    assert model.embed.weight.dtype == torch.bfloat16
    assert torch.equal(model.embed.weight, seeded().embed.weight.bfloat16())
    assert model.steps.dtype == torch.int64


def test_devices_may_be_chosen_by_name(tmp_path: Path) -> None:
    with torch.device("meta"):
        model = Model()

    def place(name: str) -> str:
        return "cpu" if name.startswith("layers.0") else "meta"

    load_weights(model, saved(tmp_path, theirs()), RULES, device=place)
    found = {name for name, value in model.state_dict().items() if not value.is_meta}
    assert found == {"layers.0.qkv.weight", "layers.0.out.weight"}


def test_progress_ends_at_the_total(tmp_path: Path) -> None:
    reports: list[tuple[str, int, int]] = []
    load_weights(
        Model(),
        saved(tmp_path, theirs()),
        RULES,
        progress=lambda stage, done, total: reports.append((stage, done, total)),
    )
    assert len(reports) == 6
    assert reports[-1] == ("weights", 0, 0)  # less than a MiB


def test_every_offender_is_listed_and_nothing_is_changed(tmp_path: Path) -> None:
    tensors = theirs()
    del tensors["h.0.k.weight"], tensors["emb.weight"], tensors["h.1.o"]
    tensors |= {
        "h.0.q.weight": torch.zeros(3, 4),
        "h.1.q.weight": torch.zeros(3, 4),
        "h.2.q.weight": torch.zeros(2, 4),
        "h.01.o": torch.zeros(1, 2, 4),
        "other.bias": torch.zeros(1),
    }
    model = seeded()
    with pytest.raises(WeightsError) as caught:
        load_weights(model, saved(tmp_path, tensors), RULES)
    text = str(caught.value)
    assert "3 missing: emb.weight, h.1.o, h.0.k.weight" in text
    assert "3 extra: " in text
    assert "h.2.q.weight" in text
    assert "h.01.o" in text
    assert "other.bias" in text
    assert "2 misshapen, (3, 4) instead of (2, 4): h.{0..1}.q.weight" in text
    assert same(model, seeded())


def test_a_tensor_of_ours_without_a_rule_is_named() -> None:
    with pytest.raises(WeightsError, match=r"no published name is known for: embed\.weight"):
        list(published(seeded(), RULES[1:]))


def test_layers_are_drawn_together_in_messages() -> None:
    names = ["a.0.w", "a.1.w", "a.2.w", "a.5.w", "b", "c.3.w", "d.1.e.2", "d.1.e.3", "x2.w"]
    assert listed(names) == "a.{0..2,5}.w, b, c.3.w, d.1.e.2, d.1.e.3, x2.w"
