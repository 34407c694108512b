"""A grown vocabulary gives old ids what they had, and new ids the mean of their outputs."""

from __future__ import annotations

import pytest
import torch

from tests.adapt.making import network, run
from tilewise.adapt.vocabulary import grow_vocabulary
from tilewise.errors import ConfigError


@pytest.mark.parametrize("kind", ["qwen2", "ixc2"])
def test_new_output_rows_are_the_mean_of_the_old(kind: str) -> None:
    net, _ = network(kind)
    before, count = run(net), net.cfg.decoder.vocabulary
    mean = net.decoder.output.weight.mean(0)
    grow_vocabulary(net, 3)
    after = run(net)
    assert net.cfg.decoder.vocabulary == net.decoder.cfg.vocabulary == count + 3
    assert net.decoder.embed.weight.shape == net.decoder.output.weight.shape
    torch.testing.assert_close(after[:, :count], before)
    for row in net.decoder.output.weight[count:]:
        torch.testing.assert_close(row, mean)
    assert net.decoder.embed.weight.requires_grad
    assert net.decoder.output.weight.requires_grad
    with pytest.raises(ConfigError, match="-1 ids"):
        grow_vocabulary(net, -1)


def test_new_embeddings_come_from_the_seed() -> None:
    rows = []
    for seed in (0, 0, 1):
        net, _ = network("qwen2")
        grow_vocabulary(net, 2, seed=seed)
        rows.append(net.decoder.embed.weight[-2:])
    assert torch.equal(rows[0], rows[1])
    assert not torch.equal(rows[0], rows[2])
    assert not torch.equal(rows[0][0], rows[0][1])
