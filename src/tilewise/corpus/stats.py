"""Exact counts of a stage: what went in is what was kept, dropped, or removed inside what was kept.

Counts of shards add up to those of a stage in any order.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tilewise.errors import DataError
from tilewise.records import Document, Dropped

TOKENS: Final = "words between spaces; each ideograph, kana and Thai letter by itself"
"""How tokens are counted, as it stands in the output's metadata."""

MEASURES: Final = ("documents", "images", "tokens")
"""What is counted of every stage."""

_UNSPACED: Final = (
    range(0x0E01, 0x0E4F), range(0x3040, 0x3100), range(0x3400, 0xA000), range(0xF900, 0xFB00),
    range(0x20000, 0x40000),
)  # fmt: skip
"""Letters of scripts that put no spaces between words."""

_SPACE, _LETTER, _OTHER = range(3)


def _kinds() -> NDArray[np.uint8]:
    """What each character is for counting; those beyond the last are as the last."""
    kinds = np.full(0x40001, _OTHER, dtype=np.uint8)
    for letters in _UNSPACED:
        kinds[letters.start : letters.stop] = _LETTER
    kinds[[sign for sign in range(0x3001) if chr(sign).isspace()]] = _SPACE
    return kinds


_KINDS: Final = _kinds()
_ASCII_KINDS: Final = _KINDS[:256].tobytes()

_LINEAR: Final = 50
"""Bins of a histogram between 0 and 1."""

_OCTAVE: Final = 8
"""Bins of a histogram for each doubling from 1 up."""


def count_tokens(document: Document) -> int:
    """Tokens of a document's text, counted as ``TOKENS`` says."""
    text = "\n".join([block.text for block in document.blocks if block.text])
    if text.isascii():
        kinds = np.frombuffer(text.encode().translate(_ASCII_KINDS), dtype=np.uint8)
    else:
        signs = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
        kinds = _KINDS.take(signs, mode="clip")
    others = kinds == _OTHER
    begun = np.count_nonzero(others[1:] > others[:-1]) + np.count_nonzero(others[:1])
    return int(begun + np.count_nonzero(kinds == _LETTER))


@dataclass(slots=True)
class Sums:
    """Documents, the images in them that no filter has removed, and tokens of their text."""

    documents: int = 0
    images: int = 0
    tokens: int = 0

    def add(self, other: Sums) -> None:
        """Add others to these."""
        self.documents += other.documents
        self.images += other.images
        self.tokens += other.tokens

    def plain(self) -> list[int]:
        """As JSON has them."""
        return [self.documents, self.images, self.tokens]


def sums_of(document: Document) -> Sums:
    """What one document counts."""
    images = sum(image.dropped is None for image in document.images)
    return Sums(1, images, count_tokens(document))


@dataclass(slots=True)
class Tally:
    """Counts of a stage, of one shard or of all.

    ``removed``: images and tokens that edits took out of documents that were kept. ``reasons``:
    what was dropped, by reason. ``images``: images that filters
    removed, by reason, those of dropped documents too. ``broken``: records that
    could not be read, by reason. ``bins``: for each measured value the numbers of kept and dropped
    documents by bin (see ``bin_of``). ``of``: kept documents by language, licence and domain.
    """

    taken: Sums = field(default_factory=Sums)
    kept: Sums = field(default_factory=Sums)
    removed: Sums = field(default_factory=Sums)
    reasons: dict[str, Sums] = field(default_factory=dict)
    images: Counter[str] = field(default_factory=Counter)
    broken: Counter[str] = field(default_factory=Counter)
    bins: dict[str, dict[int, list[int]]] = field(default_factory=dict)
    of: dict[str, Counter[str]] = field(default_factory=dict)

    def keep(self, before: Document | None, after: Document) -> None:
        """Count a document that stays, as it came (None: it comes into being here) and goes."""
        goes = sums_of(after)
        same = before is not None and before.blocks is after.blocks
        came = goes if before is None or same else sums_of(before)
        self.taken.add(came)
        self.kept.add(goes)
        self.removed.add(Sums(0, came.images - goes.images, came.tokens - goes.tokens))
        if not same:
            self.images.update(_newly_dropped(before, after))
        self._measure(before, after, is_kept=True)

    def drop(self, before: Document | None, dropped: Dropped) -> None:
        """Count a document that is dropped; without ``before`` it counts as it was extracted."""
        whole = before or dropped.document
        came = Sums(1) if whole is None else sums_of(whole)
        self.taken.add(came)
        self.reasons.setdefault(dropped.reason, Sums()).add(came)
        if dropped.document is not None:
            self.images.update(_newly_dropped(before, dropped.document))
            self._measure(before, dropped.document, is_kept=False)

    def page(self) -> None:
        """Count a page that is passed on to be extracted."""
        self.taken.documents += 1
        self.kept.documents += 1

    def describe(self, name: str, value: str) -> None:
        """Count a kept document under a value, such as its language."""
        self.of.setdefault(name, Counter())[value] += 1

    def add(self, other: Tally) -> None:
        """Add another's counts to these."""
        self.taken.add(other.taken)
        self.kept.add(other.kept)
        self.removed.add(other.removed)
        for reason, sums in other.reasons.items():
            self.reasons.setdefault(reason, Sums()).add(sums)
        self.images.update(other.images)
        self.broken.update(other.broken)
        for name, bins in other.bins.items():
            own = self.bins.setdefault(name, {})
            for place, (kept, dropped) in bins.items():
                have = own.setdefault(place, [0, 0])
                have[0] += kept
                have[1] += dropped
        for name, counts in other.of.items():
            self.of.setdefault(name, Counter()).update(counts)

    @property
    def dropped(self) -> Sums:
        """All that was dropped."""
        found = Sums()
        for sums in self.reasons.values():
            found.add(sums)
        return found

    def check(
        self, where: str, before: Tally | None = None, compared: Sequence[str] = MEASURES
    ) -> None:
        """See that the counts add up, and that all that the stage before kept came in.

        Args:
            where: names the counts for messages.
            before: counts of the stage before.
            compared: what is compared with them.

        Raises:
            DataError: they do not.
        """
        dropped = self.dropped.plain()
        kept, removed = self.kept.plain(), self.removed.plain()
        for i, (name, came) in enumerate(zip(MEASURES, self.taken.plain(), strict=True)):
            if came != kept[i] + dropped[i] + removed[i]:
                raise DataError(
                    f"{where}: {came:,} {name} came in, but {kept[i]:,} kept, {dropped[i]:,} "
                    f"dropped and {removed[i]:,} removed do not make as many; report this."
                )
            if before and name in compared and came != before.kept.plain()[i]:
                raise DataError(
                    f"{where}: {came:,} {name} came in, but the stage before kept "
                    f"{before.kept.plain()[i]:,}; run tilewise corpus verify, then build again."
                )

    def plain(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "taken": self.taken.plain(),
            "kept": self.kept.plain(),
            "removed": self.removed.plain(),
            "reasons": {name: self.reasons[name].plain() for name in sorted(self.reasons)},
            "images": dict(sorted(self.images.items())),
            "broken": dict(sorted(self.broken.items())),
            "bins": {
                name: {str(place): bins[place] for place in sorted(bins)}
                for name, bins in sorted(self.bins.items())
            },
            "of": {name: dict(sorted(counts.items())) for name, counts in sorted(self.of.items())},
        }

    def _measure(self, before: Document | None, after: Document, *, is_kept: bool) -> None:
        """Put what this stage measured into bins."""
        known = before.scores if before is not None else {}
        column = 0 if is_kept else 1
        for name, value in after.scores.items():
            if value is None or name in known or not math.isfinite(value):
                continue
            bins, place = self.bins.setdefault(name, {}), bin_of(value)
            if place in bins:
                bins[place][column] += 1
            else:
                bins[place] = [1, 0] if is_kept else [0, 1]


def tally_of(row: Mapping[str, Any]) -> Tally:
    """The counts that ``Tally.plain`` gave."""
    return Tally(
        taken=Sums(*row["taken"]),
        kept=Sums(*row["kept"]),
        removed=Sums(*row["removed"]),
        reasons={name: Sums(*sums) for name, sums in row["reasons"].items()},
        images=Counter(row["images"]),
        broken=Counter(row["broken"]),
        bins={
            name: {int(place): list(both) for place, both in bins.items()}
            for name, bins in row["bins"].items()
        },
        of={name: Counter(counts) for name, counts in row["of"].items()},
    )


def total(tallies: Iterable[Tally]) -> Tally:
    """All counts together."""
    found = Tally()
    for tally in tallies:
        found.add(tally)
    return found


def bin_of(value: float) -> int:
    """The bin of a value: fifty between 0 and 1, then eight for each doubling, below 0 likewise.

    Bins need no knowledge of what is measured, so those of all shards add up.
    """
    if value < 0:
        return -1 - bin_of(-value)
    if value < 1:
        return int(value * _LINEAR)
    return _LINEAR + int(math.log2(value) * _OCTAVE)


def bin_start(place: int) -> float:
    """The least value of a bin; below 0 the one nearest to 0."""
    if place < 0:
        return -bin_start(-1 - place)
    if place < _LINEAR:
        return place / _LINEAR
    return float(2 ** ((place - _LINEAR) / _OCTAVE))


def _newly_dropped(before: Document | None, after: Document) -> list[str]:
    """Why images of a document that is kept were removed at this stage."""
    known = Counter(i.dropped for i in before.images if i.dropped) if before is not None else {}
    now = Counter(image.dropped for image in after.images if image.dropped is not None)
    return list((now - Counter(known)).elements())
