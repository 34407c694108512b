"""What a file is, told from its first bytes; names and extensions are not trusted."""

from __future__ import annotations

import re
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
    "DjVu": ((0, b"AT&TFORM"),),
    "a PostScript document": ((0, b"%!PS"), (0, b"\xc5\xd0\xd3\xc6")),
    "RTF": ((0, b"{\\rtf"),),
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
    "AVI": ((8, b"AVI "),),
    "Matroska": ((0, b"\x1a\x45\xdf\xa3"),),
    "sound or video": ((0, b"ID3"), (0, b"OggS"), (0, b"RIFF")),
    "an icon": ((0, b"\0\0\x01\0"),),
}

_ZIPPED: Final = {
    b"word/": "a damaged Word document (docx)",
    b"xl/": "a damaged Excel workbook (xlsx)",
    b"ppt/": "damaged PowerPoint slides (pptx)",
    b"mimetypeapplication/vnd.oasis.opendocument": "an OpenDocument file",
    b"mimetypeapplication/epub": "an EPUB book",
}

_HTML: Final = (
    # what a page of HTML may start with, each followed by a space or ">" (WHATWG MIME Sniffing,
    # section 7.1); a comment may be followed by anything
    "!doctype html", "html", "head", "script", "iframe", "h1", "div", "font", "table", "a", "style",
    "title", "b", "body", "br", "p", "meta",
)  # fmt: skip
_HTML_START: Final = re.compile(rf"<(?:{'|'.join(_HTML)})[\s>]".encode(), re.IGNORECASE)
_COMMENTS: Final = re.compile(rb"\A(?:\s*<!--.*?-->)*\s*", re.DOTALL)
_MHTML: Final = re.compile(rb"^content-type:\s*multipart/related", re.IGNORECASE | re.MULTILINE)
_MAIL_FIELD: Final = re.compile(rb"[a-z-]{2,40}:[ \t]", re.IGNORECASE)

_MARKUP: Final = {
    b"<svg": "SVG",
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
            return "WebM" if kind == "Matroska" and b"webm" in head[:64] else kind
    if head[4:8] == b"ftyp":
        return _boxed(head)
    if head[4:8] in _QUICKTIME and head[8:9]:
        return "QuickTime"
    if head.startswith(b"PK\x03\x04"):
        return next((kind for mark, kind in _ZIPPED.items() if mark in head), "a zip archive")
    if head.startswith(b"BM") and head[14:18] in _BMP_HEADERS:
        return "BMP"
    if b"%PDF-" in head[:1024]:  # readers allow junk before the header
        return "PDF"
    return _text_kind(head)


_QUICKTIME: Final = (b"moov", b"mdat", b"wide")  # first boxes of files older than ftyp
_BMP_HEADERS: Final = frozenset(n.to_bytes(4, "little") for n in (12, 16, 40, 52, 56, 64, 108, 124))


def _boxed(head: bytes) -> str:
    """Files of ISO boxes tell their kind by brands in the first box."""
    brands = head[8 : max(16, min(int.from_bytes(head[:4], "big"), 512))]
    if b"avif" in brands or b"avis" in brands:
        return "AVIF"
    if any(brand in brands for brand in (b"heic", b"heix", b"mif1", b"heim")):
        return "HEIC"
    return "QuickTime" if b"qt  " in brands else "MP4"


def _text_kind(head: bytes) -> str:
    is_utf_16 = head.startswith((b"\xff\xfe", b"\xfe\xff"))
    text = head.decode("utf-16", "ignore").encode() if is_utf_16 else head
    text = text.removeprefix(b"\xef\xbb\xbf").lstrip()
    if _MAIL_FIELD.match(text) and _MHTML.search(text):
        return "MHTML"
    bare = _COMMENTS.sub(b"", text, count=1)
    lower = bare[:1024].lower()
    if _HTML_START.match(bare) or (lower.startswith(b"<?xml") and b"<html" in lower):
        return "HTML"
    for mark, kind in _MARKUP.items():
        if lower.startswith(mark):
            is_svg = kind == "an XML file" and b"<svg" in lower
            return "SVG" if is_svg else kind
    if text.startswith(b"<!--"):
        return "HTML"
    if is_utf_16 or all(byte >= 32 or byte in b"\t\n\r\f" for byte in head):
        return "plain text"
    return f"of an unknown kind (it starts with the bytes {head[:8].hex(' ')})"
