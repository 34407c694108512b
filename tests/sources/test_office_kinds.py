"""Kinds of office files are told by what is inside; locked ones and bombs are refused at once."""

from __future__ import annotations

import struct
import zipfile
import zlib
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.sources.office_making import docx, ole, workbook, zipped
from tilewise.errors import SourceError
from tilewise.sources import office_kinds
from tilewise.sources.content import kind_of
from tilewise.sources.office_kinds import delimiter_of, kind_inside
from tilewise.sources.pages import open_source

_ODS = "application/vnd.oasis.opendocument.spreadsheet"
_LOCKED = "is locked with a password; open it in an office program and save a copy without one"


def _kind(data: bytes, name: str = "the input") -> str:
    return kind_inside(BytesIO(data), kind_of(data[:4096]), data[:4096], name)


def test_zipped_kinds_are_told_by_their_members() -> None:
    assert _kind(docx("x")) == "DOCX"
    assert _kind(workbook(1, 1)) == "XLSX"
    assert _kind(zipped({"mimetype": _ODS, "content.xml": "<a/>"})) == "ODS"
    late = zipped({f"word/{n}.xml": "x" * 5000 for n in range(9)})  # the name comes far behind
    assert _kind(late) == "a damaged Word document (docx)"
    assert _kind(zipped({"a.txt": "x"})) == "a zip archive"


def test_old_kinds_are_told_by_their_streams() -> None:
    assert _kind(ole({"WordDocument": bytes(5000)})) == "DOC"
    assert _kind(ole({"Workbook": bytes(100)})) == "XLS"
    assert _kind(ole({"PowerPoint Document": bytes(100)})) == "PPT"
    assert _kind(ole({"Other": bytes(100)})) == "an OLE file that is neither doc, xls nor ppt"


@pytest.mark.parametrize(
    "data",
    [
        ole({"EncryptedPackage": bytes(100), "EncryptionInfo": bytes(50)}),
        ole({"WordDocument": bytes(10) + b"\0\x01" + bytes(5000)}),
        ole({"WordDocument": bytes(10) + b"\0\x01" + bytes(500)}),
        ole({"Workbook": struct.pack("<HHI", 0x809, 4, 0) + struct.pack("<HH", 0x2F, 54)}),
        ole({"PowerPoint Document": b"", "Current User": bytes(12) + b"\xdf\xc4\xd1\xf3"}),
        zipped(
            {
                "mimetype": _ODS,
                "content.xml": b"\x93\x02\x07",
                "META-INF/manifest.xml": "<manifest:encryption-data/>",
            }
        ),
    ],
    ids=["ooxml", "doc", "short doc", "xls", "ppt", "odf"],
)
def test_a_locked_file_is_refused_before_any_program_sees_it(data: bytes) -> None:
    with pytest.raises(SourceError) as caught:
        open_source(data, name="plan")
    assert str(caught.value) == f"plan {_LOCKED}."


@pytest.mark.parametrize("declared", [None, 100])
def test_a_zip_bomb_is_refused_whatever_it_declares(declared: int | None) -> None:
    data = docx("x", extra={"word/media/big.bin": bytes(40 << 20)})
    if declared is not None:
        data = data.replace(struct.pack("<I", 40 << 20), struct.pack("<I", declared))
    assert len(data) < 100_000
    with pytest.raises(SourceError, match=r"'word/media/big.bin' in the DOCX file unpacks from"):
        open_source(data)


def test_many_members_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(office_kinds, "MAX_MEMBERS", 3)
    with pytest.raises(SourceError, match="has 4 members; at most 3 are unpacked"):
        open_source(docx("x", extra={"word/a.xml": "a"}))


def test_all_members_together_are_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(office_kinds, "MAX_UNPACKED_BYTES", 300_000)
    with pytest.raises(SourceError, match="and 0 MiB in all"):
        open_source(docx("x", extra={f"word/{n}.xml": "a" * 100_000 for n in range(4)}))


@pytest.mark.parametrize("cut", [0.3, 0.9])
def test_a_zip_cut_short_is_refused(cut: float) -> None:
    data = docx("x" * 5000)
    with pytest.raises(SourceError, match="damaged or cut short"):
        open_source(data[: int(len(data) * cut)])


def test_a_member_that_does_not_unpack_is_refused() -> None:
    data = bytearray(docx("x" * 5000))
    with zipfile.ZipFile(BytesIO(data)) as archive:
        start = archive.getinfo("word/document.xml").header_offset
    data[start + 60 : start + 80] = zlib.compress(b"other")[:20].ljust(20, b"\xff")
    with pytest.raises(SourceError, match="damaged or cut short"):
        open_source(bytes(data))


@given(st.binary(max_size=2000), st.integers(0, 2500))
def test_damaged_old_files_give_a_kind_or_one_sentence(noise: bytes, place: int) -> None:
    data = bytearray(ole({"WordDocument": bytes(5000), "Workbook": b"abc"}))
    data[place : place + len(noise)] = noise
    data[:8] = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
    message = ""
    try:
        assert _kind(bytes(data))
    except SourceError as err:
        message = str(err)
    assert "\n" not in message


@pytest.mark.parametrize(
    ("text", "sign"),
    [
        ("a,b\n1,2\n", ","),
        ("a;b,c\n1;2,3,4\n5;6\n", ";"),
        ("a\tb\n1\t2\n", "\t"),
        ('"a,b",c\n1,2\n', ","),
        ("a,b\n", None),
        ("Dear Sir, and Madam,\nwe write\n", None),
        ("one\ntwo\n", None),
    ],
)
def test_a_table_in_plain_text_is_told_by_its_delimiter(text: str, sign: str | None) -> None:
    assert delimiter_of(text.encode()) == sign
    assert _kind(text.encode()) == ("CSV" if sign else "plain text")


def test_plain_text_goes_by_its_name(tmp_path: Path) -> None:
    assert _kind(b"one\ntwo\n", "notes.TXT") == "TXT"
    assert _kind(b"one\ntwo\n", "cells.csv") == "CSV"
    assert _kind(b"\x89PNG\r\n\x1a\n", "cells.csv") == "PNG"
