"""Text ↔ ids by byte pairs: ``vocab.json`` and ``merges.txt``, as Qwen2 has them."""

from __future__ import annotations

import heapq
import re
import sys
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, Final

from tilewise.errors import WeightsError
from tilewise.text.added import AddedToken, Settings, Splitter, read_object
from tilewise.text.characters import check_unicode, joined

VOCABULARY: Final = "vocab.json"
MERGES: Final = "merges.txt"

KINDS: Final = ("Qwen2Tokenizer", "Qwen2TokenizerFast")
"""Classes in ``tokenizer_config.json`` that cut texts into words as it is done here."""

_END: Final = "<|endoftext|>"
_CACHED_WORDS: Final = 10_000
_BLANKS: Final = r"\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"


class BytePairTokenizer:
    """Byte pairs merged within words, after Unicode's composed form is taken (NFC).

    Args:
        folder: where ``vocab.json`` and ``merges.txt`` lie.
        settings: added tokens, and names of start and end.

    Raises:
        WeightsError: a file is damaged, or a byte has no id.

    Source: the slow Qwen2 tokenizer of the transformers library.
    """

    def __init__(self, folder: Path, settings: Settings) -> None:
        self._vocabulary = _read_vocabulary(folder / VOCABULARY)
        self._ranks = _read_merges(folder / MERGES, self._vocabulary)
        self._word = lru_cache(_CACHED_WORDS)(self._encoded)
        self._splitter = Splitter(settings.added)
        byte_of = {letter: byte for byte, letter in enumerate(byte_letters())}
        self._said: dict[int, bytes | None] = {
            i: bytes(byte_of[letter] for letter in piece)
            for piece, i in self._vocabulary.items()
            if all(letter in byte_of for letter in piece)
        }
        self._said |= {token.id: token.said for token in settings.added}
        self._added = {token.text: token.id for token in settings.added}
        self.vocab_size = max([*self._vocabulary.values(), *self._added.values()]) + 1
        eos = self.id_of(settings.names.get("eos_token", _END))
        if eos is None:
            raise WeightsError(
                f"{folder}: the tokenizer has no end id ({settings.names.get('eos_token', _END)}); "
                "tokenizer_config.json must name it, copy that file there too."
            )
        self.eos_id = eos
        bos = self.id_of(settings.names["bos_token"]) if "bos_token" in settings.names else None
        self.bos_id = bos if settings.adds_bos else None

    def encode(self, text: str, *, bos: bool) -> list[int]:
        """Text → ids; raises PromptError for text that is no Unicode."""
        check_unicode(text)
        ids = [self.bos_id] if bos and self.bos_id is not None else []
        for part in self._splitter.split(unicodedata.normalize("NFC", text)):
            if isinstance(part, AddedToken):
                ids.append(part.id)
            else:
                for word in word_pattern().findall(part):
                    ids += self._word(word)
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        """Ids → text; ids beyond the vocabulary say nothing."""
        return joined(self._said[i] for i in ids if i in self._said)

    def id_of(self, piece: str) -> int | None:
        """The id of a piece as the files write it, None if there is none."""
        return self._added.get(piece, self._vocabulary.get(piece))

    def __getstate__(self) -> dict[str, Any]:
        """Without the words that were met, so that it travels to other processes."""
        return {name: value for name, value in vars(self).items() if name != "_word"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._word = lru_cache(_CACHED_WORDS)(self._encoded)

    def _encoded(self, word: str) -> tuple[int, ...]:
        letters = byte_letters()
        pieces = merged([letters[byte] for byte in word.encode()], self._ranks)
        return tuple(self._vocabulary[piece] for piece in pieces)


def merged(pieces: list[str], ranks: Mapping[tuple[str, str], int]) -> Iterator[str]:
    """Merge neighbours, the pair of the lowest rank first and of equal ones the leftmost.

    Takes n log n steps for n pieces, whatever they are.
    """
    after = list(range(1, len(pieces) + 1))
    before = list(range(-1, len(pieces) - 1))
    waiting: list[tuple[int, int, str, str]] = []

    def offer(left: int) -> None:
        right = after[left] if left >= 0 else len(pieces)
        if right < len(pieces):
            pair = (pieces[left], pieces[right])
            if pair in ranks:
                heapq.heappush(waiting, (ranks[pair], left, *pair))

    for place in range(len(pieces)):
        offer(place)
    while waiting:
        _, left, one, other = heapq.heappop(waiting)
        right = after[left]
        if pieces[left] != one or right == len(pieces) or pieces[right] != other:
            continue  # one of the two has been merged with another since
        pieces[left], pieces[right] = one + other, ""
        after[left] = after[right]
        if after[left] < len(pieces):
            before[after[left]] = left
        offer(before[left])
        offer(left)
    return (piece for piece in pieces if piece)


@cache
def byte_letters() -> tuple[str, ...]:
    """The letter that stands for each byte in the files; none is a blank or a control character.

    Bytes that print in Latin-1 stand for themselves, others for the letters from U+0100 on.

    Source: GPT-2's ``bytes_to_unicode``.
    """
    prints = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = iter(range(0x100, 0x200))
    return tuple(chr(byte if byte in prints else next(others)) for byte in range(256))


@cache
def word_pattern() -> re.Pattern[str]:
    r"""How a text is cut into words.

    Letters are Unicode's L, digits N (one a word), blanks White_Space; Python's own ``\w`` and
    ``\s`` are other sets.

    Source: Qwen2's published tokenizer.
    """
    letter, digit = _letters_and_digits()
    blank = _BLANKS
    return re.compile(
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
        rf"|[^\r\n{letter}{digit}]?[{letter}]+"
        rf"|[{digit}]"
        rf"| ?[^{blank}{letter}{digit}]+[\r\n]*"
        rf"|[{blank}]*[\r\n]+"
        rf"|[{blank}]+(?![^{blank}])"
        rf"|[{blank}]+"
    )


def _letters_and_digits() -> tuple[str, str]:
    """Unicode's categories L and N as ranges for a character class."""
    kinds = "".join(unicodedata.category(chr(point))[0] for point in range(sys.maxunicode + 1))
    return _ranges(re.finditer("L+", kinds)), _ranges(re.finditer("N+", kinds))


def _ranges(runs: Iterable[re.Match[str]]) -> str:
    return "".join(f"\\U{run.start():08x}-\\U{run.end() - 1:08x}" for run in runs)


def _read_vocabulary(path: Path) -> dict[str, int]:
    data = read_object(path)
    if not all(isinstance(i, int) and i >= 0 for i in data.values()):
        raise WeightsError(f"{path}: an id is no number; get the file again.")
    missing = sum(letter not in data for letter in byte_letters())
    if missing:
        raise WeightsError(
            f"{path}: {missing} of the 256 bytes have no id, so not every text could be read; "
            "get the file again."
        )
    return data


def _read_merges(path: Path, vocabulary: Mapping[str, int]) -> dict[tuple[str, str], int]:
    ranks: dict[tuple[str, str], int] = {}
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, ValueError) as err:
        raise WeightsError(f"{path}: is no text in UTF-8, or damaged; get it again.") from err
    for number, line in enumerate(lines):
        if not line.strip() or (number == 0 and line.startswith("#version")):
            continue
        pair = tuple(line.split())
        if len(pair) != 2:
            raise WeightsError(f"{path}: line {number + 1} is no pair ({line!r}); get it again.")
        if pair[0] + pair[1] not in vocabulary:
            raise WeightsError(
                f"{path}: line {number + 1} ({line!r}) makes a piece that is not in {VOCABULARY}; "
                "take both files from the same model."
            )
        ranks.setdefault((pair[0], pair[1]), len(ranks))
    return ranks
