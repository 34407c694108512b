"""New files: whole or not at all, also on a disk that is full."""

from __future__ import annotations

import resource
import signal
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import pytest

from tilewise.errors import DataError
from tilewise.shards.new_file import hash_of, new_file, write_whole


def test_a_file_has_the_hash_and_size_that_are_told(tmp_path: Path) -> None:
    path = tmp_path / "sub" / "a.bin"
    with new_file(path) as file:
        file.write(b"one ")
        file.write(memoryview(b"two"))
        assert file.tell() == 7
        assert not path.exists()
    assert path.read_bytes() == b"one two"
    assert file.sha256 == hash_of(path) == sha256(b"one two").hexdigest()


def test_after_an_error_the_old_file_stays(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    write_whole(path, b"old")

    def failing() -> None:
        with new_file(path) as file:
            file.write(b"new")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        failing()
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.bin"]


@pytest.mark.skipif(sys.platform != "linux", reason="limits the size of files")
@pytest.mark.parametrize("form", ["parquet", "webdataset", "jsonl"])
def test_no_room_is_one_sentence_and_leaves_nothing(tmp_path: Path, form: str) -> None:
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from tests.shards.documents import document\n"
        "from tilewise.errors import DataError\n"
        "from tilewise.shards.document_files import ShardsConfig, write_documents\n"
        "import random\n"
        "docs = (document(random.getrandbits(50), 3) for n in range(400))\n"
        "cfg = ShardsConfig(group_bytes=20_000)\n"
        "try:\n"
        "    write_documents(docs, Path(sys.argv[1]), form=sys.argv[2], cfg=cfg)\n"
        "except DataError as err:\n"
        "    print(err)\n"
    )

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))

    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, str(tmp_path), form],
        preexec_fn=limit,
        capture_output=True,
        text=True,
        timeout=60,
        cwd=Path(__file__).parents[2],
        check=False,
    )
    assert "cannot be written (File too large)" in done.stdout, done.stderr
    assert done.stderr == ""
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_a_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot be written"):
        write_whole(tmp_path / "file" / "a", b"")
