"""How much memory it takes to fill a model, measured in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.weights.test_tensor_files import save_shards

PROGRAM = """
import json, sys
import torch
from torch import nn
from tilewise.weights.files import TensorFiles
from tilewise.weights.keymap import KeyRule, load_weights

def kib(field):
    for line in open("/proc/self/status"):
        if line.startswith(field + ":"):
            return int(line.split()[1])

class Layer(nn.Module):
    def __init__(self):
        super().__init__()
        self.qkv = nn.Linear(512, 1536, bias=False)
        self.out = nn.Linear(512, 512, bias=False)

rules = (
    KeyRule(
        theirs=tuple(f"{{i}}.{part}" for part in "qkv"),
        ours="{i}.qkv.weight",
        load=lambda *parts: torch.cat(parts),
        store=lambda whole: whole.chunk(3),
    ),
    KeyRule(theirs=("{i}.o",), ours="{i}.out.weight"),
)

def load(folder, layers):
    with torch.device("meta"):
        model = nn.Sequential(*[Layer() for _ in range(layers)])
    load_weights(model, TensorFiles(folder), rules, dtype=getattr(torch, sys.argv[3]))
    return sum(p.nbytes for p in model.parameters()) // 1024

load(sys.argv[1] + "/small", 8)  # what the code itself takes is not counted
before = kib("VmRSS")
print(json.dumps([load(sys.argv[1] + "/large", int(sys.argv[2])), kib("VmHWM") - before]))
"""

LAYERS = {"float32": 48, "bfloat16": 96}
"""How many make 192 MiB once loaded.."""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("ending", [".safetensors", ".bin"])
@pytest.mark.parametrize("wanted", ["float32", "bfloat16"])
def test_peak_memory_is_at_most_115_percent_of_the_weights(
    tmp_path: Path, ending: str, wanted: str
) -> None:
    for name, layers in (("small", 8), ("large", LAYERS[wanted])):
        (tmp_path / name).mkdir()
        half = (layers + 1) // 2
        parts = {
            f"part-{first}{ending}": {
                f"{i}.{part}": torch.ones(512, 512)
                for i in range(first, min(first + half, layers))
                for part in "qkvo"
            }
            for first in range(0, layers, half)
        }
        save_shards(tmp_path / name, ending, parts)
    argv = [sys.executable, "-c", PROGRAM, str(tmp_path), str(LAYERS[wanted]), wanted]
    done = subprocess.run(argv, check=True, capture_output=True, text=True, timeout=300)
    weights_kib, peak_kib = json.loads(done.stdout)
    print(f"float32 {ending} -> {wanted}: peak {peak_kib / weights_kib:.3f} of the weights")
    assert weights_kib == 192 * 1024
    assert peak_kib <= 1.15 * weights_kib
