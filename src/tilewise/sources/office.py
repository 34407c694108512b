"""Office documents, spreadsheets, slides and drawings, turned into PDF by LibreOffice.

The program runs without a window, with a profile of its own in a temporary folder, under limits
of time and memory, with macros off and no way to the network. Its PDF is kept in memory while the
source is open, and goes through ``PdfSource`` from there.
"""

from __future__ import annotations

import csv
import json
import logging
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, Final
from xml.etree import ElementTree
from xml.parsers.expat import ExpatError
from xml.sax.saxutils import escape

from tilewise.errors import SourceError
from tilewise.sources.csv_sheet import MAX_CSV_BYTES, decoded, write_sheet
from tilewise.sources.office_kinds import delimiter_of
from tilewise.sources.pdf import PdfSource
from tilewise.sources.program import (
    Limits,
    Outcome,
    check_room,
    find_program,
    run_program,
    why_stopped,
    work_folder,
)
from tilewise.sources.spreadsheet import fit_sheets
from tilewise.sources.svg import MAX_SVG_BYTES, without_links

_log = logging.getLogger(__name__)

MAX_OFFICE_PAGES: Final = 1000
"""Most pages that one file is turned into; what follows is left out, with a warning."""

MAX_OFFICE_BYTES: Final = 256 << 20
"""Largest file that is handed to LibreOffice."""

LIMITS: Final = Limits(seconds=120, memory_bytes=2 << 30)
"""What each run may use; a spreadsheet takes two runs."""

CPU_SECONDS: Final = 15.0
"""Processor time of a run, for which a small file takes 1.5 s; more for larger files."""

CPU_BYTES_PER_SECOND: Final = 50_000

_MUCH: Final = 0.75  # a program that fails so near to the limit has likely asked for more

PROGRAM_NAMES: Final = (
    "soffice",
    "libreoffice",
    "/usr/lib/libreoffice/program/soffice",
    "/opt/libreoffice/program/soffice",
    "/snap/bin/libreoffice",
    "/Applications/LibreOffice.app/Contents/MacOS/soffice",
)
PROGRAM_VARIABLE: Final = "TILEWISE_SOFFICE"
_INSTALL: Final = (
    "install LibreOffice (Debian: apt-get install libreoffice-calc-nogui "
    "libreoffice-impress-nogui libreoffice-writer-nogui)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Filters:
    """Ending of the file, LibreOffice's names for how to read it and how to write the PDF."""

    ending: str
    read: str
    write: str = "writer_pdf_Export"


FILTERS: Final[dict[str, _Filters]] = {
    "DOCX": _Filters(ending="docx", read="MS Word 2007 XML"),
    "DOC": _Filters(ending="doc", read="MS Word 97"),
    "ODT": _Filters(ending="odt", read="writer8"),
    "RTF": _Filters(ending="rtf", read="Rich Text Format"),
    "TXT": _Filters(ending="txt", read="Text (encoded):UTF8"),
    "XLSX": _Filters(ending="xlsx", read="Calc MS Excel 2007 XML", write="calc_pdf_Export"),
    "XLSB": _Filters(ending="xlsb", read="Calc MS Excel 2007 Binary", write="calc_pdf_Export"),
    "XLS": _Filters(ending="xls", read="MS Excel 97", write="calc_pdf_Export"),
    "ODS": _Filters(ending="ods", read="calc8", write="calc_pdf_Export"),
    "CSV": _Filters(
        ending="csv", read="OpenDocument Spreadsheet Flat XML", write="calc_pdf_Export"
    ),
    "PPTX": _Filters(
        ending="pptx", read="Impress MS PowerPoint 2007 XML", write="impress_pdf_Export"
    ),
    "PPT": _Filters(ending="ppt", read="MS PowerPoint 97", write="impress_pdf_Export"),
    "ODP": _Filters(ending="odp", read="impress8", write="impress_pdf_Export"),
    "ODG": _Filters(ending="odg", read="draw8", write="draw_pdf_Export"),
    "SVG": _Filters(
        ending="svg", read="SVG - Scalable Vector Graphics Draw", write="draw_pdf_Export"
    ),
}
"""Kinds that go through LibreOffice."""

_SHEETS: Final = ("XLSX", "XLSB", "XLS", "ODS")

_SETTINGS: Final = (
    # (path, name, value): nothing in a file runs, and nothing is fetched
    ("org.openoffice.Office.Common/Security/Scripting", "MacroSecurityLevel", "3"),
    ("org.openoffice.Office.Common/Security/Scripting", "DisableMacrosExecution", "true"),
    ("org.openoffice.Office.Common/Security/Scripting", "BlockUntrustedRefererLinks", "true"),
    ("org.openoffice.Office.Common/Misc", "FirstRun", "false"),
    ("org.openoffice.Office.Common/Save/Document", "CreateBackup", "false"),
    ("org.openoffice.Office.Calc/Content/Update", "Link", "2"),
    ("org.openoffice.Office.Writer/Content/Update", "Link", "2"),
    # any request goes to a proxy that is not there
    ("org.openoffice.Inet/Settings", "ooInetProxyType", "2"),
    ("org.openoffice.Inet/Settings", "ooInetHTTPProxyName", "127.0.0.1"),
    ("org.openoffice.Inet/Settings", "ooInetHTTPProxyPort", "9"),
    ("org.openoffice.Inet/Settings", "ooInetHTTPSProxyName", "127.0.0.1"),
    ("org.openoffice.Inet/Settings", "ooInetHTTPSProxyPort", "9"),
    ("org.openoffice.Inet/Settings", "ooInetNoProxy", ""),
)


def open_office(file: BinaryIO, name: str, kind: str, *, limits: Limits = LIMITS) -> PdfSource:
    """Turn a file into PDF and open that; ``file`` is read and closed.

    Args:
        file: the file, at its start.
        name: what messages call it.
        kind: a key of ``FILTERS``.
        limits: of each run of LibreOffice.

    Raises:
        MissingExtraError: LibreOffice is not there.
        SourceError: the file is too large, LibreOffice cannot read it or needs too long, or there
            is no room for temporary files.
    """
    with file:
        program = find_program(PROGRAM_NAMES, PROGRAM_VARIABLE, _INSTALL)
        with work_folder(name) as folder:
            run = _Run(program, folder, name, kind, limits)
            return _opened(run.pdf(_copied(file, folder, name, kind)), name)


def _copied(file: BinaryIO, folder: Path, name: str, kind: str) -> Path:
    """The file in the work folder; tables, text and drawings in a form that is safe to read."""
    limit, rewrite = _REWRITTEN.get(kind, (MAX_OFFICE_BYTES, None))
    path = folder / f"page.{FILTERS[kind].ending}"
    if rewrite is None:
        with path.open("wb") as copy:
            shutil.copyfileobj(file, copy, 1 << 20)
        size = path.stat().st_size
    else:
        data = file.read(limit + 1)
        size = len(data)
        if size <= limit:
            try:
                rewrite(data, path)
            except (csv.Error, ValueError, ElementTree.ParseError) as err:
                raise SourceError(f"{name}: the {kind} file cannot be read: {err}.") from err
    if size > limit:
        raise SourceError(
            f"{name}: the {kind} file has over {limit >> 20} MiB, the most that is converted; "
            "split it."
        )
    return path


def _write_text(data: bytes, path: Path) -> None:
    path.write_text(decoded(data), encoding="utf-8")


def _write_table(data: bytes, path: Path) -> None:
    sample = decoded(data[:65536]).encode()
    write_sheet(data, delimiter_of(sample) or _likely(sample), path)


def _write_drawing(data: bytes, path: Path) -> None:
    path.write_bytes(without_links(data))


_REWRITTEN: Final[dict[str, tuple[int, Callable[[bytes, Path], None]]]] = {
    "CSV": (MAX_CSV_BYTES, _write_table),
    "TXT": (MAX_CSV_BYTES, _write_text),
    "SVG": (MAX_SVG_BYTES, _write_drawing),
}
"""Kinds that LibreOffice does not get as they are: most bytes, and what writes them."""


def _likely(sample: bytes) -> str:
    """The commonest delimiter of a table whose rows differ in length."""
    return max("\t;,|", key=lambda sign: sample.count(sign.encode()))


@dataclass(frozen=True, slots=True)
class _Run:
    """LibreOffice at work on one file."""

    program: str
    folder: Path
    name: str
    kind: str
    limits: Limits

    def pdf(self, path: Path) -> Path:
        """Convert; a spreadsheet goes by .ods, where its pages are made to fit."""
        filters = FILTERS[self.kind]
        _write_profile(self.folder / "profile")
        if self.kind not in _SHEETS:
            return self._converted(path, filters.read, "pdf", filters.write)
        plain = self._converted(path, filters.read, "ods", "calc8", folder=self.folder / "plain")
        fitted = self.folder / "fitted.ods"
        try:
            fit_sheets(plain, fitted)
        except (ValueError, KeyError, ExpatError, zipfile.BadZipFile) as err:
            raise SourceError(
                f"{self.name}: the sheets cannot be fitted to pages ({err}); save the file again "
                "in an office program."
            ) from err
        return self._converted(fitted, "calc8", "pdf", filters.write)

    def _converted(
        self, path: Path, read: str, ending: str, write: str, folder: Path | None = None
    ) -> Path:
        target = (folder or self.folder) / f"{path.stem}.{ending}"
        options = ""
        if ending == "pdf":
            pages = {"PageRange": {"type": "string", "value": f"1-{MAX_OFFICE_PAGES + 1}"}}
            options = ":" + json.dumps(pages)
        cpu_s = CPU_SECONDS + path.stat().st_size / CPU_BYTES_PER_SECOND
        limits = replace(self.limits, cpu_seconds=min(self.limits.seconds, cpu_s))
        outcome = run_program(
            [
                self.program,
                f"-env:UserInstallation={(self.folder / 'profile').as_uri()}",
                "--headless", "--norestore", "--nologo", "--nodefault", "--nolockcheck",
                "--nofirststartwizard",
                f"--infilter={read}",
                "--convert-to", f"{ending}:{write}{options}",
                "--outdir", str(target.parent),
                str(path),
            ],
            self.folder,
            limits,
        )  # fmt: skip
        if outcome.stopped or not target.is_file() or not target.stat().st_size:
            _log.info("%s: LibreOffice ended: %s", self.name, outcome)
            check_room(self.folder)  # a full disk may go unsaid by its status
            raise SourceError(f"{self.name}: {_failure(self.kind, outcome, limits)}")
        return target


def _failure(kind: str, outcome: Outcome, limits: Limits) -> str:
    """Why there is no PDF, and what to do."""
    if outcome.stopped == "guard":
        return (
            "LibreOffice could not be run here, or this system killed it, perhaps as memory ran "
            "out; close other programs and try again."
        )
    if outcome.stopped:
        return (
            f"LibreOffice {why_stopped(outcome, limits)} at this {kind} file; split it, or make it "
            "simpler."
        )
    if outcome.peak_bytes > _MUCH * limits.memory_bytes:
        return (
            f"LibreOffice needs over {limits.memory_bytes >> 20} MiB of memory for this {kind} "
            "file; split it."
        )
    return (
        f"LibreOffice cannot turn this {kind} file into pages; it is damaged or locked. Open it "
        "in an office program and save it again."
    )


def _write_profile(folder: Path) -> None:
    """A profile that holds our settings and nothing else."""
    items = "".join(
        f'<item oor:path="/{path}"><prop oor:name="{name}" oor:op="fuse"><value>{escape(value)}'
        "</value></prop></item>\n"
        for path, name, value in _SETTINGS
    )
    (folder / "user").mkdir(parents=True)
    (folder / "user" / "registrymodifications.xcu").write_text(
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<oor:items xmlns:oor="http://openoffice.org/2001/registry" '
        'xmlns:xs="http://www.w3.org/2001/XMLSchema" '
        f'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">\n{items}</oor:items>\n',
        encoding="utf-8",
    )


def _opened(path: Path, name: str) -> PdfSource:
    source = PdfSource(BytesIO(path.read_bytes()), name)
    if source.count > MAX_OFFICE_PAGES:
        source.count = MAX_OFFICE_PAGES
        _log.warning(
            "%s has over %s pages; the first %s are shown, the rest is left out.",
            name, f"{MAX_OFFICE_PAGES:,}", f"{MAX_OFFICE_PAGES:,}",
        )  # fmt: skip
    return source
