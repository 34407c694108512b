"""What the system says of its memory is read; what it does not say is not guessed."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tilewise.weights.room import available_bytes, free_on_cpu

MEMINFO = "MemTotal:       16000 kB\nMemFree:         1000 kB\nMemAvailable:    4000 kB\n"


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    (tmp_path / "meminfo").write_text(MEMINFO)
    return tmp_path


def group(folder: Path, most: str, used: int, cached: int) -> Path:
    (folder / "memory.max").write_text(most + "\n")
    (folder / "memory.current").write_text(f"{used}\n")
    (folder / "memory.stat").write_text(f"anon 5\ninactive_file {cached}\n")
    return folder


def test_main_memory_is_what_is_available(proc: Path) -> None:
    assert free_on_cpu(proc, proc) == 4000 * 1024


def test_the_limit_of_a_container_counts_where_it_is_less(proc: Path) -> None:
    assert free_on_cpu(proc, group(proc, "3000000", 1000000, 0)) == 2000000
    assert free_on_cpu(proc, group(proc, "3000000", 1000000, 500000)) == 2500000
    assert free_on_cpu(proc, group(proc, "3000000", 4000000, 0)) == 0
    assert free_on_cpu(proc, group(proc, "9000000000", 0, 0)) == 4000 * 1024
    assert free_on_cpu(proc, group(proc, "max", 0, 0)) == 4000 * 1024


def test_a_system_that_does_not_say_gives_none(tmp_path: Path) -> None:
    cpu = torch.device("cpu")
    assert free_on_cpu(tmp_path, tmp_path) is None
    assert available_bytes([cpu], tmp_path, tmp_path) is None
    (tmp_path / "meminfo").write_text("MemTotal: 5 kB\n")
    assert free_on_cpu(tmp_path, tmp_path) is None


def test_devices_named_twice_count_once(proc: Path) -> None:
    cpu = torch.device("cpu")
    assert available_bytes([cpu, cpu], proc, proc) == 4000 * 1024


def test_a_gpu_has_what_is_free_and_what_is_held_unused(
    proc: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (700, 1000))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 200)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: 150)
    gpus = [torch.device("cuda:0"), torch.device("cuda:1")]
    assert available_bytes(gpus[:1]) == 750
    assert available_bytes([*gpus, torch.device("cpu")], proc, proc) == 1500 + 4000 * 1024
