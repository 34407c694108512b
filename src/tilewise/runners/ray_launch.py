"""Processes of a Ray cluster, or of this machine, that train together, started by Ray Train."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from tilewise.errors import ConfigError, MissingExtraError, TilewiseError, TrainingError
from tilewise.runners.ray_pool import connected, open_ray

START_S: Final = 600.0
"""Longest that processes take to start; on a busy machine the import of torch takes a minute."""


@dataclass(frozen=True, slots=True)
class _Rank:
    """What each process does: go where the launching one was, then run."""

    folder: str
    run: Callable[[], None]

    def __call__(self) -> None:
        if os.path.isdir(self.folder):  # noqa: PTH112 - a text travels
            os.chdir(self.folder)
        self.run()


def launch(
    run: Callable[[], None],
    *,
    workers: int,
    address: str | None = None,
    has_gpus: bool = False,
    timeout_s: int = 1800,
) -> None:
    """Run a function in several processes at once, joined by torch.distributed, and wait for it.

    Each has a GPU of its own, or one processor. They end together: with the function, or with the
    first of them that fails or dies.

    Args:
        run: sent by pickling; the environment tells it which process of how many it is in.
        workers: how many processes.
        address: of a running cluster, ``"auto"`` for the one on this machine; None starts one here
            for the time of the run.
        has_gpus: whether it runs on GPUs.
        timeout_s: how long processes wait for each other.

    Raises:
        MissingExtraError: Ray, or its part for training, is not installed.
        ConfigError: no cluster at the address, or too few processors or GPUs.
        TilewiseError: what ``run`` raises; TrainingError where a process is lost.
    """
    ray = open_ray()
    train, torch = _parts()
    folder = tempfile.mkdtemp(prefix="tw-ray-train-")
    try:
        with connected(ray, address, is_quiet=False):
            _check_room(ray, workers, has_gpus)
            backend = "cpu:gloo,cuda:nccl" if has_gpus else "gloo"
            trainer = torch.TorchTrainer(
                _Rank(os.getcwd(), run),  # noqa: PTH109
                torch_config=torch.TorchConfig(backend=backend, timeout_s=timeout_s),
                scaling_config=train.ScalingConfig(num_workers=workers, use_gpu=has_gpus),
                run_config=train.RunConfig(
                    storage_path=folder, name="run", failure_config=_no_retries(train)
                ),
            )
            _fit(trainer)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _no_retries(train: Any) -> Any:
    """A run that fails ends; going on is the user's --resume."""
    return train.FailureConfig(
        max_failures=0, controller_failure_limit=0, max_preemption_failures=0
    )


def _fit(trainer: Any) -> None:
    try:
        trainer.fit()
    except Exception as err:  # Ray's kinds of errors differ between its versions
        own = getattr(err, "worker_failures", {}).values()
        told = next((found for found in map(_told, own) if found is not None), None)
        if told is not None:
            raise told from err
        said = str(err).strip().partition("\n")[0]
        raise TrainingError(
            f"a process of this run was lost ({said}), so all of them end; the last good "
            "checkpoint stays. See what the log of Ray says, and go on with --resume."
        ) from err


def _told(err: BaseException | None) -> TilewiseError | None:
    """The error raised on purpose that lies behind another."""
    while err is not None:
        if isinstance(err, TilewiseError):
            return err
        err = getattr(err, "cause", None) or err.__cause__
    return None


def _check_room(ray: Any, workers: int, has_gpus: bool) -> None:
    kind, name = ("GPU", "GPUs") if has_gpus else ("CPU", "processors")
    room = int(ray.cluster_resources().get(kind, 0))
    if workers > room:
        raise ConfigError(
            f"{workers} processes need as many {name}, and the Ray cluster has {room}; give fewer "
            "--workers, or another --address."
        )


def _parts() -> tuple[Any, Any]:
    """Ray Train and its part for torch."""
    os.environ.setdefault("RAY_TRAIN_V2_ENABLED", "1")
    os.environ.setdefault("RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S", str(START_S))
    try:
        import ray.train  # noqa: PLC0415 - an extra
        import ray.train.torch  # noqa: PLC0415
    except ImportError as err:
        raise MissingExtraError(
            "Ray Train is not installed; pip install 'tilewise[ray-train]', or leave out --launch."
        ) from err
    return ray.train, ray.train.torch
