"""Small tokenizers, trained in a moment."""

from __future__ import annotations

import json
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import sentencepiece

from tilewise.text.templates import IMAGE_TOKENS
from tilewise.text.tokenizer import SENTENCEPIECE

SENTENCES = [f"the page number {n} has a title and a table of words" for n in range(40)]

MIXED = [
    *SENTENCES,
    *(
        f"  Total: {n * 37:,} EUR (see p. {n}); it's {n}% of what they've paid\n\n"
        for n in range(40)
    ),
    *(f"第{n}页的标题是“合计”，表格中有{n * 7}个词。 请比较这两张图片。" for n in range(40)),
    "naïve café Ünïcode élan déjà vu \t tab\r\n   indent\n\n\n 🙂🙃🎉",
] * 2

CHATML = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", *IMAGE_TOKENS)
PHI3 = (
    "<|endoftext|>",
    "<|assistant|>",
    "<|system|>",
    "<|end|>",
    "<|user|>",
    *IMAGE_TOKENS,
)


def train(folder: Path) -> Path:
    """Write ``tokenizer.model`` into a folder: pieces as in InternLM2, but for their number."""
    marks = ["[UNUSED_TOKEN_1]", "[UNUSED_TOKEN_2]"]
    return _train_pieces(folder, SENTENCES, 320, add_dummy_prefix=False, user_defined_symbols=marks)


def train_internlm2(folder: Path) -> Path:
    """``tokenizer.model`` without a blank in front, and added tokens behind its pieces."""
    _train_pieces(folder, MIXED, 700, add_dummy_prefix=False)
    return _add(folder, 700, CHATML[1:], {"add_bos_token": True})


def train_phi3(folder: Path, is_legacy: bool) -> Path:
    """``tokenizer.model`` as Llama's, and added tokens that take the blanks on their right."""
    _train_pieces(folder, MIXED, 700, add_dummy_prefix=True)
    settings = {"add_bos_token": True, "legacy": is_legacy, "tokenizer_class": "LlamaTokenizer"}
    return _add(folder, 700, PHI3, settings, right=PHI3[1:5])


def train_qwen2(folder: Path) -> Path:
    """``vocab.json`` and ``merges.txt`` with added tokens behind them."""
    import tokenizers
    from tokenizers import models, normalizers, pre_tokenizers, trainers

    words = (
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
        r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    )
    model = tokenizers.Tokenizer(models.BPE())
    model.normalizer = normalizers.NFC()
    model.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(tokenizers.Regex(words), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=700, initial_alphabet=alphabet, show_progress=False, special_tokens=[]
    )
    model.train_from_iterator(MIXED, trainer)
    model.model.save(str(folder))
    settings = {"add_bos_token": False, "tokenizer_class": "Qwen2Tokenizer", "bos_token": None}
    return _add(folder, model.get_vocab_size(), CHATML, settings | {"eos_token": "<|im_end|>"})


def _train_pieces(folder: Path, sentences: Sequence[str], size: int, **options: Any) -> Path:
    model = BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(sentences),
        model_writer=model,
        vocab_size=size,
        model_type="bpe",
        byte_fallback=True,
        character_coverage=1.0 if size == 320 else 0.99,
        remove_extra_whitespaces=False,
        normalization_rule_name="identity",
        num_threads=1,
        minloglevel=2,
        **options,
    )
    (folder / SENTENCEPIECE).write_bytes(model.getvalue())
    return folder


def _add(
    folder: Path,
    start: int,
    tokens: Sequence[str],
    settings: dict[str, Any],
    right: Sequence[str] = (),
) -> Path:
    """Write ``tokenizer_config.json`` with tokens whose ids begin at ``start``."""
    flags = {"lstrip": False, "normalized": False, "single_word": False, "special": True}
    added = {
        str(start + n): {"content": text, "rstrip": text in right, **flags}
        for n, text in enumerate(tokens)
    }
    if (folder / SENTENCEPIECE).is_file():
        controls = {"0": "<unk>", "1": "<s>", "2": "</s>"}
        added |= {i: {"content": text, "rstrip": False, **flags} for i, text in controls.items()}
        names = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
        settings = names | settings
    whole = settings | {
        "added_tokens_decoder": added,
        "additional_special_tokens": list(tokens),
        "clean_up_tokenization_spaces": False,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(whole), encoding="utf-8")
    return folder
