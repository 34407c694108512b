"""Characters out of bytes that come one by one, and text that is none."""

from __future__ import annotations

import codecs
from collections.abc import Callable, Iterable, Sequence

from tilewise.errors import PromptError


def check_unicode(text: str) -> None:
    """See that a text can be written as UTF-8; raises PromptError.

    A command line whose bytes are of another encoding arrives with lone surrogates.
    """
    try:
        text.encode()
    except UnicodeEncodeError as err:
        raise PromptError(
            f"the text is no Unicode at its character {err.start + 1} ({text[err.start]!r}); "
            "give it in UTF-8."
        ) from err


def unfinished(ids: Sequence[int], byte_of: Callable[[int], int | None]) -> int:
    """How many ids at the end are the first bytes of a character that may still come."""
    tail: list[int] = []
    for token in reversed(ids[-3:]):
        byte = byte_of(token)
        if byte is None:
            break
        tail.insert(0, byte)
    for start in range(len(tail)):  # the longest tail that is the start of one character
        decoder = codecs.getincrementaldecoder("utf-8")()
        try:
            if decoder.decode(bytes(tail[start:])) == "":
                return len(tail) - start
        except UnicodeDecodeError:
            continue
    return 0


def joined(parts: Iterable[bytes | None]) -> str:
    """Bytes of tokens → text; None stands for a token without text, within which none goes on.

    Bytes that are no character become U+FFFD; those at the very end that may still become one
    are left out, so that the text of the first parts is the start of the text of all.
    """
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    return "".join(
        decoder.decode(b"", final=True) if part is None else decoder.decode(part) for part in parts
    )
