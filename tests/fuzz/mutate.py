"""Damage done to files: at random, and at the places that readers look at first."""

from __future__ import annotations

import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Sequence
from io import BytesIO
from random import Random
from typing import Final

_ODD: Final = (
    b"\0", b"\xff", b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f",
    b"\x80\0\0\0", b"\0\0\0\x80", b"\0\x10\0\0", b"\xff\xff", b"\x01\0", b"%s%n",
    b"\r\n\r\n", b"../",
)  # fmt: skip
_HEADER_BYTES: Final = 96
_NUMBER: Final = re.compile(rb"-?\d+(?:\.\d+)?")
_ODD_NUMBERS: Final = (
    b"0", b"-1", b"1", b"65536", b"99999", b"2147483647", b"-2147483648", b"4294967296", b"1e308",
    b"0.00001", b"99999999999999999999", b"3.4e38",
)  # fmt: skip
_PNG_MARK: Final = b"\x89PNG\r\n\x1a\n"
_WORDS: Final = (
    b"<table>", b"</div>", b"<svg><use href='#a' id='a'/></svg>", b"<script>for(;;);</script>",
    b"<script>document.body.innerHTML+=document.body.innerHTML</script>",
    b"<script>setInterval(()=>document.body.append('x'.repeat(9999)))</script>",
    b"<meta http-equiv=refresh content='0;url=/'>", b"<iframe src=.></iframe>", b"<dialog open>",
    b"<style>*{position:fixed;height:1e9px}</style>", b"<style>*{zoom:99;columns:1px}</style>",
    b"<style>body{width:1e7px;transform:scale(1e5)}</style>",
    b"<img src='data:image/png;base64,AAAA'>",
    b"<script>alert(1);window.open('/');location='x:y'</script>", b"<marquee>",
    b"<base href='file:///'>",
    b"<video autoplay src=x></video>", b"<canvas width=32767 height=32767></canvas>", b"<frameset>",
    b"<p style='position:sticky'>cookie", b"<plaintext>", b"<!--", b"]]>", b"&#0;&#1114112;",
)  # fmt: skip


def mutated(seeds: Sequence[bytes], rng: Random) -> bytes:
    """One of the seeds, damaged once to some times, in a way that fits what it is."""
    data = rng.choice(seeds)
    ways: list[Callable[[bytes, Random], bytes]] = [_bytes, _bytes, _header, _cut]
    if data.startswith(b"PK\x03\x04"):
        ways += [_member] * 8
    elif data.startswith(_PNG_MARK):
        ways += [_chunk] * 6
    elif b"%PDF-" in data[:1024]:
        ways += [_numbers] * 4 + [_lines] * 2
    elif _is_text(data):
        ways += [_numbers, _numbers, _lines, _lines, _markup, _markup]
    data = rng.choice(ways)(data, rng)
    while rng.random() < 0.3:
        data = rng.choice((_bytes, _header, _cut))(data, rng)
    return _spliced(data, rng.choice(seeds), rng) if rng.random() < 0.05 else data


def _is_text(data: bytes) -> bool:
    return b"\0" not in data[:2000]


def _place(data: bytes | bytearray, rng: Random) -> int:
    return rng.randrange(len(data) + 1)


def _bytes(data: bytes, rng: Random) -> bytes:
    """Replace, put in, take out or repeat some bytes, up to eight times."""
    out = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 3, 8))):
        at, length = _place(out, rng), rng.choice((1, 1, 2, 4, 16, 64))
        match rng.randrange(5):
            case 0:
                out[at : at + length] = rng.randbytes(length)
            case 1:
                odd = rng.choice(_ODD)
                out[at : at + len(odd)] = odd
            case 2:
                del out[at : at + length]
            case 3:
                out[at:at] = bytes(out[at : at + length]) * rng.choice((1, 2, 50))
            case _:
                if at < len(out):
                    out[at] ^= 1 << rng.randrange(8)
    return bytes(out)


def _header(data: bytes, rng: Random) -> bytes:
    """As ``_bytes``, in the first bytes alone, where sizes and counts stand."""
    return _bytes(data[:_HEADER_BYTES], rng) + data[_HEADER_BYTES:]


def _cut(data: bytes, rng: Random) -> bytes:
    """Leave the beginning, or take a middle part away."""
    at = _place(data, rng)
    return data[:at] if rng.random() < 0.6 else data[:at] + data[_place(data, rng) :]


def _spliced(data: bytes, other: bytes, rng: Random) -> bytes:
    return data[: _place(data, rng)] + other[_place(other, rng) :]


def _numbers(data: bytes, rng: Random) -> bytes:
    """Put odd numbers in the place of some of a text's."""
    found = list(_NUMBER.finditer(data))
    if not found:
        return _bytes(data, rng)
    for match in sorted(rng.sample(found, min(len(found), rng.choice((1, 2, 5)))), key=_start)[
        ::-1
    ]:
        data = data[: match.start()] + rng.choice(_ODD_NUMBERS) + data[match.end() :]
    return data


def _start(match: re.Match[bytes]) -> int:
    return match.start()


def _lines(data: bytes, rng: Random) -> bytes:
    """Take lines out, repeat them, or put them elsewhere."""
    lines = data.splitlines(keepends=True) or [b""]
    for _ in range(rng.choice((1, 2, 4))):
        line = rng.choice(lines)
        match rng.randrange(3):
            case 0:
                lines[rng.randrange(len(lines))] = line
            case 1:
                lines.insert(rng.randrange(len(lines)), line * rng.choice((1, 2, 200)))
            case _:
                if len(lines) > 1:
                    lines.remove(line)
    return b"".join(lines)


def _markup(data: bytes, rng: Random) -> bytes:
    """Put tags in that ask much of a browser."""
    for _ in range(rng.choice((1, 1, 2, 3))):
        at = _place(data, rng)
        data = data[:at] + rng.choice(_WORDS) + data[at:]
    return data


def _member(data: bytes, rng: Random) -> bytes:
    """Damage members of a zip file and pack it again, so that the damage is reached."""
    with zipfile.ZipFile(BytesIO(data)) as archive:
        members = {info.filename: archive.read(info) for info in archive.infolist()}
    for name in rng.sample(sorted(members), min(len(members), rng.choice((1, 1, 2)))):
        way = rng.choice((_bytes, _numbers, _numbers, _lines, _cut))
        members[name] = way(members[name], rng)
    if rng.random() < 0.1:
        del members[rng.choice(sorted(members))]
    file = BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


def _chunk(data: bytes, rng: Random) -> bytes:
    """Damage one chunk of a PNG, its packed data unpacked, and set right sums again."""
    chunks, at = [], len(_PNG_MARK)
    while at + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, at)
        chunks.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + length]))
        at += 12 + length
    index = rng.randrange(len(chunks))
    tag, body = chunks[index]
    if tag == b"IDAT":
        body = zlib.compress(_bytes(zlib.decompressobj().decompress(body), rng))
    else:
        body = _bytes(body, rng)
    chunks[index] = (tag, body)
    if rng.random() < 0.2:
        chunks.insert(rng.randrange(len(chunks)), rng.choice(chunks))
    return _PNG_MARK + b"".join(
        struct.pack(">I", len(body)) + tag + body + struct.pack(">I", zlib.crc32(tag + body))
        for tag, body in chunks
    )
