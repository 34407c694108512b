"""What a file is, told from its first bytes; names and extensions are not trusted."""

from __future__ import annotations

from typing import Final

HEAD_BYTES: Final = 4096
"""How much of the start of a file ``kind_of`` wants to see."""

_SIGNATURES: Final[dict[str, tuple[tuple[int, bytes], ...]]] = {
    # kind: any of (offset, bytes); the more telling kinds first
    "PNG": ((0, b"\x89PNG\r\n\x1a\n"),),
    "JPEG": ((0, b"\xff\xd8\xff"),),
    "GIF": ((0, b"GIF87a"), (0, b"GIF89a")),
    "TIFF": ((0, b"II*\0"), (0, b"MM\0*"), (0, b"II+\0"), (0, b"MM\0+")),
    "WebP": ((8, b"WEBP"),),
    "PDF": ((0, b"%PDF-"),),
    "a JPEG 2000 image": ((0, b"\0\0\0\x0cjP  "), (0, b"\xff\x4f\xff\x51")),
    "a JPEG XL image": ((0, b"\xff\x0a"), (0, b"\0\0\0\x0cJXL ")),
    "a Photoshop image": ((0, b"8BPS"),),
    "a DjVu document": ((0, b"AT&TFORM"),),
    "a PostScript document": ((0, b"%!PS"), (0, b"\xc5\xd0\xd3\xc6")),
    "an RTF document": ((0, b"{\\rtf"),),
    "an old Office document (doc, xls or ppt)": ((0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"),),
    "a gzip archive": ((0, b"\x1f\x8b"),),
    "a bzip2 archive": ((0, b"BZh"),),
    "an xz archive": ((0, b"\xfd7zXZ\0"),),
    "a Zstandard archive": ((0, b"\x28\xb5\x2f\xfd"),),
    "a 7z archive": ((0, b"7z\xbc\xaf\x27\x1c"),),
    "a RAR archive": ((0, b"Rar!\x1a\x07"),),
    "a tar archive": ((257, b"ustar"),),
    "a program": ((0, b"\x7fELF"), (0, b"MZ")),
    "an SQLite database": ((0, b"SQLite format 3\0"),),
    "sound or video": ((0, b"ID3"), (0, b"OggS"), (0, b"RIFF"), (0, b"\x1a\x45\xdf\xa3")),
    "an icon": ((0, b"\0\0\x01\0"),),
}

_ZIPPED: Final = {
    b"word/": "a Word document (docx)",
    b"xl/": "an Excel workbook (xlsx)",
    b"ppt/": "PowerPoint slides (pptx)",
    b"mimetypeapplication/vnd.oasis.opendocument": "an OpenDocument file",
    b"mimetypeapplication/epub": "an EPUB book",
}

_MARKUP: Final = {
    b"<!doctype html": "an HTML page",
    b"<html": "an HTML page",
    b"<svg": "an SVG drawing",
    b"<?xml": "an XML file",
}


def kind_of(head: bytes) -> str:
    """Name the kind of a file from its first ``HEAD_BYTES`` bytes.

    Returns:
        A key of ``pages.OPENERS`` for what tilewise reads ("PNG", "PDF", ...), else words that
        name what was found and go on from "it is".
    """
    if not head:
        return "an empty file"
    for kind, marks in _SIGNATURES.items():
        if any(head.startswith(mark, offset) for offset, mark in marks):
            return kind
    if head[4:8] == b"ftyp":
        return _boxed(head)
    if head.startswith(b"PK\x03\x04"):
        return next((kind for mark, kind in _ZIPPED.items() if mark in head), "a zip archive")
    if head.startswith(b"BM") and head[14:18] in _BMP_HEADERS:
        return "BMP"
    if b"%PDF-" in head[:1024]:  # readers allow junk before the header
        return "PDF"
    return _text_kind(head)


_BMP_HEADERS: Final = frozenset(n.to_bytes(4, "little") for n in (12, 16, 40, 52, 56, 64, 108, 124))


def _boxed(head: bytes) -> str:
    """Files of ISO boxes tell their kind by brands in the first box."""
    brands = head[8 : max(16, min(int.from_bytes(head[:4], "big"), 512))]
    if b"avif" in brands or b"avis" in brands:
        return "AVIF"
    if any(brand in brands for brand in (b"heic", b"heix", b"mif1", b"heim")):
        return "a HEIC image"
    return "sound or video"


def _text_kind(head: bytes) -> str:
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    lower = text[:1024].lower()
    for mark, kind in _MARKUP.items():
        if lower.startswith(mark):
            is_svg = kind == "an XML file" and b"<svg" in lower
            return "an SVG drawing" if is_svg else kind
    is_utf_16 = head.startswith((b"\xff\xfe", b"\xfe\xff"))
    if is_utf_16 or all(byte >= 32 or byte in b"\t\n\r\f" for byte in head):
        return "plain text"
    return f"of an unknown kind (it starts with the bytes {head[:8].hex(' ')})"
