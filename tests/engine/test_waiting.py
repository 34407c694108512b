"""A step of decoding waits for its GPU once, when ids and scores come over.

Tensors on the meta device have no values, so what reads one there, and on a GPU would wait for
it, raises.
"""

from __future__ import annotations

import pytest
import torch

from tests.models.ixc2.making import SMALL, VOCABULARY
from tilewise.engine.sampling import Chooser, SamplingConfig, log_probs
from tilewise.models.ixc2.model import Ixc2Reader
from tilewise.models.ixc2.network import Ixc2
from tilewise.models.rows import Rows
from tilewise.text.tokenizer import ByteTokenizer


@pytest.mark.parametrize("is_padded", [False, True])
@pytest.mark.parametrize(
    "sampling",
    [
        SamplingConfig(),
        SamplingConfig(repetition_penalty=1.2),
        SamplingConfig(temperature=1.0, top_k=5, top_p=0.9),
    ],
    ids=["greedy", "penalised", "drawn"],
)
def test_choosing_and_decoding_read_no_value(sampling: SamplingConfig, is_padded: bool) -> None:
    with torch.device("meta"):
        reader = Ixc2Reader(Ixc2(SMALL).eval(), ByteTokenizer(VOCABULARY))
        pads = torch.zeros(2, dtype=torch.int64) if is_padded else None
        logits = torch.zeros(2, VOCABULARY)
    kv = reader.network.decoder.new_cache(2, 4)
    kv.advance(3)
    cache = Rows(kv, pads, [[1, 1, 1], [1, 1, 1]])
    choose = Chooser(sampling, [(), ()])
    with torch.inference_mode():
        for count in range(1, 4):
            ids = choose(logits)
            scores = log_probs(logits, ids)
            logits = reader.decode(ids, cache)
            assert {t.device.type for t in (ids, scores, logits)} == {"meta"}
            assert cache.length == 3 + count
    with pytest.raises(RuntimeError):  # what reads values does raise there
        ids.tolist()
