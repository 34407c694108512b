"""A sample of data → an example to learn from: pages cut, texts as ids, and what is learned."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from tilewise.errors import ConfigError, PromptError, SourceError
from tilewise.models.pack import Example
from tilewise.records import Page, Tiles, Turn
from tilewise.shards.conversation import IMAGE, VIDEO, Bad, BadError, ImageRef, Reason, Sample
from tilewise.tiling.grid import training_tiles
from tilewise.tiling.partition import cut
from tilewise.train.augment import degraded, drawn_limit
from tilewise.train.family import Family, Written, write
from tilewise.train.video import drawn_frames


@dataclass(frozen=True, slots=True, kw_only=True)
class ExampleConfig:
    """How samples become examples.

    ``max_tiles``: of a sample; several images share it. ``max_tokens``: a longer sample is bad.
    ``is_scaled``: each page is put on its grid at a size drawn between its own and the largest
    (``augment.drawn_limit``). ``is_augmented``: tiles go through JPEG. ``frames``: fewest and most
    frames of a video, of which one tile each is looked at.
    """

    max_tiles: int
    max_tokens: int
    is_scaled: bool = False
    is_augmented: bool = False
    frames: tuple[int, int] = (8, 32)

    def __post_init__(self) -> None:
        for name in ("max_tiles", "max_tokens"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}; give 1 or more.")
        if not 1 <= self.frames[0] <= self.frames[1]:
            raise ConfigError(
                f"frames is {self.frames}; the fewest, from 1 up, and the most are needed."
            )


def example_of(
    sample: Sample, family: Family, cfg: ExampleConfig, key: tuple[int, ...] = (0,)
) -> Example | Bad:
    """Make an example of a sample.

    Args:
        sample: of data.
        family: of the model.
        cfg: tile limit and the rest.
        key: of all that is drawn; the same key gives the same example.

    Returns:
        The example, or why there is none: an image that is missing or damaged, more tokens than
        ``cfg.max_tokens``, a text that holds a marker, or nothing in it to learn. A sample that is
        too long is never cut.
    """
    try:
        if sample.is_video:
            sample, pages = _filmed(sample, cfg, key)
        else:
            pages = [_page(image) for image in sample.images]
        if cfg.is_scaled and family.tiling.rule != "hd":
            raise ConfigError(
                f"is_scaled is set, and pages of {family.kind} are stretched over their grid "
                "whatever their size; leave it out."
            )
        limit = training_tiles(cfg.max_tiles, len(pages))
        tiles = [_cut(page, family, cfg, limit, (*key, n)) for n, page in enumerate(pages)]
        written = _written(sample, family, tiles)
        _check(written, cfg)
    except BadError as err:
        return Bad(sample.where, err.reason, err.detail)
    return Example(units=written.units, labels=written.labels, id=sample.where)


def _page(image: ImageRef) -> Page:
    if not image.is_there:
        raise BadError("missing image", f"{image.path} does not exist")
    try:
        return image.page()
    except SourceError as err:
        raise BadError("damaged image", str(err)) from err


def _filmed(
    sample: Sample, cfg: ExampleConfig, key: tuple[int, ...]
) -> tuple[Sample, Sequence[Page]]:
    """A sample with the frames of its video as pages, each with its line in the question.

    Source: InternVL's training code, which writes frames with a hyphen.
    """
    (video,) = sample.images
    if not video.is_there:
        raise BadError("missing image", f"{video.path} does not exist")
    try:
        frames = drawn_frames(video, cfg.frames, key)
    except SourceError as err:
        raise BadError("damaged image", str(err)) from err
    lines = "".join(f"Frame-{n}: {IMAGE}\n" for n in range(1, len(frames) + 1))
    turns = []
    for turn in sample.turns:
        text = turn.text
        if turn.role == "user":
            text = text.replace(VIDEO + "\n", VIDEO).replace(VIDEO, lines)
        turns.append(Turn(role=turn.role, text=text))
    return replace(sample, turns=tuple(turns)), frames


def _cut(page: Page, family: Family, cfg: ExampleConfig, limit: int, key: tuple[int, ...]) -> Tiles:
    tiling = replace(family.tiling, max_tiles=max(limit, family.tiling.min_tiles))
    if cfg.is_scaled:
        tiling = replace(tiling, max_tiles=drawn_limit(page.width, page.height, tiling, *key))
    tiles = cut(page, tiling)
    return degraded(tiles, *key) if cfg.is_augmented else tiles


def _written(sample: Sample, family: Family, tiles: Sequence[Tiles]) -> Written:
    try:
        return write(sample, family, tiles)
    except PromptError as err:
        reason: Reason = (
            "wrong placeholder count" if "placeholder" in str(err) else "marker in text"
        )
        raise BadError(reason, str(err)) from err


def _check(written: Written, cfg: ExampleConfig) -> None:
    length = len(written.labels)
    if length > cfg.max_tokens:
        raise BadError("too long", f"it takes {length} tokens, {cfg.max_tokens} are allowed")
    if not written.learned:
        raise BadError("nothing to learn", "no token of it is learned")
