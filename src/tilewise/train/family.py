"""What of a model its training data depend on, and how each family writes a sample.

A family is plain values, so it travels to processes that prepare examples.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal

from tilewise.errors import ConfigError, PromptError
from tilewise.models.internvl.config import NATIVE, OFFICIAL
from tilewise.models.internvl.config import read_config as read_internvl
from tilewise.models.internvl.model import InternVLReader
from tilewise.models.internvl.prompt import random_tokens
from tilewise.models.ixc2.config import MODEL_TYPE as IXC2_TYPE
from tilewise.models.ixc2.config import Ixc2Config
from tilewise.models.ixc2.model import Ixc2Reader
from tilewise.models.pack import IGNORE
from tilewise.models.reader import Reader
from tilewise.models.units import Image, Unit, positions
from tilewise.records import Tiles
from tilewise.shards.conversation import IMAGE, Sample
from tilewise.text.chat import segments, transcript
from tilewise.text.labels import labelled
from tilewise.text.templates import IMAGE_START, IXC2, TEMPLATES, Template
from tilewise.text.tokenizer import ByteTokenizer, Tokenizer, load_tokenizer
from tilewise.tiling.config import TilingConfig
from tilewise.tiling.layout import plan
from tilewise.weights.files import read_config

PLACE: Final = "<ImageHere>"
"""What IXC2's text has where a page goes, before it is split there."""

_PUBLISHED_HEADER: Final = 6  # ids from a question's end to its answer, in the published rule


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """What examples of a model are made with.

    ``tiling`` is how the model's pages are cut, with the model's own tile limit; ``system`` the
    text of the system turn where a sample has none of its own, None for the template's, if it has
    one. ``context``: most tokens that the model can hold. ``is_published``: what is learned of a
    conversation with a system turn is what the authors' code of IXC2 takes by mistake.
    ``is_as_asked``: ids up to an answer are those of the prompt that asks for it, which for IXC2
    are others than in the authors' training text.
    """

    kind: Literal["ixc2", "internvl"]
    tokenizer: Tokenizer
    template: Template
    tiling: TilingConfig
    context: int
    system: str | None = None
    is_published: bool = False
    is_as_asked: bool = False


def family_of(reader: Reader, *, is_published: bool = False, is_as_asked: bool = False) -> Family:
    """The family of a reader.

    Args:
        reader: the model.
        is_published, is_as_asked: as in ``Family``.

    Raises:
        ConfigError: it is of no family that is trained on conversations.
    """
    if isinstance(reader, Ixc2Reader):
        return Family(
            kind="ixc2",
            tokenizer=reader.tokenizer,
            template=IXC2,
            tiling=reader.cfg.tiling(reader.default_tiles),
            context=reader.context,
            system=reader.system if is_as_asked else None,  # the authors' training text has none
            is_published=is_published,
            is_as_asked=is_as_asked,
        )
    if isinstance(reader, InternVLReader):
        return Family(
            kind="internvl",
            tokenizer=reader.tokenizer,
            template=reader.template,
            tiling=reader.cfg.tiling(reader.default_tiles),
            context=reader.context,
            system=reader.system,
        )
    raise ConfigError(
        f"{reader.name} does not learn from conversations; models of IXC2 and InternVL do."
    )


def family_in(folder: Path) -> Family:
    """The family of the model in a folder, of which config and tokenizer are read and no weights.

    Raises:
        ConfigError: the config is of no family that is trained on conversations.
        WeightsError: no config, or no tokenizer.
    """
    data = read_config(folder)
    kind = data.get("model_type")
    if kind == IXC2_TYPE:
        ixc2 = Ixc2Config.from_json(data)
        return Family(
            kind="ixc2",
            tokenizer=load_tokenizer(folder, ixc2.decoder.vocabulary),
            template=IXC2,
            tiling=ixc2.tiling(ixc2.default_tiles),
            context=ixc2.context,
        )
    if kind in (OFFICIAL, NATIVE):
        internvl = read_internvl(data)
        template = TEMPLATES[internvl.template]
        named = random_tokens(data, internvl, template)
        return Family(
            kind="internvl",
            tokenizer=load_tokenizer(folder, internvl.decoder.vocabulary, named),
            template=template,
            tiling=internvl.tiling(internvl.max_tiles if internvl.is_dynamic else 1),
            context=internvl.context,
            system=internvl.system,
        )
    raise ConfigError(
        f"{folder}: its model_type is {kind!r}; models of IXC2 and InternVL learn from "
        "conversations."
    )


def plain_family(kind: Literal["ixc2", "internvl"]) -> Family:
    """A family of the released tiling with bytes as tokens: for counting, not for learning."""
    if kind == "ixc2":
        template, tiling = IXC2, Ixc2Config().tiling(Ixc2Config().default_tiles)
    else:
        template = TEMPLATES["Hermes-2"]
        tiling = TilingConfig(
            tile=448,
            max_tiles=12,
            has_newline=False,
            rule="nearest",
            global_place="last",
            has_ends=True,
        )
    named = {mark: 259 + n for n, mark in enumerate(template.markers)}
    tokenizer = ByteTokenizer(300, named)
    return Family(kind=kind, tokenizer=tokenizer, template=template, tiling=tiling, context=1 << 30)


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """A sample as a model runs it; ``labels`` as in ``pack.Example``."""

    units: tuple[Unit, ...]
    labels: tuple[int, ...]

    @property
    def learned(self) -> int:
        """Positions from which something is learned."""
        return sum(label != IGNORE for label in self.labels)


def write(sample: Sample, family: Family, tiles: Sequence[Tiles]) -> Written:
    """A sample with its pages as units and labels.

    Args:
        sample: of data; what is said of a video has its frames' places already.
        family: of the model.
        tiles: of its pages, in order.

    Raises:
        PromptError: a text holds one of the template's markers, or the number of places for pages
            is not theirs.
    """
    images = [_image(page, family) for page in tiles]
    if sample.is_document:
        return _document(sample, family, images)
    return WRITERS[family.kind](sample, family, images)


def _image(tiles: Tiles, family: Family) -> Image:
    cfg = replace(family.tiling, max_tiles=max(tiles.fit.grid.tiles, family.tiling.min_tiles))
    return Image(tiles=tiles, plan=plan(tiles.fit.grid, cfg))


def _internvl(sample: Sample, family: Family, images: Sequence[Image]) -> Written:
    """As ``text.labels`` has it, with each page's run of ids as the page."""
    system = family.system if sample.system is None else sample.system
    slots = [len(image.plan) - 2 for image in images]  # its two ends are ids of the text
    found = labelled(sample.turns, family.template, family.tokenizer, system, slots=slots)
    start = family.tokenizer.id_of(IMAGE_START)
    units: list[Unit] = []
    pages, at = iter(images), 0
    while at < len(found.ids):
        if images and found.ids[at] == start:
            page = next(pages)
            units.append(page)
            at += len(page.plan)
        else:
            units.append(found.ids[at])
            at += 1
    return Written(units=tuple(units), labels=found.labels)


def _ixc2(sample: Sample, family: Family, images: Sequence[Image]) -> Written:
    """Texts stripped, encoded between pages, the id that ends a text behind the last."""
    if any(PLACE in turn.text for turn in sample.turns):
        raise PromptError(f"a text holds {PLACE}, which marks where a page stands; leave it out.")
    turns = [
        replace(
            turn, text=(_placed(turn.text, family) if turn.role == "user" else turn.text).strip()
        )
        for turn in sample.turns
    ]
    system = family.system if sample.system is None else sample.system
    system = None if system is None else system.strip()
    text = transcript(turns, family.template, system)
    parts = segments(text, PLACE, family.tokenizer, "every" if family.is_as_asked else "first")
    bos = family.tokenizer.bos_id
    if family.is_as_asked and not images and bos is not None:
        parts[0].insert(0, bos)  # as ``models.ixc2.prompt.chat_ids`` has it
    parts[-1].append(family.tokenizer.eos_id)
    units = tuple(_between(parts, images))
    ids = [unit if isinstance(unit, int) else IGNORE for unit in units]
    labels = learned_ids(
        ids,
        end=_id(family, family.template.end),
        eos=family.tokenizer.eos_id,
        header=_PUBLISHED_HEADER if family.is_published else _header(family),
        has_system=system is not None and not family.is_published,
    )
    return Written(units=units, labels=tuple(_unrolled(units, labels)))


def learned_ids(
    ids: Sequence[int], *, end: int, eos: int, header: int, has_system: bool
) -> list[int]:
    """What IXC2 learns of a conversation: each answer with its end, and all behind the last.

    The line break behind an answer's end is learned behind the last answer alone, with the id that
    ends the text; nothing is learned behind that.

    Args:
        ids: of the conversation, ``IGNORE`` where pages are.
        end: id that ends a turn.
        eos: id that ends the text.
        header: how many ids there are from a question's end, which counts, to its answer.
        has_system: the first turn is the system's. Without that being known, a system turn makes
            every question pass for an answer, as in the published code.

    Returns:
        For each id itself or ``IGNORE``.

    Source: training code of InternLM-XComposer2.
    """
    labels = list(ids)
    turns = -1 if has_system else 0
    start = 0  # of what comes before the next answer
    for place, token in enumerate(ids):
        if token == end:
            if turns == -1:
                pass  # the system's turn ends; the question's end will take it in
            elif turns % 2 == 0:
                stop = min(place + header, len(ids))
                labels[start:stop] = [IGNORE] * (stop - start)
            else:
                start = place + 1
            turns += 1
        elif token == eos:
            labels[place + 1 :] = [IGNORE] * (len(ids) - place - 1)
            return labels
    if turns % 2 == 0:  # cut inside a question
        labels[start:] = [IGNORE] * (len(ids) - start)
    return labels


def _document(sample: Sample, family: Family, images: Sequence[Image]) -> Written:
    """A document from its first id to the one that ends a text, all of it learned but its pages."""
    (turn,) = sample.turns
    for marker in (*family.template.markers, *family.template.aliases):
        if marker in turn.text:
            raise PromptError(f"the document holds {marker}, a marker; leave it out.")
    parts = segments(turn.text, IMAGE, family.tokenizer, "first")
    if len(parts) != len(images) + 1:
        raise PromptError(
            f"the document has {len(parts) - 1} image placeholders and {len(images)} images."
        )
    parts[-1].append(family.tokenizer.eos_id)
    units = tuple(_between(parts, images))
    labels = [unit if isinstance(unit, int) else IGNORE for unit in units]
    if labels[0] == family.tokenizer.bos_id:
        labels[0] = IGNORE
    return Written(units=units, labels=tuple(_unrolled(units, labels)))


def _between(parts: Sequence[Sequence[int]], images: Sequence[Image]) -> Iterator[Unit]:
    """Ids with the pages between their parts."""
    if len(parts) != len(images) + 1:
        raise PromptError(
            f"the text has {len(parts) - 1} image placeholders and {len(images)} pages are given; "
            "each page needs one."
        )
    yield from parts[0]
    for image, ids in zip(images, parts[1:], strict=True):
        yield image
        yield from ids


def _unrolled(units: Sequence[Unit], labels: Sequence[int]) -> Iterator[int]:
    """A label for each position, given one for each unit."""
    for unit, label in zip(units, labels, strict=True):
        yield from [label] * positions([unit])


def _placed(text: str, family: Family) -> str:
    """A question with the places of its pages; one that is asked has no line break behind them."""
    return (text.replace(f"{IMAGE}\n", IMAGE) if family.is_as_asked else text).replace(IMAGE, PLACE)


def _header(family: Family) -> int:
    """Ids from a question's end, which counts, to its answer."""
    template = family.template
    return len(family.tokenizer.encode(template.separator + template.assistant, bos=False))


def _id(family: Family, piece: str) -> int:
    found = family.tokenizer.id_of(piece)
    if found is None:
        raise ConfigError(
            f"the tokenizer does not know {piece}, which ends a turn; use that of the model."
        )
    return found


WRITERS: Final = {"ixc2": _ixc2, "internvl": _internvl}
"""How a conversation is written, by ``Family.kind``."""
