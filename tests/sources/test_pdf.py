"""PDF files: rendering, pages, passwords and damage."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import numpy as np
import pytest

from tests.sources.making import LEFT_HALF_RED, pdf, pixels_of
from tilewise.errors import SourceError
from tilewise.sources.pages import open_source
from tilewise.sources.pdf import MAX_RENDER_PIXELS
from tilewise.sources.ranges import parse_page_range

FIXTURES = Path(__file__).parents[1] / "fixtures"
RED, WHITE = [255, 0, 0], [255, 255, 255]


def _twice(width: float, height: float) -> tuple[int, int]:
    return round(2 * width), round(2 * height)


def test_a_page_is_rendered_at_exactly_the_size_asked_for() -> None:
    asked: list[tuple[float, float]] = []

    def size(width: float, height: float) -> tuple[int, int]:
        asked.append((width, height))
        return 333, 167

    with open_source(pdf(LEFT_HALF_RED)) as source:
        page = source.page(1, size)
    assert asked == [(200, 100)]
    assert page.pixels.shape == (167, 333, 3)
    assert page.pixels[80, 100].tolist() == RED
    assert page.pixels[80, 300].tolist() == WHITE
    assert page.pixels.flags.writeable


def test_without_a_size_a_page_is_rendered_at_200_dpi() -> None:
    assert pixels_of(pdf(LEFT_HALF_RED)).shape == (278, 556, 3)


@pytest.mark.parametrize(
    ("rotate", "red_at"),
    [(0, (50, 20)), (90, (20, 50)), (180, (50, 180)), (270, (180, 50))],
)
def test_rotation_is_applied_to_size_and_pixels(rotate: int, red_at: tuple[int, int]) -> None:
    with open_source(pdf(LEFT_HALF_RED, page=f"/Rotate {rotate}")) as source:
        width, height = (200, 100) if rotate % 180 == 0 else (100, 200)
        assert source.size(1) == (width, height, "pt")
        pixels = source.page(1, lambda w, h: (int(w), int(h))).pixels
    assert pixels.shape == (height, width, 3)
    assert pixels[red_at].tolist() == RED
    assert pixels[height - 1 - red_at[0], width - 1 - red_at[1]].tolist() == WHITE


def test_the_crop_box_is_the_page() -> None:
    with open_source(pdf(LEFT_HALF_RED, page="/CropBox [50 0 150 100]")) as source:
        assert source.size(1) == (100, 100, "pt")
        pixels = source.page(1, _twice).pixels
    assert pixels[100, 90].tolist() == RED
    assert pixels[100, 110].tolist() == WHITE


def test_text_is_drawn() -> None:
    pixels = pixels_of(pdf("BT /F 40 Tf 20 30 Td (Total) Tj ET"))
    assert 0.02 < (pixels < 128).mean() < 0.3


def test_what_was_filled_into_a_form_is_drawn() -> None:
    field = (
        "<< /Type /Annot /Subtype /Widget /FT /Tx /T (a) /V (x) /Rect [0 0 100 100] /F 4 "
        "/AP << /N 5 0 R >> >>"
    )
    look = "<< /Type /XObject /Subtype /Form /BBox [0 0 100 100] /Length 26 >>\nstream\n"
    data = pdf(
        "",
        objects=(field, look + "1 0 0 rg 0 0 100 100 re f \nendstream"),
        page="/Annots [4 0 R]",
        catalog="/AcroForm << /Fields [4 0 R] >>",
    )
    red, green, _ = pixels_of(data)[139, 139].tolist()
    assert red > 150
    assert green < 130


def test_three_thousand_pages_cost_what_is_read_of_them(tmp_path: Path) -> None:
    path = tmp_path / "long.pdf"
    path.write_bytes(pdf(*(f"BT /F 40 Tf 20 30 Td ({n}) Tj ET" for n in range(1, 3001))))
    start = time.perf_counter()
    with open_source(path) as source:
        assert source.count == 3000
        numbers = parse_page_range("2,1500,2998-3000", source.count)
        sizes = {source.size(number) for number in numbers}
        pages = [source.page(number) for number in numbers]
    assert sizes == {(200, 100, "pt")}
    assert [page.number for page in pages] == [2, 1500, 2998, 2999, 3000]
    assert time.perf_counter() - start < 5


@pytest.mark.parametrize("name", ["encrypted-rc4-40.pdf", "encrypted-aes-256.pdf"])
def test_an_encrypted_file_opens_with_either_of_its_passwords(name: str) -> None:
    for password in ("key", "owner"):
        with open_source(FIXTURES / name, password=password) as source:
            assert source.page(1, _twice).pixels[100, 100].tolist() == RED


@pytest.mark.parametrize("name", ["encrypted-rc4-40.pdf", "encrypted-aes-256.pdf"])
@pytest.mark.parametrize(
    ("password", "fault"),
    [
        (None, "no password was given"),
        ("", "no password was given"),
        ("no", "password given is wrong"),
    ],
)
def test_without_its_password_a_file_is_refused(
    name: str, password: str | None, fault: str
) -> None:
    with pytest.raises(SourceError) as caught:
        open_source(FIXTURES / name, password=password)
    assert str(caught.value).startswith(f"{FIXTURES / name} is encrypted and ")
    assert fault in str(caught.value)
    assert "--password" in str(caught.value)


def test_a_password_that_is_not_needed_is_ignored() -> None:
    with open_source(pdf(LEFT_HALF_RED), password="key") as source:
        assert source.count == 1


def test_a_password_with_a_zero_character_is_refused() -> None:
    with pytest.raises(SourceError, match="--password"):
        open_source(FIXTURES / "encrypted-rc4-40.pdf", password="key\0")


def test_a_file_without_pages_is_refused() -> None:
    with pytest.raises(SourceError, match="the PDF has no pages"):
        open_source(pdf())


def test_a_header_alone_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.pdf"
    path.write_bytes(b"%PDF-1.7\nthe rest was lost")
    with pytest.raises(SourceError, match=r"a\.pdf: the PDF is damaged or cut short .*Data format"):
        open_source(path)


def test_a_page_tree_that_promises_more_pages_than_there_are_is_refused_by_page() -> None:
    data = pdf(LEFT_HALF_RED).replace(b"/Count 1 ", b"/Count 9 ")
    with open_source(data) as source:
        for number in range(2, source.count + 1):
            with pytest.raises(SourceError, match=f"page {number}"):
                source.page(number)
        assert source.page(1).pixels.any()


def test_a_page_beyond_the_end_is_refused() -> None:
    with open_source(pdf("", "")) as source:
        for number in (0, 3, -1):
            with pytest.raises(SourceError, match="pages 1 to 2 exist"):
                source.page(number)


@pytest.mark.parametrize("size", [(14400, 14400), (1e6, 1e6), (3, 1e6), (1e6, 0.01), (0.01, 0.01)])
def test_absurd_page_sizes_are_bounded(size: tuple[float, float]) -> None:
    with open_source(pdf("", size=size)) as source:
        assert 1 <= source.page(1).pixels.size // 3 <= 17e6


def test_a_size_asked_for_is_bounded_and_keeps_its_shape() -> None:
    with open_source(pdf("")) as source:
        height, width, _ = source.page(1, lambda w, h: (200_000, 100_000)).pixels.shape
    assert width * height <= MAX_RENDER_PIXELS
    assert width == pytest.approx(2 * height, rel=1e-3)


@pytest.mark.parametrize("box", ["0 0 0 0", "0 0 -5 10", "0 0 1e30 1e30", "0 0 x y", "5 5"])
def test_a_damaged_page_box_gives_a_page_or_one_error(box: str) -> None:
    data = pdf("").replace(b"/MediaBox [0 0 200 100]", f"/MediaBox [{box}]".encode())
    pixels, message = 1, "page 1"
    with open_source(data) as source:
        try:
            pixels = source.page(1).pixels.size // 3
        except SourceError as err:
            message = str(err)
    assert 1 <= pixels <= 17e6
    assert "page 1" in message


def test_threads_may_render_side_by_side() -> None:
    data = pdf(*(LEFT_HALF_RED,) * 5)
    results: list[bool] = []

    def work() -> None:
        with open_source(data) as source:
            pages = [source.page(number) for number in range(1, 6)]
        results.extend(page.pixels[100, 100].tolist() == RED for page in pages)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [True] * 20


def test_equal_pages_give_equal_pixels() -> None:
    data = pdf("BT /F 40 Tf 20 30 Td (Total) Tj ET")
    assert np.array_equal(pixels_of(data), pixels_of(data))
