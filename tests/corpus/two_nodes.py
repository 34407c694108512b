"""A run on two simulated nodes, one of which is killed in the middle, beside one alone.

The folder given is empty and takes all files; the second argument is the golden archive.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / "src"), str(ROOT)]
os.environ["PYTHONPATH"] = os.pathsep.join([*sys.path[:2], os.environ.get("PYTHONPATH", "")])
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
os.environ["RAY_worker_niceness"] = "0"  # noqa: SIM112 - its name is spelt so
os.environ["OMP_NUM_THREADS"] = "1"

from ray.cluster_utils import Cluster  # noqa: E402 - the path comes first

from tests.corpus.golden_run import built  # noqa: E402
from tilewise.runners.ray_tasks import RayTasks  # noqa: E402


def main(folder: Path, archive: str) -> None:
    """Run twice and compare."""
    alone = built(folder / "alone", [archive])
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    nodes = [cluster.add_node(num_cpus=1) for _ in range(2)]
    cluster.wait_for_nodes()
    killed: list[int] = []
    killer = threading.Thread(target=kill, args=(cluster, nodes[1], folder, killed), daemon=True)
    killer.start()
    try:
        runner = RayTasks(address=cluster.address)
        together = built(folder / "two", [archive], runners=lambda _: runner)
        killer.join(60)
    finally:
        cluster.shutdown()  # type: ignore[no-untyped-call]
    assert killed
    one, other = output(alone.root), output(together.root)
    assert one
    assert one == other
    print(f"equal, after a node was killed at {killed[0]} shards")


def output(root: Path) -> dict[str, bytes]:
    """The shards and their index, and what every stage kept and dropped."""
    files = [*root.glob("final/*"), *root.glob("stages/*/part-*"), *root.glob("stages/*/dropped-*")]
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(files)}


def kill(cluster: Cluster, node: Any, folder: Path, killed: list[int]) -> None:
    """Kill a node with all its processes while the preliminary filters are at work."""
    markers: list[Path] = []
    while len(markers) < 3:
        time.sleep(0.02)
        markers = list((folder / "two" / "stages" / "prelim_text").glob("done-*"))
    killed.append(len(markers))
    cluster.remove_node(node, allow_graceful=False)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
