"""The decoder set by its fields: every form runs alike whole, in chunks and id by id."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from tilewise.errors import ConfigError, PromptError
from tilewise.nn.decoder import Decoder, DecoderConfig, PartialLoraConfig
from tilewise.nn.partial_lora import Segment, window
from tilewise.nn.rope import DynamicNtk, LongRope

LENGTH = 12
PLAIN = DecoderConfig(
    vocabulary=11, width=24, layers=3, heads=6, kv_heads=2, mlp=20, norm_eps=1e-5, rope_theta=1e4
)
FORMS = {
    "plain": PLAIN,
    "a key head for each query head": replace(PLAIN, kv_heads=6),
    "qkv bias, tied": replace(PLAIN, has_qkv_bias=True, is_tied=True),
    "longrope, heads of one key each": replace(
        PLAIN,
        kv_heads=6,
        rope_scaling=LongRope((1.0, 1.5), (2.0, 7.0), original=2 * LENGTH, positions=64),
    ),
    "dynamic ntk": replace(PLAIN, rope_scaling=DynamicNtk(2.0, 2 * LENGTH)),
    "partial lora": replace(
        PLAIN, partial_lora=PartialLoraConfig(qkv_rank=2, qkv_scale=2.0, rank=3, scale=1.0)
    ),
}
IMAGES = (Segment(0, 2, 5), Segment(0, 6, LENGTH))


@pytest.fixture(params=list(FORMS.values()), ids=list(FORMS))
def decoder(request: pytest.FixtureRequest) -> Decoder:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        built = Decoder(request.param)
        for weight in built.parameters():
            torch.nn.init.normal_(weight, std=0.3)
    return built.eval().requires_grad_(False)


def _input() -> Tensor:
    return torch.randn(1, LENGTH, PLAIN.width, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("chunk", [1, 5, LENGTH])
def test_chunks_over_a_cache_give_what_one_run_gives(decoder: Decoder, chunk: int) -> None:
    x = _input()
    whole = decoder(x, IMAGES)
    cache = decoder.new_cache(1, 4)
    parts = [
        decoder(x[:, at : at + chunk], window(IMAGES, at, at + chunk), cache)
        for at in range(0, LENGTH, chunk)
    ]
    torch.testing.assert_close(torch.cat(parts, 1), whole)
    assert cache.length == LENGTH


def test_the_last_position_alone_is_what_it_is_among_all(decoder: Decoder) -> None:
    x, cache = _input(), decoder.new_cache(1, LENGTH)
    last = decoder(x, IMAGES, cache, is_last_only=True)
    assert last.shape == (1, 1, PLAIN.width)
    torch.testing.assert_close(last, decoder(x, IMAGES)[:, -1:])
    more = decoder(x[:, :1], (), cache)  # keys and values of the last layer are all there
    torch.testing.assert_close(more, decoder(torch.cat([x, x[:, :1]], 1), IMAGES)[:, -1:])


def test_a_later_position_changes_no_earlier_one(decoder: Decoder) -> None:
    x = _input()
    changed = x.clone()
    changed[:, -1] += 1
    before, after = decoder(x, IMAGES), decoder(changed, IMAGES)
    assert torch.equal(before[:, :-1], after[:, :-1])
    assert not torch.equal(before[:, -1], after[:, -1])


def test_logits_are_float32_of_every_position_given(decoder: Decoder) -> None:
    logits = decoder.to(torch.bfloat16).logits(decoder(_input().bfloat16(), IMAGES))
    assert logits.dtype == torch.float32
    assert logits.shape == (1, LENGTH, PLAIN.vocabulary)


def test_image_ranges_may_be_left_out_only_without_partial_lora(decoder: Decoder) -> None:
    if decoder.cfg.partial_lora is None:
        assert torch.equal(decoder(_input(), None), decoder(_input(), IMAGES))
    else:
        with pytest.raises(PromptError, match="without the ranges of their images"):
            decoder(_input(), None)


def test_a_tied_output_is_the_embedding() -> None:
    names = dict(Decoder(FORMS["qkv bias, tied"]).named_parameters())
    assert "output.weight" not in names
    assert "layers.0.attention.qkv.bias" in names


@pytest.mark.parametrize("changes", [{"heads": 5}, {"kv_heads": 4}, {"width": 18}])
def test_heads_that_do_not_divide_are_refused(changes: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match="width must be a multiple of the heads"):
        replace(PLAIN, **changes)  # type: ignore[arg-type]


def test_gradients_reach_every_weight(decoder: Decoder) -> None:
    free = Decoder(decoder.cfg).train()
    free.load_state_dict(decoder.state_dict())
    x = _input().requires_grad_()
    loss = free.logits(free(x, IMAGES)).square().sum() + free.embed(torch.arange(11)).sum()
    loss.backward()
    for name, weight in (("x", x), *free.named_parameters()):
        assert weight.grad is not None, name
        assert weight.grad.any(), name


@pytest.mark.parametrize(
    "scaling", [LongRope((1.0,), (1.0,), 8, 16), LongRope((1.0,) * 2, (), 8, 16)]
)
def test_factors_that_are_not_those_of_the_heads_are_refused(scaling: LongRope) -> None:
    with pytest.raises(ConfigError, match="heads of 4 need 2 of each"):
        replace(PLAIN, rope_scaling=scaling)


def test_heads_too_small_for_dynamic_ntk_are_refused() -> None:
    with pytest.raises(ConfigError, match="head size is 2"):
        replace(PLAIN, width=12, rope_scaling=DynamicNtk(2.0, 8))
