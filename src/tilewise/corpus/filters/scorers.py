"""Slots for models that score a document's text: fluency, advertisement, porn, toxicity, politics.

No model comes with tilewise. A slot takes a callable or an ONNX file with its tokenizer; an empty
slot gives None and is said to be off, it never passes silently. Signs are those of the released
data: fluency and non-advertisement are good when high, porn, politics and toxicity when low.

Source: OmniCorpus (arXiv 2406.08418), section on detailed text filtering; cut-offs are not
published, ours are settings.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import numpy as np

from tilewise.corpus.filters.config import FullFilterConfig
from tilewise.corpus.filters.measures import prose
from tilewise.corpus.filters.preliminary import Broken
from tilewise.errors import ConfigError, MissingExtraError
from tilewise.records import Document

Scorer = Callable[[str], float]
"""The prose of a document → a probability, 0 to 1."""

SLOTS: Final = (
    "fluency_prob",
    "non_advertisement_prob",
    "porn_prob",
    "toxic_prob",
    "politics_prob",
)
"""Names of the scores, as in the released data; politics is reported and never drops."""

_CUTS: Final = (
    ("fluency_prob", "fluency_prob", "fluency_min", True),
    ("advertisement", "non_advertisement_prob", "non_advertisement_min", True),
    ("porn_prob", "porn_prob", "porn_max", False),
    ("toxic_prob", "toxic_prob", "toxic_max", False),
)
"""Reason, score, setting, and whether the score is good when high."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scorers:
    """What stands in the slots; a slot without a scorer is off."""

    by_slot: Mapping[str, Scorer] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for slot in self.by_slot:
            if slot not in SLOTS:
                raise ConfigError(f"{slot!r} is no slot of a scorer; {', '.join(SLOTS)} are.")

    @property
    def off(self) -> tuple[str, ...]:
        """Slots without a scorer, which a report names as not applied."""
        return tuple(slot for slot in SLOTS if slot not in self.by_slot)


NO_SCORERS: Final = Scorers()


@dataclass(frozen=True, slots=True, kw_only=True)
class ScorerFile:
    """An ONNX text classifier: ``model`` and its ``tokenizer.json``.

    ``column`` is the class whose probability is the score. A model with one output gives it by
    the logistic function, with several by softmax. ``tokens`` is how much of a text is read.
    """

    model: Path
    tokenizer: Path
    column: int = 1
    tokens: int = 512


def scored(scorers: Scorers, document: Document) -> dict[str, float | None]:
    """The score of each slot for a document's prose; None where a slot is empty.

    Raises:
        ConfigError: a scorer gave something else than a number from 0 to 1.
    """
    if not scorers.by_slot:
        return dict.fromkeys(SLOTS)
    text = prose(document.blocks)
    found: dict[str, float | None] = dict.fromkeys(SLOTS)
    for slot, scorer in scorers.by_slot.items():
        value = float(scorer(text))
        if not 0.0 <= value <= 1.0:
            raise ConfigError(
                f"the scorer in slot {slot} gave {value}; a probability from 0 to 1 is allowed."
            )
        found[slot] = value
    return found


def cut_offs(scores: Mapping[str, float | None], cfg: FullFilterConfig) -> tuple[Broken, ...]:
    """Cut-offs that scores miss, in order; a score that is not there misses none."""
    broken = []
    for reason, score, setting, is_good_high in _CUTS:
        value, limit = scores.get(score), getattr(cfg, setting)
        if value is None or reason in cfg.off:
            continue
        if (value < limit) if is_good_high else (value > limit):
            broken.append(Broken(reason, value, limit))
    return tuple(broken)


def score_lines(cfg: FullFilterConfig) -> dict[str, tuple[float | None, float | None]]:
    """Score → (least, most) that pass."""
    return {
        score: (getattr(cfg, setting), None) if good else (None, getattr(cfg, setting))
        for reason, score, setting, good in _CUTS
        if reason not in cfg.off
    }


def from_files(files: Mapping[str, ScorerFile]) -> Scorers:
    """Scorers from ONNX files, by slot; a file is opened when the first text comes.

    Raises:
        ConfigError: a slot is unknown, or a file is not there.
    """
    for slot, file in files.items():
        for path in (file.model, file.tokenizer):
            if not path.is_file():
                raise ConfigError(f"the scorer in slot {slot} names {path}, which is no file.")
    return Scorers(by_slot={slot: OnnxScorer(file) for slot, file in files.items()})


class OnnxScorer:
    """A scorer from a file; picklable, the model is loaded in each process once."""

    def __init__(self, file: ScorerFile) -> None:
        self.file = file

    def __call__(self, text: str) -> float:
        """The probability of the file's class for a text."""
        tokenizer, session = _load(self.file)
        ids = tokenizer.encode(text).ids[: self.file.tokens]
        known = {
            "input_ids": np.array([ids], dtype=np.int64),
            "attention_mask": np.ones((1, len(ids)), dtype=np.int64),
            "token_type_ids": np.zeros((1, len(ids)), dtype=np.int64),
        }
        wanted = [one.name for one in session.get_inputs()]
        logits = session.run(None, {name: known[name] for name in wanted})[0][0]
        return _probability(np.asarray(logits, dtype=np.float64).ravel(), self.file.column)


def _probability(logits: np.ndarray[Any, np.dtype[np.float64]], column: int) -> float:
    if len(logits) == 1:
        return float(1 / (1 + np.exp(-logits[0])))
    shares = np.exp(logits - logits.max())
    return float(shares[column] / shares.sum())


@lru_cache(maxsize=8)
def _load(file: ScorerFile) -> tuple[Any, Any]:
    try:
        import onnxruntime  # noqa: PLC0415
        import tokenizers  # noqa: PLC0415
    except ImportError as err:
        raise MissingExtraError(
            f"The scorer {file.model} needs onnxruntime and tokenizers; pip install "
            "'tilewise[scorers]', or leave its slot empty."
        ) from err
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # workers are processes
    session = onnxruntime.InferenceSession(
        str(file.model), options, providers=["CPUExecutionProvider"]
    )
    return tokenizers.Tokenizer.from_file(str(file.tokenizer)), session
