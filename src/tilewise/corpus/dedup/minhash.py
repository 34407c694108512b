"""MinHash of a document's text: what it is folded to, its shingles, and 112 values of them.

Everything is computed with NumPy over a text's code points, so that signatures depend on nothing
but ``METHOD``, the Unicode tables of Python and the settings; these are stored with signatures.
From text to signature that is twice as fast as rensa and six times as fast as datasketch, whose
shingles are strings (``benchmarks/corpus_dedup.py``), and no version of a package changes it.
"""

from __future__ import annotations

import hashlib
import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tilewise.errors import ConfigError

Codes = NDArray[np.uint32]
"""Code points of folded text."""

Shingles = NDArray[np.uint32]
"""Hashes of a text's n-grams, one each, in their order, with repetitions."""

Signatures = NDArray[np.uint32]
"""One row of MinHash values for each document."""

METHOD: Final = "tilewise-numpy-1"
"""Name and version of all that is done here; it changes with every change of a signature."""

UNICODE: Final = unicodedata.unidata_version
"""Version of the tables that tell letters from punctuation."""

NO_SHINGLES: Final = np.uint32(0xFFFFFFFF)
"""Every value of the signature of a text that has no shingle."""

_TABLE: Final = 0x33480
"""Code points below it have an entry of their own; above there are no letters (Unicode 16)."""

_SPACE: Final = 32
_PIECE: Final = 1 << 16  # characters of a text whose words are hashed at a time
_CHUNK: Final = 2048  # 112 rows of so many 4-byte values stay in the processor's cache
_BASE: Final = 0x9E3779B97F4A7C15 | 1
_UNSPACED: Final = (
    (0x0E00, 0x0F00),  # Thai, Lao
    (0x1000, 0x10A0),  # Burmese
    (0x1780, 0x1800),  # Khmer
    (0x3005, 0x3008),
    (0x3040, 0x3100),  # kana
    (0x31F0, 0x3200),
    (0x3400, 0x4DC0),  # ideographs
    (0x4E00, 0xA000),
    (0xF900, 0xFB00),
    (0x20000, _TABLE),
)
"""Ranges of scripts that put no spaces between words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MinHashConfig:
    """How signatures are made. ``ngram`` counts words, or characters where there are no spaces."""

    values: int = 112
    ngram: int = 5
    seed: int = 1

    def __post_init__(self) -> None:
        if not (8 <= self.values <= 1024 and 1 <= self.ngram <= 32 and 0 <= self.seed < 2**63):
            raise ConfigError(
                f"values is {self.values}, ngram {self.ngram} and seed {self.seed}; 8 to 1024, "
                "1 to 32 and a whole number from 0 up are allowed."
            )


def fold(text: str) -> Codes:
    """Fold a text so that copies differ in little else than what they say.

    Lower case, NFC; digits become 0; what is no letter, mark or number becomes a space, runs of
    which become one; signs for layout alone (soft hyphens, joiners) are left out.

    Source: proposal for OmniCorpus (arXiv 2406.08418), section on deduplication.
    """
    if text.isascii():
        codes = _kinds().take(np.frombuffer(text.lower().encode("ascii"), np.uint8))
    else:
        plain = unicodedata.normalize("NFC", text.lower())
        points = np.frombuffer(plain.encode("utf-32-le", "surrogatepass"), "<u4")
        codes = _kinds().take(np.minimum(points, _TABLE))
        codes = codes[codes != 0]
    is_space = codes == _SPACE
    is_kept = np.empty(len(codes), np.bool_)
    is_kept[:1] = ~is_space[:1]
    np.logical_or(~is_space[1:], ~is_space[:-1], out=is_kept[1:])
    folded = codes[is_kept]
    return folded[:-1] if len(folded) and folded[-1] == _SPACE else folded


def text_hash(codes: Codes) -> bytes:
    """128 bits of folded text."""
    kind = "<u1" if not len(codes) or int(codes.max()) < 256 else "<u4"
    return hashlib.blake2b(codes.astype(kind).tobytes(), digest_size=16).digest()


def shingles(codes: Codes, cfg: MinHashConfig) -> Shingles:
    """Hash each run of ``cfg.ngram`` words of folded text.

    Where more than half of the letters belong to a script without spaces (Chinese, Japanese, Thai
    and the like), a character is taken for a word. This is told by the text and not by its
    identified language, so that copies are never compared by different units. A text of fewer
    words is one shingle; one of none has none.
    """
    words = _characters(codes) if _is_unspaced(codes) else _words(codes)
    if not len(words):
        return np.empty(0, np.uint32)
    size = min(cfg.ngram, len(words))
    powers = _powers()
    count = len(words) - size + 1
    total = words[:count].copy()
    for place in range(1, size):
        total += words[place : place + count] * powers[place]
    return (_mixed(total + np.uint64(size)) >> np.uint64(32)).astype(np.uint32)


def signature(found: Shingles, cfg: MinHashConfig) -> NDArray[np.uint32]:
    """The least value of the shingles under each of ``cfg.values`` hash functions.

    Shape: (n,) -> (cfg.values,). Two texts agree in a value with the probability that their sets
    of shingles have as Jaccard similarity, but for 1 in 2**32.
    """
    masks, factors = _functions(cfg.values, cfg.seed)
    least = np.full(cfg.values, NO_SHINGLES, np.uint32)
    for start in range(0, len(found), _CHUNK):
        values = found[start : start + _CHUNK] ^ masks
        values *= factors
        np.minimum(least, values.min(axis=1), out=least)
    return least


def band_hashes(signatures: Signatures, bands: int, rows: int) -> NDArray[np.uint64]:
    """64 bits for each band of each signature; the band's number is hashed too.

    Shape: (documents, values) -> (documents, bands); the first ``bands * rows`` values are used.
    """
    parts = signatures[:, : bands * rows].reshape(len(signatures), bands, rows)
    total = np.zeros(parts.shape[:2], np.uint64) + np.arange(bands, dtype=np.uint64)
    for row in range(rows):
        total = _mixed(total + parts[:, :, row])
    return total


def collision_chance(jaccard: float, bands: int, rows: int) -> float:
    """Probability that two documents of a similarity share a band."""
    return float(1 - (1 - jaccard**rows) ** bands)


def jaccard(one: Shingles, other: Shingles) -> float:
    """Share of shingles in common, of sorted arrays without repetitions; 0 of none."""
    both = len(one) + len(other)
    if not both:
        return 0.0
    common = both - len(np.union1d(one, other))
    return common / (both - common)


def _words(codes: Codes) -> NDArray[np.uint64]:
    """A hash of each word. Long texts are taken in pieces, at a space if there is one."""
    found = [np.empty(0, np.uint64)]
    start = 0
    while start < len(codes):
        piece = codes[start : start + _PIECE]
        spaces = np.flatnonzero(piece == _SPACE)
        if start + len(piece) < len(codes):
            end = int(spaces[-1]) if len(spaces) else len(piece)
            piece, spaces = piece[:end], spaces[:-1]
        found.append(_hashes(piece, spaces))
        start += len(piece)
        start += start < len(codes) and int(codes[start]) == _SPACE
    return np.concatenate(found)


def _hashes(codes: Codes, spaces: NDArray[np.intp]) -> NDArray[np.uint64]:
    """A hash of each word between spaces: polynomials over characters, by one running sum."""
    powers, inverses = _powers(), _inverses()
    terms = _letters().take(codes)  # take is faster than an index
    terms *= powers[: len(codes)]
    sums = np.zeros(len(codes) + 1, np.uint64)
    np.cumsum(terms, out=sums[1:])
    starts = np.zeros(len(spaces) + 1, np.intp)
    ends = np.full(len(spaces) + 1, len(codes), np.intp)
    np.add(spaces, 1, out=starts[1:])
    ends[:-1] = spaces
    return _mixed((sums.take(ends) - sums.take(starts)) * inverses.take(starts))


def _characters(codes: Codes) -> NDArray[np.uint64]:
    return _letters().take(codes[codes != _SPACE])


def _is_unspaced(codes: Codes) -> bool:
    if not len(codes) or int(codes.max()) < _UNSPACED[0][0]:
        return False
    letters = codes[codes > ord("9")]
    return 2 * int(np.count_nonzero(_unspaced().take(letters))) > len(letters)


def _mixed(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The finaliser of SplitMix64 (Steele, Lea and Flood 2014)."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


@lru_cache(maxsize=1)
def _kinds() -> Codes:
    """What each code point is folded to: itself, 0 (the digit), a space, or nothing (0)."""
    table = np.arange(_TABLE + 1, dtype=np.uint32)
    for code in range(_TABLE):
        kind = unicodedata.category(chr(code))
        if kind == "Nd":
            table[code] = ord("0")
        elif kind == "Cf":
            table[code] = 0
        elif kind[0] not in "LMN":
            table[code] = _SPACE
    table[_TABLE] = _SPACE
    return table


@lru_cache(maxsize=1)
def _unspaced() -> NDArray[np.bool_]:
    table = np.zeros(_TABLE + 1, np.bool_)
    for start, end in _UNSPACED:
        table[start:end] = True
    return table


@lru_cache(maxsize=1)
def _letters() -> NDArray[np.uint64]:
    """A hash of each code point."""
    return _mixed(np.arange(1, _TABLE + 2, dtype=np.uint64) * np.uint64(_BASE))


@lru_cache(maxsize=1)
def _powers() -> NDArray[np.uint64]:
    return _powers_of(_BASE)


@lru_cache(maxsize=1)
def _inverses() -> NDArray[np.uint64]:
    return _powers_of(pow(_BASE, -1, 2**64))


def _powers_of(base: int) -> NDArray[np.uint64]:
    table = np.full(_PIECE + 1, base, np.uint64)
    table[0] = 1
    return np.multiply.accumulate(table)


@lru_cache(maxsize=4)
def _functions(values: int, seed: int) -> tuple[Codes, Codes]:
    """Masks and odd factors, ``(values, 1)`` each."""
    start = _mixed(np.array([seed], np.uint64) * np.uint64(_BASE) + np.uint64(1))
    steps = np.arange(1, 2 * values + 1, dtype=np.uint64) * np.uint64(_BASE)
    drawn = (_mixed(start + steps) >> np.uint64(32)).astype(np.uint32).reshape(2, values, 1)
    return drawn[0], drawn[1] | np.uint32(1)
