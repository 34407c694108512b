"""A whole run in which a model's vision encoder learns from a larger one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from tests.train.pages import write_samples
from tilewise.models.internvl.config import read_vision
from tilewise.models.internvl.keys import vision_rules
from tilewise.models.load import load
from tilewise.models.vision import read_vit
from tilewise.nn.vit import ViT
from tilewise.recipes.table import find_recipe
from tilewise.settings import with_options
from tilewise.train.loop import CHECKPOINTS, LOGS
from tilewise.train.report import read_losses
from tilewise.train.task import run_training
from tilewise.weights.files import CONFIG, WEIGHTS
from tilewise.weights.keymap import publish

pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")

TEACHER = {
    "model_type": "intern_vit_6b",
    "hidden_size": 96,
    "num_attention_heads": 3,
    "intermediate_size": 160,
    "num_hidden_layers": 4,
    "norm_type": "rms_norm",
    "qk_normalization": True,
    "qkv_bias": False,
    "image_size": 112,
    "patch_size": 14,
}


def _teacher(folder: Path) -> Path:
    """An encoder of noise in the kinds of parts that the one of 6B has, as published by itself."""
    cfg = read_vision(TEACHER)
    torch.manual_seed(1)
    vit = ViT(cfg)
    for weight in (vit.cls, vit.positions):
        nn.init.normal_(weight, std=0.5)
    named = {f"vit.{name}": value.detach() for name, value in vit.named_parameters()}
    folder.mkdir()
    save_file(dict(publish(named, vision_rules(cfg, ""))), folder / WEIGHTS)
    (folder / CONFIG).write_text(json.dumps(TEACHER))
    return folder


def test_a_model_whose_encoder_learned_of_another_is_written_whole(tmp_path: Path) -> None:
    samples, teacher = write_samples(tmp_path / "data", 4), _teacher(tmp_path / "teacher")
    options = (
        f"data.meta={samples}",
        "data.max_tiles=1",
        "data.batch=2",
        "schedule.steps=15",
        'model.trained=["vit"]',
        f"teacher.folder={teacher}",
        "teacher.layers=2",
        "optim.lr=3e-3",
        "optim.factors=[]",
        "run.precision=bfloat16",
        "run.is_checkpointed=true",
    )
    out = run_training(with_options(find_recipe("internvl_tiny"), options), tmp_path / "out")
    losses = read_losses(out / LOGS)
    assert losses[15] < losses[1] - 0.1
    assert all(-1 <= loss <= 1 for loss in losses.values())
    kept = load_file(out / CHECKPOINTS / "step-00000015" / WEIGHTS)
    student = read_vit(out)
    assert all(torch.equal(w, kept[f"vit.{name}"]) for name, w in student.named_parameters())
    assert {name.partition(".")[0] for name in kept} == {"vit", "maps"}
    load(out)
