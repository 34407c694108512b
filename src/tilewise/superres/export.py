"""SDAN networks as ONNX files, for programs without torch: any batch, height and width."""

from __future__ import annotations

import importlib
import importlib.util
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn

from tilewise.errors import ConfigError, MissingExtraError
from tilewise.superres.deform import ONNX_OPSET
from tilewise.superres.output import new_output
from tilewise.superres.sdan import Sdan

OUTPUTS: Final = ("enlarged", "probe", "mask", "offset")
"""Of a graph with a reference; without one there is the first alone. See ``sdan.Enlarged``."""

_SIDE: Final = 21
"""Of the image that is traced: no multiple of a block, so that padding is in the graph."""


def export_onnx(
    network: Sdan, path: Path, *, name: str = "", has_reference: bool = False
) -> tuple[str, ...]:
    """Write a network as one ONNX file, opset 19, float32.

    Its input ``image`` is (batch, channels, height, width), 0 to 1, of any size; its output
    ``enlarged`` (batch, 3, scale * height, scale * width) is not cut to 0 to 1. Without a reference
    the graph is convolutions alone. Scale, input and reach stand in the file's properties.

    Args:
        network: what to write.
        path: the file, there whole or not at all; one that is there is replaced.
        name: of the network, for the properties.
        has_reference: the graph also takes ``reference`` (batch, 3, height, width), the target at
            the input's size (``sdan.reference_of``), and gives what ``Enlarged`` has.

    Returns:
        The names of the outputs.

    Raises:
        ConfigError: a reference is asked for and the network aligns nothing.
        MissingExtraError: onnx or onnxscript is not installed.
        DataError: the file cannot be written.
    """
    if has_reference and network.align is None:
        raise ConfigError(
            "the network aligns nothing, so it takes no reference; export it without one."
        )
    missing = [one for one in ("onnx", "onnxscript") if importlib.util.find_spec(one) is None]
    if missing:
        raise MissingExtraError(
            f"a network is exported by {' and '.join(missing)}; pip install 'tilewise[onnx]'."
        )
    outputs = OUTPUTS if has_reference else OUTPUTS[:1]
    model = _traced(network, outputs)
    facts = {
        "name": name,
        "scale": network.cfg.scale,
        "input": network.cfg.input,
        "protocol": "P1 or P2" if has_reference else "P0",
        "reach_px": network.cfg.reach,
    }
    helper: Any = importlib.import_module("onnx.helper")
    helper.set_model_props(model, {f"tilewise.{key}": str(value) for key, value in facts.items()})
    with new_output(path) as file:
        file.write(model.SerializeToString())
    return outputs


class _Graph(nn.Module):
    """The network with the outputs of a graph, none of which may be missing."""

    def __init__(self, network: Sdan) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor, reference: Tensor | None = None) -> tuple[Tensor, ...]:
        found = self.network(image, reference)
        return tuple(value for value in found if value is not None)


def _traced(network: Sdan, outputs: tuple[str, ...]) -> Any:
    """The graph as onnx's ModelProto."""
    shapes = {"image": (2, network.cfg.channels), "reference": (2, 3)}
    names = tuple(shapes)[: 1 if len(outputs) == 1 else 2]
    inputs = tuple(torch.rand(*shapes[name], _SIDE, _SIDE + 16) for name in names)
    sizes = {0: "batch", 2: "height", 3: "width"}
    graph = _Graph(network).eval()
    with _quiet(), torch.no_grad():
        program: Any = torch.onnx.export(
            graph,
            inputs,
            dynamo=True,
            opset_version=ONNX_OPSET,
            input_names=names,
            output_names=outputs,
            dynamic_shapes=dict.fromkeys(names, sizes),
            verbose=False,
        )
    return program.model_proto


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what the exporter says of packages that it can do without, and of its own code."""
    log = logging.getLogger("torch.onnx._internal.exporter")
    level = log.level
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        log.setLevel(logging.ERROR)
        try:
            yield
        finally:
            log.setLevel(level)
