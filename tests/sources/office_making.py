"""Office files made in the test run: by hand, by openpyxl, and the rest by LibreOffice."""

from __future__ import annotations

import shutil
import struct
import subprocess
import zipfile
from functools import cache
from io import BytesIO
from pathlib import Path
from xml.sax.saxutils import escape

import openpyxl
import pypdfium2
import pytest
from openpyxl.chart import BarChart, Reference

from tilewise.sources.pdf import PdfSource
from tilewise.sources.source import Source

HAS_OFFICE = shutil.which("soffice") is not None

needs_office = pytest.mark.skipif(
    not HAS_OFFICE, reason="no soffice on the path; make system installs it"
)

_OOXML_MAIN = "application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"


def zipped(members: dict[str, bytes | str]) -> bytes:
    """A zip file, compressed, in the order given."""
    file = BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return file.getvalue()


def docx(*paragraphs: str, extra: dict[str, bytes | str] | None = None, body: str = "") -> bytes:
    """A Word file; ``body`` is more WordprocessingML, ``extra`` more members."""
    w = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
    text = "".join(f"<w:p><w:r><w:t>{escape(line)}</w:t></w:r></w:p>" for line in paragraphs)
    package = "http://schemas.openxmlformats.org/package/2006"
    office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    return zipped(
        {
            "[Content_Types].xml": f'<Types xmlns="{package}/content-types">'
            '<Default Extension="rels" '
            'ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
            '<Default Extension="xml" ContentType="application/xml"/>'
            f'<Override PartName="/word/document.xml" ContentType="{_OOXML_MAIN}"/></Types>',
            "_rels/.rels": f'<Relationships xmlns="{package}/relationships"><Relationship Id="r1" '
            f'Type="{office}/officeDocument" Target="word/document.xml"/></Relationships>',
            "word/document.xml": f'<w:document xmlns:w="{w}" xmlns:r="{office}">'
            f"<w:body>{text}{body}</w:body></w:document>",
            **(extra or {}),
        }
    )


def workbook(cols: int = 40, rows: int = 30) -> bytes:
    """Three sheets: one wide, one with a chart, one hidden."""
    book = openpyxl.Workbook()
    wide = book.active
    assert wide is not None
    wide.title = "Wide"
    for row in range(1, rows + 1):
        wide.append([f"r{row}c{col}" for col in range(1, cols + 1)])
    wide.print_area = "A1:B3"
    figures = book.create_sheet("Figures")
    for line in (("Town", "Rain"), ("Elgin", 31), ("Corvo", 158), ("Farrow", 74)):
        figures.append(line)
    chart = BarChart()
    chart.title = "Rainfall"
    chart.add_data(Reference(figures, min_col=2, min_row=1, max_row=4), titles_from_data=True)
    chart.set_categories(Reference(figures, min_col=1, min_row=2, max_row=4))
    figures.add_chart(chart, "D2")
    hidden = book.create_sheet("Hidden")
    hidden["A1"] = "unseen"
    hidden.sheet_state = "hidden"
    file = BytesIO()
    book.save(file)
    return file.getvalue()


RTF = rb"{\rtf1\ansi\deff0{\fonttbl{\f0 Liberation Serif;}}\f0\fs24 Minutes of the meeting\par}"

SVG = (
    '<svg xmlns="http://www.w3.org/2000/svg" width="300" height="200">'
    '<rect x="150" y="0" width="150" height="200" fill="#c81e28"/>'
    '<text x="20" y="60" font-size="24">Lighthouse</text></svg>'
)

_OFFICE = "urn:oasis:names:tc:opendocument:xmlns:office:1.0"
_SLIDES = f"""<?xml version="1.0" encoding="UTF-8"?>
<office:document office:version="1.3"
 office:mimetype="application/vnd.oasis.opendocument.presentation" xmlns:office="{_OFFICE}"
 xmlns:draw="urn:oasis:names:tc:opendocument:xmlns:drawing:1.0"
 xmlns:style="urn:oasis:names:tc:opendocument:xmlns:style:1.0"
 xmlns:svg="urn:oasis:names:tc:opendocument:xmlns:svg-compatible:1.0"
 xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0">
<office:master-styles><style:master-page style:name="M"/></office:master-styles>
<office:body><office:presentation>%s</office:presentation></office:body></office:document>"""
_SLIDE = (
    '<draw:page draw:name="p{n}" draw:master-page-name="M"><draw:frame svg:x="2cm" svg:y="2cm" '
    'svg:width="15cm" svg:height="3cm"><draw:text-box><text:p>{text}</text:p></draw:text-box>'
    "</draw:frame></draw:page>"
)


def flat_slides(*texts: str) -> bytes:
    """Slides as one XML file (.fodp), from which LibreOffice makes the other kinds."""
    slides = (_SLIDE.format(n=n, text=escape(text)) for n, text in enumerate(texts, 1))
    return (_SLIDES % "".join(slides)).encode()


@cache
def converted(data: bytes, ending: str, wanted: str) -> bytes:
    """A file saved as another kind by LibreOffice."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"made.{ending}"
        path.write_bytes(data)
        argv = ["soffice", f"-env:UserInstallation={Path(folder).as_uri()}/p", "--headless"]
        argv += ["--convert-to", wanted, "--outdir", f"{folder}/out", str(path)]
        subprocess.run(argv, check=True, capture_output=True, timeout=300)
        return Path(folder, "out", f"made.{wanted}").read_bytes()


def texts_of(source: Source) -> list[str]:
    """Text layer of each page of a source that is a PDF inside."""
    assert isinstance(source, PdfSource)
    document = document_of(source)
    texts = []
    for index in range(source.count):
        page = document[index]
        layer = page.get_textpage()
        texts.append(layer.get_text_bounded())
        layer.close()
        page.close()
    document.close()
    return texts


def document_of(source: PdfSource) -> pypdfium2.PdfDocument:
    """The PDF of a source, opened once more in this process."""
    file = source._document.file
    file.seek(0)
    return pypdfium2.PdfDocument(file.read())


def ole(streams: dict[str, bytes]) -> bytes:
    """An OLE compound file with short and long streams, sectors of 512 bytes."""
    sectors: list[bytes] = []
    fat: list[int] = []

    def chain(data: bytes) -> int:
        first, count = len(sectors), max(1, -(-len(data) // 512))
        for n in range(count):
            sectors.append(data[512 * n : 512 * (n + 1)].ljust(512, b"\0"))
            fat.append(first + n + 1 if n + 1 < count else 0xFFFFFFFE)
        return first

    mini = b""
    mini_fat: list[int] = []
    places = {}
    for name, data in streams.items():
        if len(data) >= 4096:
            places[name] = chain(data)
            continue
        places[name] = len(mini_fat)
        count = max(1, -(-len(data) // 64))
        mini_fat += [places[name] + n + 1 for n in range(count - 1)] + [0xFFFFFFFE]
        mini += data.ljust(64 * count, b"\0")
    entries = [("Root Entry", 5, chain(mini), len(mini))]
    entries += [(name, 2, places[name], len(data)) for name, data in streams.items()]
    directory = b"".join(
        name.encode("utf-16-le").ljust(64, b"\0")
        + struct.pack("<HBB", 2 * len(name) + 2, kind, 1)
        + b"\xff" * 12
        + bytes(36)
        + struct.pack("<II", start, size)
        + bytes(4)
        for name, kind, start, size in entries
    )
    directory_at = chain(directory)
    mini_fat_at = chain(struct.pack(f"<{len(mini_fat)}I", *mini_fat))
    fat_at = len(sectors)
    fat.append(0xFFFFFFFD)
    table = struct.pack(f"<{len(fat)}I", *fat).ljust(512, b"\xff")
    header = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(16)
    header += struct.pack("<HHHHH", 0x3E, 3, 0xFFFE, 9, 6) + bytes(6)
    header += struct.pack("<IIIIII", 0, 1, directory_at, 0, 4096, mini_fat_at)
    header += struct.pack("<III", 1, 0xFFFFFFFE, 0)
    header += struct.pack("<109I", fat_at, *[0xFFFFFFFF] * 108)
    return header + b"".join(sectors) + table


_MACRO = 'Sub Main\nOpen "%s" For Output As #1\nPrint #1, "ran"\nClose #1\nEnd Sub'


def odt_that_acts(address: str, mark: Path, picture: str) -> bytes:
    """An ODT that, opened without care, writes ``mark`` and fetches from ``address``.

    It shows the text "Quiet page" and links to ``picture`` too.
    """
    parts = {"office": "office", "text": "text", "draw": "drawing", "script": "script"}
    parts["svg"] = "svg-compatible"
    spaces = "".join(
        f' xmlns:{short}="urn:oasis:names:tc:opendocument:xmlns:{name}:1.0"'
        for short, name in parts.items()
    )
    spaces += (
        ' xmlns:xlink="http://www.w3.org/1999/xlink" xmlns:dom="http://www.w3.org/2001/xml-events"'
        ' xmlns:ooo="http://openoffice.org/2004/office"'
    )
    library = (
        'xmlns:library="http://openoffice.org/2000/library" '
        'xmlns:xlink="http://www.w3.org/1999/xlink" library:name="Standard"'
    )
    frame = (
        '<draw:frame svg:width="5cm" svg:height="3cm" text:anchor-type="as-char"><draw:image '
        'xlink:href="{}" xlink:type="simple" xlink:show="embed" xlink:actuate="onLoad"/>'
        "</draw:frame>"
    )
    event = (
        '<script:event-listener script:language="ooo:script" script:event-name="dom:load" '
        'xlink:href="vnd.sun.star.script:Standard.Module1.Main?language=Basic&amp;'
        'location=document"/>'
    )
    members: dict[str, bytes | str] = {
        "mimetype": "application/vnd.oasis.opendocument.text",
        "content.xml": f'<office:document-content office:version="1.3"{spaces}><office:scripts>'
        f"<office:event-listeners>{event}</office:event-listeners></office:scripts><office:body>"
        f"<office:text><text:p>Quiet page{frame.format(address + '/a.png')}"
        f'{frame.format(picture)}</text:p><text:section text:name="S"><text:section-source '
        f'xlink:href="{address}/b.odt" xlink:type="simple"/><text:p>old</text:p></text:section>'
        "</office:text></office:body></office:document-content>",
        "Basic/script-lc.xml": "<library:libraries "
        'xmlns:library="http://openoffice.org/2000/library"><library:library '
        'library:name="Standard" library:link="false"/></library:libraries>',
        "Basic/Standard/script-lb.xml": f'<library:library {library} library:readonly="false">'
        '<library:element library:name="Module1"/></library:library>',
        "Basic/Standard/Module1.xml": "<script:module "
        'xmlns:script="http://openoffice.org/2000/script" script:name="Module1" '
        f'script:language="StarBasic">{escape(_MACRO % mark)}</script:module>',
    }
    entries = "".join(
        f'<manifest:file-entry manifest:full-path="{name}" manifest:media-type="text/xml"/>'
        for name in list(members)[1:]
    )
    members["META-INF/manifest.xml"] = (
        '<manifest:manifest xmlns:manifest="urn:oasis:names:tc:opendocument:xmlns:manifest:1.0" '
        'manifest:version="1.3"><manifest:file-entry manifest:full-path="/" '
        f'manifest:media-type="{members["mimetype"]!s}"/>{entries}</manifest:manifest>'
    )
    return zipped(members)


def docx_with_link(picture: str) -> bytes:
    """A Word file that links to a picture instead of holding it."""
    drawing = "http://schemas.openxmlformats.org/drawingml/2006"
    package = "http://schemas.openxmlformats.org/package/2006"
    office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    frame = (
        f'<w:p><w:r><w:drawing><wp:inline xmlns:wp="{drawing}/wordprocessingDrawing">'
        '<wp:extent cx="2000000" cy="2000000"/><wp:docPr id="1" name="p"/>'
        f'<a:graphic xmlns:a="{drawing}/main"><a:graphicData uri="{drawing}/picture">'
        f'<pic:pic xmlns:pic="{drawing}/picture"><pic:nvPicPr><pic:cNvPr id="1" name="p"/>'
        '<pic:cNvPicPr/></pic:nvPicPr><pic:blipFill><a:blip r:link="r9"/><a:stretch><a:fillRect/>'
        '</a:stretch></pic:blipFill><pic:spPr><a:xfrm><a:off x="0" y="0"/>'
        '<a:ext cx="2000000" cy="2000000"/></a:xfrm><a:prstGeom prst="rect"><a:avLst/>'
        "</a:prstGeom></pic:spPr></pic:pic></a:graphicData></a:graphic></wp:inline></w:drawing>"
        "</w:r></w:p>"
    )
    links = (
        f'<Relationships xmlns="{package}/relationships"><Relationship Id="r9" '
        f'Type="{office}/image" Target="{picture}" TargetMode="External"/></Relationships>'
    )
    return docx("Quiet page", body=frame, extra={"word/_rels/document.xml.rels": links})
