"""A small vision encoder learns from a larger one."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import chain
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from tests.goldens import model_folders
from tests.models.internvl import making
from tests.models.ixc2 import making as ixc2
from tilewise.errors import ConfigError
from tilewise.models.internvl.model import load_internvl
from tilewise.models.ixc2.network import Ixc2
from tilewise.models.pack import IGNORE, Example, Pack
from tilewise.models.units import Image
from tilewise.models.vision import begin_as, read_vit
from tilewise.nn.vit import ViT, ViTConfig
from tilewise.train.distill import Distiller, TeacherConfig, distillation
from tilewise.weights.files import CONFIG, WEIGHTS

STUDENT = replace(making.SMALL.vision, layers=3)
TEACHER = replace(STUDENT, width=12, layers=5, mlp=30, norm="rms", has_qk_norm=True)


def drawn(cfg: ViTConfig, seed: int = 0) -> ViT:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        vit = ViT(cfg)
        for name, weight in vit.named_parameters():
            if not name.endswith("norm.weight"):
                nn.init.normal_(weight, std=0.3)
    return vit


def pages(*seeds: int) -> Pack:
    reader = making.small_reader()
    tiles = [reader.tiles(making.noise_page(56, 56, seed), 1) for seed in seeds]
    plan = reader.plan(56, 56, 1)
    units = [Image(tiles=one, plan=plan) for one in tiles]
    examples = [Example(units=(unit,), labels=(IGNORE,) * len(plan)) for unit in units]
    return Pack(examples=tuple(examples))


@pytest.mark.parametrize("is_checkpointed", [False, True])
def test_the_loss_falls_and_the_teacher_stays(is_checkpointed: bool) -> None:
    student, teacher = drawn(STUDENT), drawn(TEACHER, seed=1)
    before = [weight.clone() for weight in teacher.parameters()]
    torch.manual_seed(0)
    distiller = Distiller(
        student, teacher, TeacherConfig(layers=3), is_checkpointed=is_checkpointed
    )
    optimiser = torch.optim.AdamW(distiller.parameters(), lr=1e-2)
    pack, means = pages(1, 2, 3), []
    for _ in range(30):
        loss = distiller(pack)
        means.append(float(loss.total.detach()) / loss.weight)
        loss.total.backward()
        optimiser.step()
        optimiser.zero_grad()
    assert -1 <= means[-1] < means[0] - 0.5
    assert all(map(torch.equal, before, teacher.parameters()))
    assert {distiller.part_of(name) for name, _ in distiller.named_parameters()} == {"vit", "maps"}
    assert len(distiller.maps) == 3


def test_a_student_like_its_teacher_has_nothing_to_learn() -> None:
    cfg = TeacherConfig(layers=2, alignment="none")
    loss = Distiller(drawn(STUDENT), drawn(STUDENT), cfg)(pages(1, 2))
    assert loss.weight == 2
    assert loss.total.item() == pytest.approx(-2)


def test_a_batch_is_the_sum_of_its_pages_and_text_alone_teaches_nothing() -> None:
    distiller = Distiller(drawn(STUDENT), drawn(TEACHER), TeacherConfig(layers=2))
    parts = [distiller(pages(seed)).total for seed in (1, 2)]
    torch.testing.assert_close(distiller(pages(1, 2)).total, torch.stack(parts).sum())
    text = Pack(examples=(Example(units=(5, 6), labels=(IGNORE, 6)),))
    loss = distiller(text)
    loss.total.backward()
    assert (loss.total.item(), loss.weight) == (0, 0)
    gradient = distiller.get_parameter("maps.0.weight").grad
    assert gradient is not None
    assert not gradient.any()


def test_states_are_what_the_layers_leave() -> None:
    vit, pixels = drawn(STUDENT), torch.rand(2, 3, 56, 56)
    states = vit.states(pixels, 2)
    assert len(states) == 2
    torch.testing.assert_close(states[-1][:, 1:], vit(pixels))
    assert vit.states(pixels, 9)[0].shape == states[0].shape


@pytest.mark.parametrize("folder", model_folders("internvl"), ids=lambda f: f.name)
def test_a_vision_encoder_is_read_by_itself(folder: Path) -> None:
    whole = load_internvl(folder, dtype=torch.float32).network.vit.state_dict()
    alone = read_vit(folder).state_dict()
    assert whole.keys() == alone.keys()
    assert all(torch.equal(alone[name], whole[name]) for name in whole)


@pytest.mark.parametrize("folder", ixc2.golden_folders(), ids=lambda f: f.name)
def test_a_student_begins_as_clip_with_its_table_of_positions_stretched(folder: Path) -> None:
    clip = read_vit(folder)
    size = clip.cfg
    student = drawn(
        replace(STUDENT, tile=448, width=size.width, heads=size.heads, mlp=size.mlp, layers=2)
    )
    assert begin_as(student, clip) == ["pre_norm.bias", "pre_norm.weight"]
    assert student.positions.shape == (1 + 32 * 32, size.width)
    assert torch.equal(student.positions[0], clip.positions[0])
    assert student.positions[1].sub(clip.positions[1]).norm() < clip.positions[1].norm()
    name = "layers.1.qkv.weight"
    assert torch.equal(student.get_parameter(name), clip.get_parameter(name))
    assert not student.get_parameter("patch.bias").any()
    assert student.get_parameter("layers.0.scale").eq(1).all()


def test_faults_are_said() -> None:
    student, teacher = drawn(STUDENT), drawn(TEACHER)
    with pytest.raises(ConfigError, match="the student has 3 layers and the teacher 5"):
        Distiller(student, teacher, TeacherConfig(layers=4))
    with pytest.raises(ConfigError, match=r"set teacher\.alignment to 'linear'"):
        Distiller(student, teacher, TeacherConfig(layers=1, alignment="none"))
    with pytest.raises(ConfigError, match="both must see the same patches"):
        Distiller(student, drawn(replace(TEACHER, tile=28)), TeacherConfig(layers=1))
    with pytest.raises(ConfigError, match=r"teacher\.layers is 0"):
        TeacherConfig(layers=0)
    with pytest.raises(ConfigError, match=r"teacher\.folder is empty"):
        distillation(TeacherConfig(), making.small_reader().network)
    with pytest.raises(ConfigError, match="only those of InternVL"):
        distillation(TeacherConfig(folder="x"), Ixc2(ixc2.SMALL))
    with pytest.raises(ConfigError, match="need the same width"):
        begin_as(student, teacher)


def test_teacher_and_maps_are_made_for_the_student_s_network() -> None:
    folders = model_folders("internvl")
    if not folders:
        pytest.skip("no golden model of InternVL")
    network = load_internvl(folders[0], dtype=torch.float32).network
    distiller = distillation(TeacherConfig(folder=str(folders[-1]), layers=1), network)
    assert distiller.vit is network.vit
    names = [name for name, _ in distiller.named_parameters()]
    assert all(map(str.startswith, names, chain(["vit."] * (len(names) - 2), ["maps."] * 2)))


def _alone(folder: Path, start: str, config: dict[str, object], to: Path) -> Path:
    """A folder with some of another's tensors, whose names lose what they start with."""
    tensors = load_file(folder / WEIGHTS)
    kept = {n.removeprefix(start): t for n, t in tensors.items() if n.startswith(start)}
    to.mkdir()
    save_file(
        {**kept, **({"text_model.x": torch.ones(1)} if "vision_config" in config else {})},
        to / WEIGHTS,
    )
    (to / CONFIG).write_text(json.dumps(config))
    return to


def test_vision_encoders_published_by_themselves_are_read(tmp_path: Path) -> None:
    for folder in model_folders("internvl"):
        data = json.loads((folder / CONFIG).read_text())
        config = {**data["vision_config"], "model_type": "intern_vit_6b"}
        alone = read_vit(_alone(folder, "vision_model.", config, tmp_path / folder.name))
        whole = read_vit(folder)
        assert alone.cfg == replace(whole.cfg, select_layer=-1)
        assert all(map(torch.equal, alone.parameters(), whole.parameters()))


def test_clip_is_read_as_its_library_names_it(tmp_path: Path) -> None:
    for folder in ixc2.golden_folders():
        sizes = read_vit(folder).cfg
        section = {
            "image_size": sizes.tile,
            "patch_size": sizes.patch,
            "hidden_size": sizes.width,
            "num_hidden_layers": sizes.layers,
            "num_attention_heads": sizes.heads,
            "intermediate_size": sizes.mlp,
        }
        config: dict[str, object] = {"model_type": "clip", "vision_config": section}
        clip = read_vit(_alone(folder, "vit.vision_tower.", config, tmp_path / folder.name))
        assert all(map(torch.equal, clip.parameters(), read_vit(folder).parameters()))
        (tmp_path / folder.name / CONFIG).write_text('{"model_type": "clip", "vision_config": {}}')
        with pytest.raises(ConfigError, match="give CLIP ViT-L/14 as OpenAI published it"):
            read_vit(tmp_path / folder.name)
