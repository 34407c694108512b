import pytest
from hypothesis import given
from hypothesis import strategies as st

from tilewise.corpus.extract.charset import decode, python_name

RUSSIAN = "Все инструменты этой системы работают в одном направлении, и это удобно."
JAPANESE = "これは短い日本語の文章です。設定を変更するには再起動が必要です。"
CHINESE = "需要注意的是，这个系统不支持自动的翻译功能，在使用中要小心。"


@pytest.mark.parametrize(
    ("text", "charset", "name"),
    [
        (RUSSIAN, "windows-1251", "cp1251"),
        (RUSSIAN, "koi8-r", "koi8-r"),
        (JAPANESE, "shift_jis", "cp932"),
        (JAPANESE, "euc-jp", "euc_jp"),
        (CHINESE, "gb2312", "gb18030"),
        ("Grüße aus Köln", "iso-8859-1", "cp1252"),
    ],
)
def test_a_charset_is_taken_from_the_header_and_from_meta(
    text: str, charset: str, name: str
) -> None:
    data = text.encode(charset)
    assert decode(data, f"text/html; charset={charset}") == (text, name, "http")
    meta = f'<html><head><META http-equiv=x content="text/html; Charset={charset}">'.encode()
    assert decode(meta + data).text.endswith(text)
    assert decode(meta + data)[1:] == (name, "meta")


@pytest.mark.parametrize(
    ("text", "lang", "charset"),
    [
        (RUSSIAN, "ru", "windows-1251"),
        (RUSSIAN, "ru", "koi8-r"),
        (JAPANESE, "ja", "shift_jis"),
        (JAPANESE, "ja", "euc-jp"),
        (CHINESE, "zh", "gb18030"),
        (RUSSIAN, "", "windows-1251"),
        (JAPANESE, "", "euc-jp"),
        (CHINESE, "", "gb18030"),
    ],
)
def test_a_charset_that_nobody_names_is_detected(text: str, lang: str, charset: str) -> None:
    page = f'<html lang="{lang}"><body><p>{text}</p>'
    assert decode(page.encode(charset)) == (page, python_name(charset), "detected")


@pytest.mark.parametrize("text", ["é", "naïve café", "Grüße", "日本", "“x”"])
def test_short_utf_8_is_utf_8_whatever_it_claims(text: str) -> None:
    assert decode(text.encode()).text == text
    assert decode(text.encode(), "text/html; charset=iso-8859-1").text == text


def test_a_byte_order_mark_and_utf_16_without_one_are_known() -> None:
    assert decode(b"\xef\xbb\xbf<p>x", "text/html; charset=big5") == ("<p>x", "utf-8", "bom")
    assert decode("\ufeff<p>é".encode("utf-16-le")).text == "<p>é"
    assert decode(("<p>some text</p>" * 9).encode("utf-16-be")).text.startswith("<p>some")


def test_a_claim_that_does_not_fit_is_passed_over() -> None:
    data = f"<meta charset=utf-8>{CHINESE}".encode("gb18030")
    assert decode(data, "text/html; charset=utf-8").text.endswith(CHINESE)


@pytest.mark.parametrize("label", ["base64", "rot13", "utf-7", "zip", "idna", "nonsense", "\0", ""])
def test_labels_of_what_is_no_charset_of_the_web_are_not_followed(label: str) -> None:
    assert python_name(label) == ""
    assert decode(b"<p>plain", f"text/html; charset={label}").text == "<p>plain"


def test_utf_8_that_was_cut_inside_a_letter_stays_utf_8() -> None:
    assert decode("日本語".encode()[:-1]) == ("日本", "utf-8", "utf-8")


def test_meta_after_the_first_1024_bytes_and_in_comments_does_not_count() -> None:
    data = CHINESE.encode("gb18030")
    late = b"<!--" + b"x" * 1100 + b"--><meta charset=koi8-r>" + data
    assert decode(late).text.endswith(CHINESE)
    assert decode(b"<!-- <meta charset=koi8-r> -->" + data).text.endswith(CHINESE)


@given(data=st.binary(max_size=300), content_type=st.text(max_size=40))
def test_any_bytes_become_text(data: bytes, content_type: str) -> None:
    decoded = decode(data, content_type)
    decoded.text.encode("utf-8")
    assert python_name(decoded.charset) or decoded.charset.startswith("utf-16")
