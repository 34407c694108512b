"""Recipes hold the numbers that were published."""

from __future__ import annotations

import pytest

from tilewise.errors import ConfigError
from tilewise.recipes import ixc2
from tilewise.recipes.table import RECIPES, find_recipe, find_run, summary
from tilewise.settings import settings
from tilewise.train.config import TrainConfig

# recipe: parts, batch, lr, weight decay, warm-up, drop path, context, tiles, length grouping
# Source: the table in InternVL's published scripts, by model and stage.
INTERNVL = """
internvl_26b_pretrain | vit projector         | 2048 | 1e-5 | 0.05 | 100  | 0.2 | 4096 | 12 | no
internvl_26b_sft      | vit projector decoder | 1024 | 2e-5 | 0.05 | 0.03 | 0.4 | 4096 | 12 | yes
internvl_2b_pretrain  | vit projector         | 2048 | 2e-5 | 0.01 | 100  | 0.1 | 4096 | 12 | no
internvl_2b_sft       | vit projector decoder | 1024 | 4e-5 | 0.01 | 0.03 | 0.1 | 8192 | 12 | yes
internvl_4b_pretrain  | projector             | 2048 | 2e-4 | 0.05 | 100  | 0.0 | 4096 | 12 | no
internvl_4b_sft       | vit projector decoder | 1024 | 4e-5 | 0.05 | 0.03 | 0.1 | 8192 | 12 | yes
internvl_26b_finetune | projector decoder     | 128  | 2e-5 | 0.05 | 0.03 | 0.4 | 4096 | 12 | yes
internvl_4b_finetune  | projector decoder     | 128  | 4e-5 | 0.05 | 0.03 | 0.1 | 4096 | 12 | yes
internvl_2b_finetune  | projector decoder     | 128  | 4e-5 | 0.01 | 0.03 | 0.1 | 4096 | 12 | yes
internvl_26b_lora     | r16                   | 16   | 2e-5 | 0.05 | 0.03 | 0.0 | 4096 | 12 | yes
internvl_4b_lora      | r16                   | 16   | 4e-5 | 0.05 | 0.03 | 0.0 | 4096 | 12 | yes
internvl_2b_lora      | r16                   | 16   | 4e-5 | 0.01 | 0.03 | 0.0 | 4096 | 12 | yes
internvl2_1b_finetune | projector decoder     | 128  | 4e-5 | 0.01 | 0.03 | 0.1 | 4096 | 6  | yes
internvl2_2b_finetune | projector decoder     | 128  | 4e-5 | 0.01 | 0.03 | 0.1 | 4096 | 6  | yes
internvl2_4b_finetune | projector decoder     | 128  | 4e-5 | 0.01 | 0.03 | 0.1 | 4096 | 6  | yes
internvl2_2b_coco     | r128                  | 512  | 4e-5 | 0.01 | 0.03 | 0.0 | 4096 | 6  | yes
"""

ROWS = [[cell.strip() for cell in row.split("|")] for row in INTERNVL.strip().splitlines()]


def _batch(cfg: TrainConfig) -> int:
    return cfg.data.batch * cfg.run.accumulation


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_internvl(row: list[str]) -> None:
    name, parts, batch, lr, decay, warmup, drop, context, tiles, grouping = row
    cfg = find_recipe(name)
    if parts.startswith("r"):
        assert cfg.model.lora is not None
        assert (cfg.model.lora.rank, cfg.model.lora.scale) == (int(parts[1:]), 2.0)
        assert cfg.model.lora.dropout == 0.05
        assert cfg.model.trained == ()
    else:
        assert cfg.model.trained == tuple(parts.split())
        assert cfg.model.lora is None
    assert _batch(cfg) == int(batch)
    assert (cfg.optim.lr, cfg.optim.weight_decay) == (float(lr), float(decay))
    assert (cfg.optim.betas, cfg.optim.eps) == ((0.9, 0.999), 1e-8)
    rise = cfg.schedule.warmup_steps or cfg.schedule.warmup_share
    assert rise == float(warmup)
    assert (cfg.schedule.shape, cfg.schedule.epochs, cfg.schedule.steps) == ("cosine", 1.0, None)
    assert cfg.model.drop_path == float(drop)
    assert (cfg.data.context, cfg.data.max_tiles) == (int(context), int(tiles))
    assert cfg.data.is_grouped == (grouping == "yes")
    assert cfg.run.precision == "bfloat16"
    assert cfg.run.is_checkpointed
    assert cfg.reduction == "mean"


def test_ixc2_pretraining() -> None:
    cfg = find_recipe("ixc2_pretrain")
    assert cfg.model.trained == ("vit", "projector", "separators", "partial_lora")
    assert _batch(cfg) == 4096
    assert cfg.optim.lr == 2e-4
    assert (cfg.schedule.epochs, cfg.schedule.warmup_share, cfg.schedule.final_share) == (
        2,
        0.01,
        0,
    )
    assert cfg.optim.vit_decay == 0.9
    assert cfg.data.max_tiles == 25
    assert cfg.data.context > 4057 + 1000  # the largest page of HD-25 with text
    assert list(ixc2.PRETRAINING_DATA) == [
        "general semantic alignment",
        "world knowledge alignment",
        "vision capability",
    ]
    assert [len(names) for names in ixc2.PRETRAINING_DATA.values()] == [7, 1, 8]


def test_ixc2_tuning() -> None:
    cfg = find_recipe("ixc2_sft")
    assert set(cfg.model.trained) == {"vit", "projector", "separators", "partial_lora", "decoder"}
    assert cfg.optim.lr == 5e-5
    assert cfg.schedule.steps == 3500
    assert dict(cfg.optim.factors) == {"decoder": 0.2}
    assert cfg.optim.vit_decay == 0.9
    assert _batch(cfg) == 2048
    dense, others = cfg.data.classes
    assert (dense.datasets, dense.max_tiles, dense.is_scaled) == (("InfoVQA", "DocVQA"), 55, False)
    assert (others.datasets, others.max_tiles, others.is_scaled) == (("*",), 25, True)
    assert dense.batch != others.batch
    high = {name for task in ixc2.HIGH_TASKS for name in ixc2.TUNING_DATA[task]}
    assert high == {"InfoVQA", "DocVQA"}


def test_ixc2_public_script() -> None:
    full, lora = find_recipe("ixc2_finetune"), find_recipe("ixc2_lora")
    for cfg, lr in ((full, 1e-5), (lora, 5e-5)):
        assert cfg.optim.lr == lr
        assert (cfg.optim.betas[1], cfg.optim.weight_decay) == (0.95, 0.1)
        assert (cfg.schedule.warmup_share, cfg.schedule.epochs) == (0.01, 1.0)
        assert _batch(cfg) == 8 * 8
        assert (cfg.data.max_tiles, cfg.data.context) == (16, 4096)
    assert set(full.model.trained) == set(find_recipe("ixc2_sft").model.trained)
    assert lora.model.trained == ()
    assert lora.model.lora is not None
    assert (lora.model.lora.rank, lora.model.lora.alpha, lora.model.lora.dropout) == (64, 64, 0.05)


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_is_named_as_it_is_called_and_says_what_it_is(name: str) -> None:
    cfg = find_run(name)
    assert cfg.name == name
    assert summary(name).endswith(".")
    assert len(settings(cfg)) > 20


def test_an_unknown_recipe_lists_those_that_are(tmp_path: object) -> None:
    with pytest.raises(ConfigError, match=r"'internvl_sft' is unknown; known are ixc2_pretrain"):
        find_recipe("internvl_sft")
