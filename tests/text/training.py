"""A small SentencePiece model with byte fallback and markers, trained in a moment."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import sentencepiece

from tilewise.text.tokenizer import SENTENCEPIECE

SENTENCES = [f"the page number {n} has a title and a table of words" for n in range(40)]


def train(folder: Path) -> Path:
    """Write ``tokenizer.model`` into a folder: pieces as in InternLM2, but for their number."""
    model = BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(SENTENCES),
        model_writer=model,
        vocab_size=320,
        model_type="bpe",
        byte_fallback=True,
        character_coverage=1.0,
        add_dummy_prefix=False,
        remove_extra_whitespaces=False,
        normalization_rule_name="identity",
        user_defined_symbols=["[UNUSED_TOKEN_1]", "[UNUSED_TOKEN_2]"],
        num_threads=1,
        minloglevel=2,
    )
    (folder / SENTENCEPIECE).write_bytes(model.getvalue())
    return folder
