"""A folder asked on two simulated nodes, one of which is killed in the middle.

Asks the same folder in one process first. The folder given is empty and takes all files.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / "src"), str(ROOT)]
os.environ["PYTHONPATH"] = os.pathsep.join([*sys.path[:2], os.environ.get("PYTHONPATH", "")])
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
os.environ["RAY_worker_niceness"] = "0"  # noqa: SIM112 - its name is spelt so

from PIL import Image  # noqa: E402 - the path comes first
from ray.cluster_utils import Cluster  # noqa: E402

from tests.engine.tiny_reader import load_tiny, tiny_page  # noqa: E402
from tilewise.folder.answers import AnswersFile  # noqa: E402
from tilewise.folder.run import ask_files  # noqa: E402
from tilewise.folder.walk import find_files  # noqa: E402
from tilewise.folder.work import Asking, Step, Task  # noqa: E402
from tilewise.models.load import FAMILIES  # noqa: E402
from tilewise.runners import local  # noqa: E402
from tilewise.runners.ray_pool import RayPool  # noqa: E402
from tilewise.runners.work import OnLost, Runner, Start, Work  # noqa: E402

FILES = 40
KILL_AT = 8
PAUSE_S = 0.1


@dataclass(frozen=True)
class TinyStart:
    """Makes the family "tiny" known where the work runs, and the work slow enough to be killed."""

    start: Callable[[], Work[Task, Step]]

    def __call__(self) -> Work[Task, Step]:
        """Start the work; what this file imports is sent along as a copy, so it is fetched here."""
        from tilewise.models.load import FAMILIES

        FAMILIES["tiny"] = load_tiny
        work = self.start()

        def slow(tasks: Iterable[Task]) -> Iterator[Step]:
            for step in work(tasks):
                time.sleep(PAUSE_S)
                yield step

        return slow


def main(folder: Path) -> None:
    """Ask twice and compare."""
    pages = folder / "pages"
    pages.mkdir()
    (folder / "tiny").mkdir()
    (folder / "tiny" / "config.json").write_text('{"model_type": "tiny"}')
    for i in range(FILES):
        Image.fromarray(tiny_page(24 + i % 5, 17, seed=i).pixels).save(pages / f"{i:02}.png")
    FAMILIES["tiny"] = load_tiny
    alone = asked(folder, folder / "alone.jsonl", local.run)

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    nodes = [cluster.add_node(num_cpus=1) for _ in range(2)]
    cluster.wait_for_nodes()
    out = folder / "two.jsonl"
    killed_at: list[int] = []
    argv = (cluster, nodes[1], out, killed_at)
    killer = threading.Thread(target=kill, args=argv, daemon=True)
    killer.start()
    try:
        together = asked(folder, out, tiny(RayPool(address=cluster.address, chunk=2)))
        killer.join(60)
    finally:
        cluster.shutdown()  # type: ignore[no-untyped-call]
    assert together == alone
    assert KILL_AT <= killed_at[0] < len(alone), f"killed at line {killed_at[0]}"
    print("equal, after a node was killed")


def tiny(pool: RayPool) -> Runner:
    """A pool whose processes know the family "tiny"."""

    def run(start: Start[Any, Any], items: Any, on_lost: OnLost[Any, Any]) -> Iterator[Any]:
        return pool(TinyStart(start), items, on_lost)

    return run


def kill(cluster: Cluster, node: Any, out: Path, killed_at: list[int]) -> None:
    """Kill a node with all its processes when some lines are written."""
    while not out.exists() or out.read_bytes().count(b"\n") < KILL_AT:
        time.sleep(0.02)
    killed_at.append(out.read_bytes().count(b"\n"))
    cluster.remove_node(node, allow_graceful=False)


def asked(folder: Path, out: Path, runner: Runner) -> list[dict[str, Any]]:
    """Lines of a run, without what differs from run to run."""
    answers = AnswersFile(out)
    names = find_files([str(folder / "pages")]).names
    asking = Asking(model=str(folder / "tiny"), threads=1)
    summary = ask_files(names, ["What?", "And?"], asking, answers, runner=runner)
    answers.close()
    assert not summary.failed
    lines = [json.loads(text) for text in out.read_text(encoding="utf-8").splitlines()]
    assert len(lines) == 2 * FILES
    for line in lines:
        del line["seconds"]
    return lines


if __name__ == "__main__":
    main(Path(sys.argv[1]))
