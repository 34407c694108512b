"""Building a network whose weights have shapes and dtypes but no values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

_Module = TypeVar("_Module", bound=nn.Module)


def valueless(build: Callable[[], _Module], dtype: torch.dtype) -> _Module:
    """What ``build`` makes, on the meta device, in a dtype.

    No layer sets out initial values: that does nothing there but import seconds of torch.
    """
    with torch.device("meta"), _WithoutInit():
        return build().to(dtype)


class _WithoutInit(TorchFunctionMode):
    """Functions of ``torch.nn.init`` give back the tensor that they were to fill."""

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if getattr(func, "__module__", None) == nn.init.__name__:
            return args[0] if args else (kwargs or {})["tensor"]
        return func(*args, **(kwargs or {}))
