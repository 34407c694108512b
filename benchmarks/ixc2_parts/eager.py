"""IXC2-4KHD the plain way, to compare with: the same arithmetic without any thrift.

All views pass the encoder at once; attention makes the whole matrix of scores, masks it and takes
its softmax in float32; Partial LoRA is computed for every row and multiplied by a mask; keys and
values are repeated for every query head and kept by concatenation; logits are made for all
positions and turned to float32. This is how published code of this family works.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

import torch
from torch import Tensor
from torch.nn import functional as F

from tilewise.models.ixc2.network import Ixc2, pixels, views
from tilewise.models.units import Image, Prompt
from tilewise.nn.attention import join_heads, split_heads
from tilewise.nn.decoder import DecoderLayer
from tilewise.nn.merge import merge_patches
from tilewise.nn.norm import RMSNorm
from tilewise.nn.partial_lora import PartialLinear
from tilewise.nn.rope import rope_table, rotate
from tilewise.nn.vit import ViTLayer, quick_gelu


class Eager:
    """A network run the plain way; it shares the weights. One prompt at a time."""

    def __init__(self, network: Ixc2) -> None:
        self.network = network
        self.device, self.dtype = network.newline.device, network.newline.dtype
        self._cache: list[tuple[Tensor, Tensor]] = []
        self._length = 0

    @torch.inference_mode()
    def prefill(self, prompt: Prompt) -> Tensor:
        """Run a prompt from the start; float32 logits (length, vocabulary)."""
        self._cache, self._length = [], 0
        embed = self.network.decoder.embed
        rows, is_visual = [], []
        for unit in prompt.units:
            if isinstance(unit, Image):
                rows.append(self._image(unit))
            else:
                rows.append(embed(torch.tensor([unit], device=self.device)))
            is_visual += [isinstance(unit, Image)] * len(rows[-1])
        visual = torch.tensor(is_visual, device=self.device, dtype=self.dtype)[:, None]
        return self._decoder(torch.cat(rows), visual)

    @torch.inference_mode()
    def decode(self, token: Tensor) -> Tensor:
        """Append one id, (1,); float32 logits (1, vocabulary)."""
        x = self.network.decoder.embed(token.to(self.device))
        return self._decoder(x, torch.zeros(1, 1, device=self.device, dtype=self.dtype))

    def _image(self, image: Image) -> Tensor:
        vit = self.network.vit
        parts = views(pixels(image.tiles, self.device), image.tiles.fit.tile)
        x = vit.embed(torch.stack(parts).to(self.dtype))
        for layer in cast("Iterable[ViTLayer]", vit.layers):
            q, k, v = (
                split_heads(y, layer.heads) for y in layer.qkv(layer.norm(x)).chunk(3, dim=-1)
            )
            x = x + layer.out(join_heads(_attend(q, k, v, None)))
            x = x + layer.down(quick_gelu(layer.up(layer.mlp_norm(x))))
        merged = merge_patches(x[:, 1:])
        return self.network.projector(self.network.arrange(merged, image.plan))

    def _decoder(self, x: Tensor, visual: Tensor) -> Tensor:
        """Shape: (n, width), (n, 1) -> (n, vocabulary)."""
        decoder, past, new = self.network.decoder, self._length, len(x)
        places = torch.arange(past, past + new, device=self.device)
        cos, sin = rope_table(places, decoder.cfg.head_size, decoder.cfg.rope_theta)
        table = cos.to(self.dtype), sin.to(self.dtype)
        mask = torch.full((new, past + new), torch.finfo(self.dtype).min, device=self.device)
        mask = mask.triu(past + 1).to(self.dtype)
        for i, layer in enumerate(cast("Iterable[DecoderLayer]", decoder.layers)):
            x = x + self._attention(layer, _norm(layer.attention_norm, x), visual, table, mask, i)
            hidden = _norm(layer.mlp_norm, x)
            gate = F.silu(_linear(layer.mlp.gate, hidden, visual))
            hidden = gate * _linear(layer.mlp.up, hidden, visual)
            x = x + _linear(layer.mlp.down, hidden, visual)
        self._length = past + new
        return F.linear(_norm(decoder.norm, x), decoder.output.weight).float()

    def _attention(
        self,
        layer: DecoderLayer,
        x: Tensor,
        visual: Tensor,
        table: tuple[Tensor, Tensor],
        mask: Tensor,
        index: int,
    ) -> Tensor:
        part = layer.attention
        q, k, v = _linear(part.qkv, x, visual)[None].split(part.parts, dim=-1)
        q = rotate(split_heads(q, part.heads), table)
        k, v = rotate(split_heads(k, part.kv_heads), table), split_heads(v, part.kv_heads)
        if len(self._cache) > index:
            old_k, old_v = self._cache[index]
            k, v = torch.cat([old_k, k], dim=2), torch.cat([old_v, v], dim=2)
            self._cache[index] = k, v
        else:
            self._cache.append((k, v))
        times = part.heads // part.kv_heads
        y = _attend(q, k.repeat_interleave(times, 1), v.repeat_interleave(times, 1), mask)
        return _linear(part.out, join_heads(y)[0], visual)


def _attend(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
    scores = torch.matmul(q, k.mT) / q.shape[-1] ** 0.5
    if mask is not None:
        scores = scores + mask
    return torch.matmul(F.softmax(scores, dim=-1, dtype=torch.float32).to(q.dtype), v)


def _linear(layer: PartialLinear, x: Tensor, visual: Tensor) -> Tensor:
    """A linear layer and its Partial LoRA of all rows, multiplied by the mask (n, 1)."""
    low = layer.lora_b(layer.lora_a(x))
    return F.linear(x, layer.weight) + visual * (low * layer.scale)


def _norm(norm: RMSNorm, x: Tensor) -> Tensor:
    wide = x.float()
    wide = wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + norm.eps)
    return wide.to(x.dtype) * norm.weight
