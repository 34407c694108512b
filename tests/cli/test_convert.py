"""``tilewise convert`` on the command line."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from tests.goldens import model_folders
from tests.weights.test_tensor_files import halves, save_shards
from tilewise.cli.convert import size_bytes
from tilewise.cli.main import main
from tilewise.errors import ConfigError
from tilewise.models.load import load
from tilewise.weights.files import CONFIG, PICKLE, WEIGHTS, TensorFiles


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    folder.mkdir()
    save_shards(folder, ".bin", halves(".bin"))
    (folder / CONFIG).write_text('{"model_type": "tiny"}')
    return folder


def run(*words: object) -> tuple[int, str]:
    result = CliRunner().invoke(main, ["convert", *map(str, words)])
    return result.exit_code, result.output


def test_a_folder_is_copied_into_safetensors(source: Path, tmp_path: Path) -> None:
    code, output = run(source, tmp_path / "copy", "--progress")
    assert code == 0, output
    assert "2 files, 0.0 MB." in output
    assert "MiB written 0/0" in output
    assert (tmp_path / "copy" / WEIGHTS).is_file()


def test_errors_are_one_line(source: Path, tmp_path: Path) -> None:
    for words, says in (
        ((source, source), "exists already"),
        ((source, tmp_path / "a", "--shard-size", "big"), "shard size is 'big'"),
        ((tmp_path / "no", tmp_path / "a"), "is unknown"),
        ((source, tmp_path / "a", "--to", "gguf"), "gguf"),
    ):
        code, output = run(*words)
        assert code != 0
        assert says in output
        assert "Traceback" not in output


@pytest.mark.parametrize(
    ("text", "size"),
    [("5GB", 5 * 10**9), ("2GiB", 2 << 30), ("1.5 mb", 1_500_000), ("7", 7), ("3k", 3000)],
)
def test_sizes_are_read(text: str, size: int) -> None:
    assert size_bytes(text) == size


@pytest.mark.parametrize("text", ["", "GB", "-1GB", "0", "1PB", "1e9"])
def test_sizes_that_are_none_are_named(text: str) -> None:
    with pytest.raises(ConfigError, match="give a number above 0 with a unit"):
        size_bytes(text)


@pytest.mark.parametrize(("kind", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_ctrl_c_and_its_like_leave_nothing(
    tmp_path: Path, kind: signal.Signals, status: int
) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / CONFIG).write_text("{}")
    torch.save({str(i): torch.zeros(1 << 16) for i in range(200)}, source / PICKLE)
    words = ["convert", str(source), str(tmp_path / "copy"), "--shard-size", "300kB", "--progress"]
    with subprocess.Popen(
        [sys.executable, "-m", "tilewise", *words],
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stderr is not None
        first = process.stderr.read(3)
        process.send_signal(kind)
        _, err = process.communicate(timeout=60)
    assert first == b"MiB"
    assert process.returncode == status, err
    assert b"Traceback" not in err
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


@pytest.mark.golden
@pytest.mark.parametrize("folder", model_folders("ixc2-4khd"), ids=lambda path: path.name)
def test_a_model_goes_to_pickles_and_back_and_from_our_names(folder: Path, tmp_path: Path) -> None:
    assert run(folder, tmp_path / "pickles", "--to", "pickle", "--shard-size", "300kB")[0] == 0
    assert run(tmp_path / "pickles", tmp_path / "back")[0] == 0
    ours = tmp_path / "ours"
    ours.mkdir()
    shutil.copyfile(folder / CONFIG, ours / CONFIG)
    reader = load(folder)
    network: torch.nn.Module = vars(reader)["network"]
    torch.save(network.state_dict(), ours / PICKLE)
    assert run(ours, tmp_path / "published")[0] == 0
    wanted = TensorFiles(folder)
    for name in ("pickles", "back", "published"):
        found = TensorFiles(tmp_path / name)
        assert found.infos.keys() == wanted.infos.keys()
        assert all(torch.equal(found.read(n), wanted.read(n)) for n in wanted.infos)
