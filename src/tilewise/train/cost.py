"""What training costs, by arithmetic: parameters, memory of each process, operations, seconds.

Nothing here is measured. Counts of parameters, of operations and of kept values follow from the
sizes of a model, and tests hold them to what torch counts on small models; seconds follow from a
peak speed and a share of it that the caller assumes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from tilewise.models.internvl.config import InternVLConfig
from tilewise.models.ixc2.config import Ixc2Config
from tilewise.nn.decoder import DecoderConfig
from tilewise.nn.vit import ViTConfig

FULL: int = 4
HALF: int = 2
"""Bytes of a number in float32 and in bfloat16."""

_MOMENTS = 2  # of AdamW, in float32


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What of a model decides its cost.

    ``merged`` and ``inner``: channels in front of the projector and inside it. ``separators``:
    vectors of ``merged`` channels. ``has_projector_norm``: a layer norm before the projector.
    """

    vision: ViTConfig
    decoder: DecoderConfig
    merged: int
    inner: int
    separators: int = 0
    has_projector_norm: bool = False


class Load(NamedTuple):
    """What runs at once in one process.

    ``tiles`` include whole-page views. ``tokens`` are all positions, of which ``visual`` ones
    belong to pages and ``learned`` ones have labels.
    """

    tiles: int
    tokens: int
    visual: int
    learned: int


class Memory(NamedTuple):
    """Bytes of one process: what lies there all the time, and what comes with a batch.

    ``weights``, ``gradients`` and ``moments`` are this process's, in float32; ``gathered`` are the
    weights in bfloat16 and their gradients that it has from others while it uses them. ``kept``
    lies from the forward to the backward pass, ``layer`` while a layer is computed again.
    """

    weights: float
    gradients: float
    moments: float
    gathered: float
    kept: float
    layer: float

    @property
    def total(self) -> float:
        """All of it; what the allocator and libraries take besides is not in it."""
        return float(sum(self))


def shape_of(cfg: Ixc2Config | InternVLConfig) -> Shape:
    """The shape of a family's config."""
    if isinstance(cfg, Ixc2Config):
        return Shape(
            vision=cfg.vision,
            decoder=cfg.decoder,
            merged=cfg.merged_width,
            inner=cfg.projector_width,
            separators=2,
        )
    return Shape(
        vision=cfg.vision,
        decoder=cfg.decoder,
        merged=cfg.merged_width,
        inner=cfg.decoder.width,
        has_projector_norm=True,
    )


def parameters(shape: Shape) -> dict[str, int]:
    """Parameters of each part; the names are those of ``adapt.freeze.PARTS``."""
    width, merged, inner = shape.decoder.width, shape.merged, shape.inner
    norm = 2 * merged if shape.has_projector_norm else 0
    return {
        "vit": _vit_parameters(shape.vision),
        "projector": norm + merged * inner + inner + inner * width + width,
        "separators": shape.separators * merged,
        "partial_lora": shape.decoder.layers * _lora_products(shape.decoder),
        "decoder": shape.decoder.layers * (_layer_products(shape.decoder) + _layer_rest(shape))
        + width
        + shape.decoder.vocabulary * width * (1 if shape.decoder.is_tied else 2),
    }


def products(shape: Shape, load: Load) -> dict[str, int]:
    """Operations of matrix products in a forward pass, by part: 2 for each number of a matrix.

    ``attention`` has what grows with the square of a length, of which a causal kernel does half.
    The tokens are taken for one sequence; several examples in a pack take less.
    """
    vision, decoder = shape.vision, shape.decoder
    rows = load.tiles * (vision.patches + 1)
    vit = rows * vision.layers * (4 * vision.width**2 + 2 * vision.width * vision.mlp)
    patches = load.tiles * vision.patches * 3 * vision.patch**2 * vision.width
    squares = rows * (vision.patches + 1) * vision.width * vision.layers
    causal = load.tokens**2 // 2 * decoder.width * decoder.layers
    return {
        "patches": 2 * patches,
        "vit": 2 * vit,
        "projector": 2 * load.visual * shape.inner * (shape.merged + decoder.width),
        "partial_lora": 2 * load.visual * decoder.layers * _lora_products(decoder),
        "decoder": 2 * load.tokens * decoder.layers * _layer_products(decoder),
        "output": 2 * load.learned * decoder.width * decoder.vocabulary,
        "attention": 4 * (squares + causal),
    }


def step_products(shape: Shape, load: Load, *, is_checkpointed: bool = True) -> int:
    """Operations of a forward and backward pass in which all parts learn.

    The backward pass takes two products for each one of the forward pass, and one for pixels, which
    need no gradients. Checkpointing runs the layers of both transformers forward once more; that
    torch leaves out the last product of some of them is not counted, 3 to 4 % of a step.
    """
    each = products(shape, load)
    again = sum(each[part] for part in ("vit", "partial_lora", "decoder", "attention"))
    return 3 * sum(each.values()) - each["patches"] + (again if is_checkpointed else 0)


def memory(shape: Shape, load: Load, *, world: int, is_split: bool) -> Memory:
    """Memory of each of ``world`` processes where all parts learn, with checkpointing.

    Args:
        shape: of the model.
        load: a batch of one process.
        world: processes.
        is_split: ``run.sharding`` is "full"; else each has the whole network in float32, and
            bfloat16 copies of single weights as they are used, which are left out here.
    """
    every = parameters(shape)
    count = sum(every.values()) / (world if is_split else 1)
    item = HALF if is_split else FULL
    return Memory(
        weights=FULL * count,
        gradients=FULL * count,
        moments=_MOMENTS * FULL * count,
        gathered=_gathered(shape) if is_split else 0,
        kept=kept_bytes(shape, load, item),
        layer=max(layer_bytes(shape.decoder, load, item), vit_layer_bytes(shape.vision, item)),
    )


def kept_bytes(shape: Shape, load: Load, item: int) -> int:
    """What checkpointing keeps: pixels, the input of each layer, and what the projector sees."""
    vision, decoder = shape.vision, shape.decoder
    tiles = load.tiles * (
        3 * vision.tile**2 * FULL + vision.layers * (vision.patches + 1) * vision.width * item
    )
    projector = load.visual * (2 * shape.merged + 2 * shape.inner + decoder.width) * item
    return tiles + projector + (decoder.layers + 2) * load.tokens * decoder.width * item


def layer_bytes(decoder: DecoderConfig, load: Load, item: int) -> int:
    """What one decoder layer keeps while it is computed again and goes back."""
    keys, mlp = decoder.kv_heads * decoder.head_size, decoder.mlp
    norms = 2 * decoder.width if item == HALF else 0  # their inputs are kept in float32
    plain = 10 * decoder.width + norms + 3 * keys + 4 * mlp
    lora = 0
    if decoder.partial_lora is not None:
        lora = sum(2 * into + rank + out for into, rank, out in _lora_layers(decoder))
    return (load.tokens * plain + load.visual * lora) * item


def vit_layer_bytes(vision: ViTConfig, item: int, tiles: int = 8) -> int:
    """The same for a layer of the encoder, which runs some tiles at a time."""
    return tiles * (vision.patches + 1) * (8 * vision.width + 3 * vision.mlp) * item


def traffic_bytes(shape: Shape) -> int:
    """Bytes that a process of a split network receives and sends for each batch.

    Layers are gathered twice in bfloat16, the rest once; gradients are shared out in float32.
    """
    every = sum(parameters(shape).values())
    return HALF * (every + _layers(shape)) + FULL * every


def seconds(operations: float, *, peak: float, share: float) -> float:
    """Seconds of operations at an assumed share of a peak in operations a second."""
    return operations / (peak * share)


def _gathered(shape: Shape) -> int:
    """All but the decoder's layers for the whole batch, two layers at a time, one's gradients."""
    layer = _layers(shape) // shape.decoder.layers
    rest = sum(parameters(shape).values()) - _layers(shape)
    return 2 * HALF * rest + 2 * HALF * layer + (HALF + FULL) * layer


def _layers(shape: Shape) -> int:
    """Parameters of the decoder's layers."""
    decoder = shape.decoder
    each = _layer_products(decoder) + _layer_rest(shape) + _lora_products(decoder)
    return decoder.layers * each


def _vit_parameters(vision: ViTConfig) -> int:
    width, mlp = vision.width, vision.mlp
    norm = 2 * width if vision.norm == "layer" else width
    layer = 4 * width**2 + 2 * width * mlp + width + mlp + width  # with biases of out, up and down
    layer += 2 * norm + (3 * width if vision.has_qkv_bias else 0)
    layer += (2 * width if vision.has_qk_norm else 0) + (2 * width if vision.has_layer_scale else 0)
    patch = 3 * vision.patch**2 * width + (width if vision.has_patch_bias else 0)
    front = patch + (vision.patches + 2) * width + (norm if vision.has_pre_norm else 0)
    return front + vision.layers * layer


def _layer_products(decoder: DecoderConfig) -> int:
    """Numbers of a decoder layer's matrices, without Partial LoRA."""
    keys = decoder.kv_heads * decoder.head_size
    return decoder.width * (2 * decoder.width + 2 * keys + 3 * decoder.mlp)


def _layer_rest(shape: Shape) -> int:
    """Norms and biases of a decoder layer."""
    decoder = shape.decoder
    bias = decoder.width + 2 * decoder.kv_heads * decoder.head_size
    return 2 * decoder.width + (bias if decoder.has_qkv_bias else 0)


def _lora_layers(decoder: DecoderConfig) -> list[tuple[int, int, int]]:
    """Inputs, rank and outputs of Partial LoRA in the linear layers of one decoder layer."""
    lora = decoder.partial_lora
    if lora is None:
        return []
    width, mlp = decoder.width, decoder.mlp
    qkv = width + 2 * decoder.kv_heads * decoder.head_size
    others = [(width, width), (width, mlp), (width, mlp), (mlp, width)]
    return [(width, lora.qkv_rank, qkv), *((into, lora.rank, out) for into, out in others)]


def _lora_products(decoder: DecoderConfig) -> int:
    return sum(rank * (into + out) for into, rank, out in _lora_layers(decoder))
