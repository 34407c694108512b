"""What is inside a zip or OLE file: which office kind, whether it is locked, whether it is a bomb.

Everything is settled here, from the file's own directory, before an office program sees it.
"""

from __future__ import annotations

import re
import struct
import zipfile
import zlib
from copy import copy
from pathlib import PurePath
from typing import BinaryIO, Final

from tilewise.errors import SourceError
from tilewise.sources.ole import SIGNATURE, OleError, OleFile

MAX_UNPACKED_BYTES: Final = 512 << 20
"""Most bytes that the members of one office file may unpack to."""

MAX_MEMBERS: Final = 20_000
"""Most members of one office file."""

MAX_RATIO: Final = 200
"""Most times that a member over ``_SMALL_BYTES`` may grow when unpacked; sheets reach about 60."""

_SMALL_BYTES: Final = 16 << 20
_CHUNK: Final = 1 << 20
_ZIP_ERRORS: Final = (
    # ``zipfile`` checks little of what it reads. Fuzzing found RuntimeError for members that are
    # locked or packed in a way unknown to it, OSError and ValueError for places outside the file
    # and for names, struct.error and LookupError for fields that are cut short, zlib.error and
    # EOFError for packed data. Nothing but archive work stands in the one ``try`` that names them.
    zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, ValueError, struct.error,
    LookupError,
)  # fmt: skip

_OOXML: Final = {
    b"wordprocessingml.document.main": "DOCX",
    b"wordprocessingml.template.main": "DOCX",
    b"ms-word.document.macroenabled": "DOCX",
    b"ms-word.template.macroenabled": "DOCX",
    b"spreadsheetml.sheet.main": "XLSX",
    b"spreadsheetml.template.main": "XLSX",
    b"ms-excel.sheet.macroenabled": "XLSX",
    b"ms-excel.template.macroenabled": "XLSX",
    b"ms-excel.sheet.binary": "XLSB",
    b"presentationml.presentation.main": "PPTX",
    b"presentationml.slideshow.main": "PPTX",
    b"presentationml.template.main": "PPTX",
    b"ms-powerpoint.presentation.macroenabled": "PPTX",
    b"ms-powerpoint.slideshow.macroenabled": "PPTX",
    b"ms-powerpoint.template.macroenabled": "PPTX",
}
_ODF: Final = {
    b"application/vnd.oasis.opendocument.text": "ODT",
    b"application/vnd.oasis.opendocument.spreadsheet": "ODS",
    b"application/vnd.oasis.opendocument.presentation": "ODP",
    b"application/vnd.oasis.opendocument.graphics": "ODG",
}
_OLE: Final = {
    "WordDocument": "DOC",
    "Workbook": "XLS",
    "Book": "XLS",
    "PowerPoint Document": "PPT",
}

_UNLOCK: Final = "open it in an office program and save a copy without one"


def kind_inside(file: BinaryIO, kind: str, head: bytes, name: str) -> str:
    """Look further where the first bytes do not settle a kind.

    Args:
        file: the open file; its place is the start again afterwards.
        kind: what ``content.kind_of`` said.
        head: the file's first bytes.
        name: path or what messages call it; for plain text alone its ending matters.

    Returns:
        ``kind``, or a key of ``office.FILTERS``, or better words.

    Raises:
        SourceError: damaged, locked with a password, or a zip bomb.
    """
    if head.startswith(b"PK\x03\x04"):
        return zip_kind(file, name, kind)
    if head.startswith(SIGNATURE):
        return ole_kind(file, name)
    if kind != "plain text":
        return kind
    ending = PurePath(name).suffix.lower()
    if ending in (".csv", ".tsv", ".tab") or (ending != ".txt" and delimiter_of(head)):
        return "CSV"
    return "TXT" if ending == ".txt" else kind


def zip_kind(file: BinaryIO, name: str, otherwise: str = "a zip archive") -> str:
    """Kind of a zip file by its members: a key of ``office.FILTERS``, or ``otherwise``.

    Raises:
        SourceError: damaged, locked with a password, or it unpacks to more than
            ``MAX_UNPACKED_BYTES``.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            kind = _archive_kind(archive, name) or otherwise
            if kind in _OOXML.values() or kind in _ODF.values():
                _check_members(archive, name, kind)
            return kind
    except _ZIP_ERRORS as err:
        reason = " ".join(str(err).split()).rstrip(".")[:200] or "it is cut short"
        raise SourceError(
            f"{name}: the zip data are damaged or cut short ({reason}); get the file again."
        ) from err
    finally:
        file.seek(0)


def _archive_kind(archive: zipfile.ZipFile, name: str) -> str | None:
    members = {info.filename: info for info in archive.infolist()}
    if "mimetype" in members:
        kind = _ODF.get(_start(archive, members["mimetype"]).strip().removesuffix(b"-template"))
        if kind is not None:
            manifest = members.get("META-INF/manifest.xml")
            if manifest and b"encryption-data" in _start(archive, manifest, _CHUNK):
                raise SourceError(f"{name} is locked with a password; {_UNLOCK}.")
            return kind
    if "[Content_Types].xml" in members:
        types = _start(archive, members["[Content_Types].xml"], _CHUNK).lower()
        return next((kind for mark, kind in _OOXML.items() if mark in types), None)
    return None


def _start(archive: zipfile.ZipFile, info: zipfile.ZipInfo, count: int = 200) -> bytes:
    if info.flag_bits & 1:
        return b""
    with archive.open(info) as member:
        return member.read(count)


def _check_members(archive: zipfile.ZipFile, name: str, kind: str) -> None:
    """Unpack everything once, keeping nothing, and stop at the limits."""
    members = archive.infolist()
    if len(members) > MAX_MEMBERS:
        raise SourceError(
            f"{name}: the {kind} file has {len(members):,} members; at most {MAX_MEMBERS:,} are "
            "unpacked. Save it again in an office program."
        )
    left = MAX_UNPACKED_BYTES
    for info in members:
        if info.flag_bits & 1:
            raise SourceError(f"{name} is locked with a password; {_UNLOCK}.")
        most = min(left, max(_SMALL_BYTES, MAX_RATIO * info.compress_size))
        left -= _unpacked(archive, info, name, kind, most)


def _unpacked(
    archive: zipfile.ZipFile, info: zipfile.ZipInfo, name: str, kind: str, most: int
) -> int:
    """Real size of one member, whatever it declares."""
    real = copy(info)
    real.file_size = MAX_UNPACKED_BYTES + 1  # else the reading would end at the declared size
    done = 0
    if info.file_size <= most:
        with archive.open(real) as member:
            while done <= most and (chunk := member.read(_CHUNK)):
                done += len(chunk)
    if max(done, info.file_size) > most:
        raise SourceError(
            f"{name}: {info.filename!r} in the {kind} file unpacks from {info.compress_size:,} to "
            f"over {most:,} bytes; at most {MAX_RATIO} times as much, and "
            f"{MAX_UNPACKED_BYTES >> 20} MiB in all, are unpacked. It is a zip bomb or far too "
            "large; split it."
        )
    return done


def ole_kind(file: BinaryIO, name: str) -> str:
    """Kind of an OLE file by its streams: a key of ``office.FILTERS``, or words for what it is.

    Raises:
        SourceError: damaged, or locked with a password.
    """
    try:
        ole = OleFile(file)
        if "EncryptedPackage" in ole.names or _is_locked(ole):
            raise SourceError(f"{name} is locked with a password; {_UNLOCK}.")
        return next(
            (kind for stream, kind in _OLE.items() if stream in ole.names),
            "an OLE file that is neither doc, xls nor ppt",
        )
    except OleError as err:
        raise SourceError(
            f"{name}: the old Office data are damaged ({err}); get the file again."
        ) from err
    finally:
        file.seek(0)


def _is_locked(ole: OleFile) -> bool:
    """The old kinds' own marks of encryption: [MS-DOC] 2.5.2, [MS-XLS] 2.4.117, [MS-PPT] 2.3.2."""
    word = ole.head("WordDocument", 12)
    if len(word) == 12 and struct.unpack_from("<H", word, 10)[0] & 0x0100:
        return True
    if ole.head("Current User", 16)[12:16] == b"\xdf\xc4\xd1\xf3":
        return True
    book = ole.head("Workbook", 4096) or ole.head("Book", 4096)
    return _has_filepass(book)


def _has_filepass(book: bytes) -> bool:
    """Whether a FilePass record (0x2F) stands among the first records of a workbook."""
    at = 0
    for _ in range(20):  # it follows the first record, write protection at most in between
        if at + 4 > len(book):
            break
        kind, size = struct.unpack_from("<HH", book, at)
        if kind == 0x2F:
            return True
        at += 4 + size
    return False


_DELIMITERS: Final = (b"\t", b";", b",", b"|")
_QUOTED: Final = re.compile(rb'"[^"]*"')


def delimiter_of(head: bytes) -> str | None:
    """The sign that divides all whole lines of a text into the same number of cells, 2 or more.

    Args:
        head: start of the file, UTF-8 or an 8-bit encoding; the last line may be cut.

    Returns:
        One of tab, semicolon, comma and bar; None where there are fewer than 2 such lines.
    """
    lines = _QUOTED.sub(b"", head).splitlines()
    lines = [line for line in (lines[:-1] if len(lines) > 2 else lines) if line.strip()]
    if len(lines) < 2:
        return None
    for sign in _DELIMITERS:
        counts = {line.count(sign) for line in lines}
        if len(counts) == 1 and counts != {0}:
            return sign.decode()
    return None
