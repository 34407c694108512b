"""Ranks by torch.distributed: each process takes its share of a step's batches.

Networks are kept whole in each rank (DDP), or split over them layer by layer (FSDP2). In both the
gradients are means over the ranks behind the last batch of a step, and a step is the same one as
that of a single process with all batches.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import timedelta
from pathlib import Path
from types import FrameType
from typing import Any, Final, NamedTuple, NoReturn

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.checkpoint.state_dict import StateDictOptions, set_model_state_dict
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.distributed_c10d import Store
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor
from torch.nn.parallel import DistributedDataParallel

from tilewise.errors import ConfigError, TilewiseError, TrainingError
from tilewise.nn.decoder import DecoderLayer
from tilewise.train import checkpoint
from tilewise.train.checkpoint import Snapshot
from tilewise.train.loop import RunConfig
from tilewise.train.ranks import (
    BATCHES,
    Learn,
    Lost,
    OfRank,
    Value,
    by_first,
    of_all,
    restore,
    sharded_checkpoints,
)

WAIT_S: Final = 3.0
"""How long a rank that has lost another waits to hear why."""

_KEPT: Final[list[object]] = []
"""Groups and what holds them, until the process ends. The group's destructor waits for its thread
with the interpreter's lock held, and that thread may be waiting for the lock to let go of a tensor:
a rank whose work was done then stood still for ever."""

_WHY: Final = "tilewise/why"
_TOLD: Final = "tilewise/told"
_LOST: Final = ("gloo", "NCCL", "onnection closed", "onnection reset", "Broken pipe", "imed out")


@contextmanager
def joined(run: RunConfig) -> Iterator[Together]:
    """The ranks that were launched with this process, for the time of a run.

    An error is told by one rank alone: by the first that has one, where a rank is lost by the
    first that misses it. The others end without a word. All of them end: what a rank waits for
    others is bounded by ``run.rank_timeout_s``.

    Raises:
        TrainingError: the ranks do not find each other, or one is lost.
        SystemExit: another rank has told an error.
        Whatever is raised inside.
    """
    device = torch.device(_device(run.device))
    if device.type == "cuda":
        torch.cuda.set_device(device)
    timeout = timedelta(seconds=run.rank_timeout_s)
    backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
    try:
        if not dist.is_initialized():  # Ray has done it by now
            dist.init_process_group(backend, timeout=timeout)
    except (RuntimeError, ValueError) as err:
        raise TrainingError(
            f"the processes of this run do not find each other ({_first_line(err)}); see that all "
            "were started with the same address and number of processes."
        ) from err
    _KEPT.append(dist.group.WORLD)
    store = dist.distributed_c10d._get_default_store()
    with _patient() as is_failing:
        try:
            yield Together(run, device)
        except TilewiseError as err:
            is_failing()
            _tell(store, err)
        except RuntimeError as err:
            is_failing()
            if not _is_loss(err):
                raise
            _tell_loss(store, err)
        dist.destroy_process_group()


def leave() -> NoReturn:
    """End a launched process whose work is done and written, with exit status 0.

    Without taking the interpreter down: caches of torch keep the group of a split network alive
    behind ``destroy_process_group``, and a thread of it that lets go of a tensor while Python
    ends aborts the process (pytorch issue 179291), so that a good run would count as a failed one.
    """
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


class Together:
    """This process among others, as ``train.ranks.Ranks`` has it.

    Args:
        run: how the network is spread, and its precision.
        device: of this process.
    """

    def __init__(self, run: RunConfig, device: torch.device) -> None:
        self.rank, self.world = dist.get_rank(), dist.get_world_size()
        self._run, self._device = run, device
        self._whole: DistributedDataParallel | None = None

    def device(self, name: str) -> str:
        """The device of this process, whatever the setting."""
        return str(self._device)

    def sum(self, numbers: Sequence[float]) -> list[float]:
        """Sums over all processes, the same in each."""
        total = torch.tensor(numbers, dtype=torch.float64)
        dist.all_reduce(total)
        return total.tolist()

    def gather(self, value: Value) -> list[Value]:
        """Values of all processes, by rank; small ones."""
        found: list[Any] = [None] * self.world
        dist.all_gather_object(found, value)
        return found

    def spread(self, module: nn.Module, learn: Learn) -> Learn:
        """Keep the network whole in each rank, or split it, by ``run.sharding``.

        Weights that are to be split may lie on the meta device in all ranks but the first, which
        hands out its own.
        """
        units = [part for part in module.modules() if isinstance(part, DecoderLayer)]
        is_split = self._run.sharding == "full"
        learner = _Learner(module, learn, units if is_split else [])
        if is_split:
            self._split(learner, units)
            return lambda batch: _Sums(*learner(batch))
        self._whole = whole = DistributedDataParallel(
            learner,
            device_ids=[self._device] if self._device.type == "cuda" else None,
            gradient_as_bucket_view=True,
        )
        _KEPT.append(whole)
        return lambda batch: _Sums(*whole(batch))

    def summing(self, *, is_last: bool) -> AbstractContextManager[None]:
        """Gradients of a whole network are added up in each rank until the last batch.

        Those of a split one are shared out after each batch: no rank has room for all of them.
        """
        if is_last or self._whole is None:
            return nullcontext()
        return self._whole.no_sync()

    def norm(self, gradients: Sequence[Tensor]) -> float:
        """The norm of all gradients together, over all parts that ranks have of them."""
        norm = torch.nn.utils.get_total_norm(gradients)
        return float(norm.full_tensor() if isinstance(norm, DTensor) else norm)

    def save(self, folder: Path, snapshot: Snapshot, keep: int) -> Path:
        """Write a checkpoint of all ranks: rank 0 alone, or each its parts."""
        own = OfRank(snapshot.rng, snapshot.notes[BATCHES])
        snapshot = of_all(snapshot, self.gather(own))
        if self._whole is None:
            return sharded_checkpoints().save(folder, snapshot, keep, self)
        return by_first(self, lambda: checkpoint.save(folder, snapshot, keep))

    def restore(
        self, kept: Path, module: nn.Module, optimiser: torch.optim.Optimizer
    ) -> Mapping[str, Any]:
        """Go back to a checkpoint, of any number of ranks."""
        return restore(kept, module, optimiser, self.rank, self.world)

    def whole(self, module: nn.Module) -> dict[str, Tensor] | None:
        """All tensors of a network in the memory of rank 0."""
        found = {}
        for name, value in module.state_dict().items():
            tensor = value.full_tensor() if isinstance(value, DTensor) else value
            if self.rank == 0:
                found[name] = tensor.detach().cpu()
        return found if self.rank == 0 else None

    def _split(self, learner: _Learner, units: Sequence[nn.Module]) -> None:
        """Split layers one by one, and all else together.

        The vision encoder is among the latter: it runs as many times as there are tiles, which
        differ between ranks, and ranks must ask each other for layers equally often.
        """
        sharded_checkpoints()  # says so where torch cannot write any, before the first step
        whole = learner.network.state_dict() if self.rank == 0 else {}
        is_empty = any(weight.is_meta for weight in learner.parameters())
        mesh = init_device_mesh(self._device.type, (self.world,))
        is_half = self._run.precision == "bfloat16"
        policy = MixedPrecisionPolicy(
            param_dtype=torch.bfloat16 if is_half else None, reduce_dtype=torch.float32
        )
        for unit in units:
            unit.register_forward_hook(_touched)  # before FSDP's own, which lets go of the weights
            fully_shard(unit, mesh=mesh, mp_policy=policy)
        fully_shard(learner, mesh=mesh, mp_policy=policy)
        if is_empty:
            _make_room(learner, self._device)
        if any(self.gather(is_empty)):
            options = StateDictOptions(full_state_dict=True, broadcast_from_rank0=True)
            set_model_state_dict(learner.network, whole, options=options)


class _Sums(NamedTuple):
    total: Tensor
    weight: float
    numbers: Mapping[str, tuple[float, float]]


class _Learner(nn.Module):
    """A batch's way through a network as one ``forward``, which DDP and FSDP2 wrap.

    ``units`` are split by themselves; the learner has to do with all other parameters.
    """

    def __init__(self, module: nn.Module, learn: Learn, units: Sequence[nn.Module]) -> None:
        super().__init__()
        self.network = module
        self._learn, self._units = learn, {id(unit) for unit in units}

    def forward(self, batch: Any) -> tuple[Tensor, float, Mapping[str, tuple[float, float]]]:
        lost: Lost = self._learn(batch)
        own = [weight for weight in self._own(self.network) if weight.requires_grad]
        return _touch(lost.total, own), float(lost.weight), getattr(lost, "numbers", {})

    def _own(self, module: nn.Module) -> Iterator[nn.Parameter]:
        if id(module) in self._units:
            return
        yield from module.parameters(recurse=False)
        for child in module.children():
            yield from self._own(child)


class _Touch(torch.autograd.Function):
    """Gives its first input, and zeros as gradients to weights that a batch has not used.

    So that all ranks have gradients of the same weights: one may have text alone, another pages.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, *weights: Tensor) -> Tensor:
        ctx.like = [(weight.shape, weight.dtype, weight.device) for weight in weights]
        ctx.mark_dirty(x)  # it stays as it is, but a view of it would not pass through FSDP2
        return x

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, ...]:
        zeros = (
            torch.zeros((), dtype=dtype, device=device).expand(shape)
            for shape, dtype, device in ctx.like
        )
        return gradients[0], *zeros


def _touched(module: nn.Module, _: Any, output: Tensor) -> Tensor:
    weights = [weight for weight in module.parameters() if weight.requires_grad]
    return _touch(output, weights) if weights and torch.is_grad_enabled() else output


def _touch(x: Tensor, weights: Sequence[Tensor]) -> Tensor:
    run: Any = _Touch.apply
    touched: Tensor = run(x, *weights)
    return touched


def _make_room(module: nn.Module, device: torch.device) -> None:
    """Give weights of the meta device memory; one that several layers have stays one."""
    owners: dict[int, list[tuple[nn.Module, str]]] = {}
    for part in module.modules():
        for name, weight in part.named_parameters(recurse=False):
            owners.setdefault(id(weight), []).append((part, name))
    module.to_empty(device=device)
    for (first, own), *others in owners.values():
        for part, name in others:
            setattr(part, name, getattr(first, own))


def _device(name: str) -> str:
    """The device of this process."""
    has_gpu = torch.cuda.is_available()
    if name == "cpu" or (name == "auto" and not has_gpu):
        return "cpu"
    count, local = torch.cuda.device_count() if has_gpu else 0, int(os.environ.get("LOCAL_RANK", 0))
    if name not in ("auto", "cuda"):
        raise ConfigError(
            f"run.device is {name!r}, and several processes cannot share one device; cpu, cuda and "
            "auto are allowed."
        )
    if local >= count:
        raise ConfigError(
            f"process {local} of this machine has no GPU, of which there are {count}; start "
            "as many processes as there are GPUs, or set run.device=cpu."
        )
    return f"cuda:{local}"


def _is_loss(err: RuntimeError) -> bool:
    """Whether an error says that another process does not answer."""
    return isinstance(err, dist.DistError) or any(word in str(err) for word in _LOST)


def _tell(store: Store, err: TilewiseError) -> NoReturn:
    """Raise an error in the first rank that has one; the others end."""
    try:
        store.set(_WHY, str(err))
        is_first = store.add(_TOLD, 1) == 1
    except RuntimeError:  # the store went down with its process
        is_first = True
    if is_first:
        raise err
    raise SystemExit(1) from err


def _tell_loss(store: Store, err: RuntimeError) -> NoReturn:
    """Say that a rank is lost, unless it has said itself why it ended."""
    try:
        store.wait([_WHY], timedelta(seconds=WAIT_S))
    except RuntimeError:
        _tell(
            store,
            TrainingError(
                "a process of this run was ended from outside or does not answer "
                f"({_first_line(err)}), so all of them end; the last good checkpoint stays. See "
                "what the system's log says of memory, and go on with --resume."
            ),
        )
    raise SystemExit(1) from err


def _first_line(err: Exception) -> str:
    return str(err).strip().partition("\n")[0]


@contextmanager
def _patient() -> Iterator[Callable[[], None]]:
    """TERM ends this process, but not while it tells why it failed.

    Who launches ranks sends them TERM as soon as one is lost.
    """
    is_failing = False

    def fail() -> None:
        nonlocal is_failing
        is_failing = True

    def end(number: int, frame: FrameType | None) -> None:
        if not is_failing:
            raise KeyboardInterrupt

    try:
        before = signal.signal(signal.SIGTERM, end)
    except ValueError:  # only the main thread may ask for signals
        yield fail
        return
    try:
        yield fail
    finally:
        signal.signal(signal.SIGTERM, before)
