"""Pictures for people: how a page is cut, and where an answer stands on it."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from tilewise.records import IMAGE_END, IMAGE_START, Box, Evidence, Fit, Page, Pixels, Plan, Tiles
from tilewise.tiling.partition import small_view

LONG_SIDE = 2000
"""Pictures stay within this many pixels on their long side."""

Colour = tuple[int, int, int]
Facts = Sequence[tuple[str, str]]

PAPER: Colour = (247, 248, 250)
INK: Colour = (24, 28, 38)
QUIET: Colour = (104, 112, 128)
RULE: Colour = (216, 220, 228)
ACCENT: Colour = (37, 84, 214)
WHITE: Colour = (255, 255, 255)
HATCH: tuple[Colour, Colour] = ((232, 238, 252), (196, 209, 243))
MARKS: tuple[Colour, ...] = (
    (214, 72, 28),
    (37, 84, 214),
    (18, 128, 92),
    (142, 52, 176),
    (176, 112, 0),
)

MARGIN = 40
SIDEBAR = 420
CANVAS_SIDE = 1400  # long side of the drawn canvas, small pages are enlarged to SMALL_SIDE
SMALL_SIDE = 900
LABEL_ROOM = (480, 160)
DRAWABLE = frozenset(map(chr, range(32, 127))) | frozenset("©«°±´·»‘’“”…‹›⁄™")  # by the font
AIR = 5  # between a marked text and its frame


def draw_tiles(page: Page, tiles: Tiles, plan: Plan, facts: Facts = ()) -> Image.Image:
    """Draw a page as its reader gets it: grid, padding, tile numbers and the global view.

    Args:
        page: the page, for its name and number.
        tiles: its tiles, from ``cut``.
        plan: its image sequence, from ``layout.plan``.
        facts: more lines for the caption as (name, value), such as memory and seconds.

    Returns:
        An RGB picture, at most ``LONG_SIDE`` pixels on its long side.
    """
    fit = tiles.fit
    scale = _scale(fit.canvas_width, fit.canvas_height, CANVAS_SIDE)
    canvas = _canvas(tiles, scale)
    lines = [*_counts(page, fit, plan), *facts]
    view = tiles.whole
    if view is None and plan.has_global:
        view = small_view(tiles.canvas, fit.tile)
    note = "Global view: the whole page in one tile"
    if tiles.whole is not None:
        note += ", read last"
    is_wide = canvas.width > 2 * canvas.height
    aside = _sidebar(view, note, lines, is_wide=is_wide)
    noun = "frame" if page.is_frame else "page"
    title = page.name if page.total == 1 else f"{page.name}, {noun} {page.number} of {page.total}"
    return _compose(title, canvas, aside, is_wide=is_wide)


def read_at(page: Page, fit: Fit) -> str:
    """At how many pixels a page is read, and whether its shape changes."""
    if (fit.width, fit.height) == (page.width, page.height):
        return "its own pixels"
    change = abs(fit.width * page.height - fit.height * page.width)
    is_stretched = change > max(page.width, page.height)  # else it is a rounded pixel
    return f"{fit.width} x {fit.height} px{', stretched' if is_stretched else ''}"


def made_small(picture: Image.Image, long_side: int) -> Image.Image:
    """A picture of at most ``long_side`` pixels on its long side, in 256 colours."""
    small = picture.copy()
    small.thumbnail((long_side, long_side), Image.Resampling.LANCZOS)
    return small.quantize(256, dither=Image.Dither.NONE)


def draw_evidence(page: Page, evidence: Sequence[Evidence]) -> Image.Image:
    """Mark on a page where an answer stands, each box with its text.

    Args:
        page: the page that the boxes belong to.
        evidence: boxes in pixels of that page; their ``page`` numbers are not looked at. A text
            without a letter or digit that can be drawn, such as one in Chinese, leaves its number
            alone.

    Returns:
        The page in RGB, at most ``LONG_SIDE`` pixels on its long side.
    """
    scale = _scale(page.width, page.height, LONG_SIDE)
    image, corner = _with_room(_scaled(page.pixels, scale))
    boxes = [_marked_box(item.box, scale, corner, image.size) for item in evidence]
    image = _dimmed(image, boxes)
    draw = ImageDraw.Draw(image)
    size = _clamp(round(max(image.size) / 60), 14, 28)
    taken = list(boxes)
    for number, (item, box) in enumerate(zip(evidence, boxes, strict=True)):
        colour = MARKS[number % len(MARKS)]
        width = max(2, size // 7)
        draw.rounded_rectangle(box, radius=2 * width, outline=colour, width=width)
        name = item.text if _is_told(_bare(item.text)) else ""
        label = name if len(evidence) == 1 and name else f"{number + 1}  {name}".rstrip()
        _label(draw, label, box, colour, size, taken)
    return image


def _is_told(text: str) -> bool:
    """Whether the font has any of a text's letters and digits, or of its signs if it has none."""
    letters = [sign for sign in text if sign.isalnum()] or text.split()
    return not DRAWABLE.isdisjoint("".join(letters))


def _scale(width: int, height: int, limit: int) -> float:
    """Factor that brings a picture within the limit, or a small one up to be legible."""
    long = max(width, height)
    return limit / long if long > limit else max(1.0, SMALL_SIDE / long)


def _scaled(pixels: Pixels, scale: float) -> Image.Image:
    """Resize for display only; at least one pixel each way."""
    height, width = pixels.shape[:2]
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)


def _canvas(tiles: Tiles, scale: float) -> Image.Image:
    """Draw the canvas with hatched padding, grid lines and tile numbers."""
    fit = tiles.fit
    image = _scaled(tiles.canvas, scale)
    page_box = tuple(
        round(edge * scale)
        for edge in (fit.left, fit.top, fit.left + fit.width, fit.top + fit.height)
    )
    is_padding = np.full((image.height, image.width), 255, np.uint8)
    is_padding[page_box[1] : page_box[3], page_box[0] : page_box[2]] = 0
    image.paste(_hatch(*image.size), mask=Image.fromarray(is_padding))
    draw = ImageDraw.Draw(image, "RGBA")
    side = fit.tile * scale
    for col in range(1, fit.grid.cols):
        _grid_line(draw, (round(col * side), 0, round(col * side), image.height))
    for row in range(1, fit.grid.rows):
        _grid_line(draw, (0, round(row * side), image.width, round(row * side)))
    size = _clamp(round(side / 10), 9, 24)
    for number in range(fit.grid.tiles):
        row, col = divmod(number, fit.grid.cols)
        _badge(draw, str(number + 1), (col * side, row * side), size)
    draw.rectangle((0, 0, image.width - 1, image.height - 1), outline=ACCENT, width=2)
    return image


def _hatch(width: int, height: int) -> Image.Image:
    """Diagonal stripes."""
    across, down = np.arange(width)[None, :], np.arange(height)[:, None]
    stripe: NDArray[np.intp] = ((across + down) % 14 < 4).astype(np.intp)
    return Image.fromarray(np.array(HATCH, np.uint8)[stripe])


def _grid_line(draw: ImageDraw.ImageDraw, line: tuple[int, int, int, int]) -> None:
    """Draw a line that stands out on light and on dark pages."""
    draw.line(line, fill=(*WHITE, 190), width=4)
    draw.line(line, fill=(*ACCENT, 255), width=2)


def _badge(draw: ImageDraw.ImageDraw, text: str, corner: tuple[float, float], size: int) -> None:
    """Write a tile's number into its top left corner."""
    font = _font(size)
    left, top = corner[0] + size * 0.4, corner[1] + size * 0.4
    width, height = max(font.getlength(text) + size * 0.7, size * 1.4), size * 1.4
    box = (left, top, left + width, top + height)
    draw.rounded_rectangle(box, radius=size * 0.35, fill=(*ACCENT, 225))
    draw.text((left + width / 2, top + height / 2), text, WHITE, font, anchor="mm")


def _counts(page: Page, fit: Fit, plan: Plan) -> list[tuple[str, str]]:
    """The caption's own lines: sizes, grid and tokens."""
    views = fit.grid.tiles + int(plan.has_global)
    ends = int(np.isin(plan.entries, (IMAGE_START, IMAGE_END)).sum())
    separators = len(plan) - ends - views * plan.tokens_per_tile
    parts = [f"{views} {'view' if views == 1 else 'views'} x {plan.tokens_per_tile}"]
    if separators or not ends:
        parts.append(f"{separators} separators")
    if ends:
        parts.append(f"{ends} at the ends")
    noun = "tile" if fit.grid.tiles == 1 else "tiles"
    return [
        ("Page", f"{page.width} x {page.height} px"),
        ("Read at", read_at(page, fit)),
        ("Grid", f"{fit.grid.cols} x {fit.grid.rows} = {fit.grid.tiles} {noun} of {fit.tile} px"),
        ("Tokens", f"{len(plan):,}"),
        ("", ", ".join(parts)),
    ]


def _sidebar(view: Pixels | None, note: str, lines: Facts, *, is_wide: bool) -> Image.Image:
    """Draw the global view with the caption below it, or beside it where there is width."""
    caption = _caption(lines)
    if view is None:
        return caption
    shown = Image.fromarray(view).resize((SIDEBAR, SIDEBAR), Image.Resampling.LANCZOS)
    ImageDraw.Draw(shown).rectangle((0, 0, SIDEBAR - 1, SIDEBAR - 1), outline=ACCENT, width=2)
    framed = Image.new("RGB", (SIDEBAR, SIDEBAR + 34), PAPER)
    framed.paste(shown)
    ImageDraw.Draw(framed).text((0, SIDEBAR + 24), note, QUIET, _font(18), anchor="ls")
    if is_wide:
        size = (2 * SIDEBAR + MARGIN, max(framed.height, caption.height))
        corner = (SIDEBAR + MARGIN, 0)
    else:
        corner = (0, framed.height + MARGIN // 2)
        size = (SIDEBAR, corner[1] + caption.height)
    out = Image.new("RGB", size, PAPER)
    out.paste(framed)
    out.paste(caption, corner)
    return out


def _caption(lines: Facts) -> Image.Image:
    """Write names on the left and values on the right, a thin rule between lines."""
    step = 38
    image = Image.new("RGB", (SIDEBAR, step * len(lines) + 8), PAPER)
    draw = ImageDraw.Draw(image)
    for number, (name, value) in enumerate(lines):
        y = number * step
        if name and number:
            draw.line((0, y, SIDEBAR, y), fill=RULE, width=1)
        draw.text((0, y + 26), name, QUIET, _font(20), anchor="ls")
        font = _font(21 if name else 18)
        text = _shortened(value, font, SIDEBAR - 96)
        draw.text((SIDEBAR, y + 26), text, INK if name else QUIET, font, anchor="rs")
    return image


def _compose(title: str, canvas: Image.Image, aside: Image.Image, *, is_wide: bool) -> Image.Image:
    """Put title, canvas and sidebar on one sheet."""
    top = MARGIN + 34
    if is_wide:
        corner = (MARGIN, top + canvas.height + MARGIN)
        right = max(canvas.width, aside.width) + MARGIN
    else:
        corner = (MARGIN + canvas.width + MARGIN, top)
        right = corner[0] + aside.width
    bottom = max(top + canvas.height, corner[1] + aside.height)
    sheet = Image.new("RGB", (right + MARGIN, bottom + MARGIN), PAPER)
    font = _font(24)
    text = _shortened(title, font, right - MARGIN)
    ImageDraw.Draw(sheet).text((MARGIN, top - 14), text, INK, font, anchor="ls")
    sheet.paste(canvas, (MARGIN, top))
    sheet.paste(aside, corner)
    sheet.thumbnail((LONG_SIDE, LONG_SIDE), Image.Resampling.LANCZOS)  # only with many facts
    return sheet


def _with_room(image: Image.Image) -> tuple[Image.Image, tuple[int, int]]:
    """Widen a picture too narrow for a label; return it and where the page now begins."""
    size = (max(image.width, LABEL_ROOM[0]), max(image.height, LABEL_ROOM[1]))
    corner = ((size[0] - image.width) // 2, (size[1] - image.height) // 2)
    sheet = Image.new("RGB", size, RULE)
    sheet.paste(image, corner)
    return sheet, corner


def _marked_box(box: Box, scale: float, corner: tuple[int, int], size: tuple[int, int]) -> Box:
    """Carry a box to the picture, with some air around it but inside the picture."""
    left = max(box.left * scale + corner[0] - AIR, 0.0)
    top = max(box.top * scale + corner[1] - AIR, 0.0)
    right = min(box.right * scale + corner[0] + AIR, size[0] - 1.0)
    bottom = min(box.bottom * scale + corner[1] + AIR, size[1] - 1.0)
    return Box(left, top, max(right, left), max(bottom, top))


def _dimmed(image: Image.Image, boxes: Sequence[Box]) -> Image.Image:
    """Fade the page a little, save for the boxes."""
    if not boxes:
        return image
    mask = Image.new("L", image.size, 70)
    draw = ImageDraw.Draw(mask)
    for box in boxes:
        draw.rectangle(box, fill=0)
    return Image.composite(Image.new("RGB", image.size, (240, 242, 247)), image, mask)


def _label(
    draw: ImageDraw.ImageDraw,
    text: str,
    box: Box,
    colour: Colour,
    size: int,
    taken: list[Box],
) -> None:
    """Write a label above its box, or where there is room next to it."""
    picture = draw.im.size
    font = _font(size)
    text = _shortened(text, font, min(picture[0] - size, size * 24))
    width, height = font.getlength(text) + size * 0.8, size * 1.5
    gap = size / 4
    left = max(0.0, min(box.left, picture[0] - width))
    corners = [
        (left, box.top - gap - height),
        (left, box.bottom + gap),
        (box.right + gap, box.top),
        (box.left - gap - width, box.top),
        (left, 0.0),
    ]
    places = [Box(x, y, x + width, y + height) for x, y in corners]
    inside = [place for place in places if _is_inside(place, picture)] or places[-1:]
    place = next((p for p in inside if not any(_overlap(p, t) for t in taken)), inside[0])
    taken.append(place)
    draw.rounded_rectangle(place, radius=size * 0.3, fill=colour)
    draw.text((place.left + size * 0.4, place.top + height / 2), text, WHITE, font, anchor="lm")


def _is_inside(box: Box, size: tuple[int, int]) -> bool:
    return min(box) >= 0 and box.right <= size[0] and box.bottom <= size[1]


def _overlap(one: Box, two: Box) -> bool:
    is_beside = one.right <= two.left or two.right <= one.left
    return not (is_beside or one.bottom <= two.top or two.bottom <= one.top)


def _shortened(text: str, font: ImageFont.FreeTypeFont, width: float) -> str:
    """Bring a text into one line that the font can draw, cut with dots where it is too wide.

    Accents are dropped and other letters that Pillow's font lacks become question marks.
    """
    text = "".join(letter if letter in DRAWABLE else "?" for letter in _bare(text))
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "…") > width:
        text = text[:-1]
    return text.rstrip() + "…"


def _bare(text: str) -> str:
    """A text in one line and without its accents."""
    parts = unicodedata.normalize("NFKD", " ".join(text.split()))
    return "".join(letter for letter in parts if not unicodedata.combining(letter))


def _font(size: int) -> ImageFont.FreeTypeFont:
    """Pillow's own scalable font."""
    font = ImageFont.load_default(size)
    assert isinstance(font, ImageFont.FreeTypeFont)
    return font


def _clamp(value: int, low: int, high: int) -> int:
    return min(max(value, low), high)
