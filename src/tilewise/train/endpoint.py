"""A language model behind an address, asked as OpenAI's chat completions are."""

from __future__ import annotations

import http.client
import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

from tilewise.errors import ConfigError, DataError
from tilewise.train.draw import uniform

_AGAIN: Final = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})
"""Answers by which a server says that it will do later."""

_REFUSED: Final = frozenset({400, 413, 422})
"""Answers by which a server refuses this one text."""

_BYTES: Final = 1 << 24


class RefusedError(Exception):
    """The server took the request and will not answer this text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where and how a model is asked.

    ``address``: of the API, as in ``https://host/v1``. ``key`` is sent as a bearer token, "" for
    none, and is part of no message. ``tries``: of one request, with pauses from ``pause_s`` on that
    double, up to a minute, or as long as the server asks.
    """

    address: str
    model: str
    key: str = field(default="", repr=False)
    timeout_s: float = 120.0
    tries: int = 6
    pause_s: float = 1.0

    def __post_init__(self) -> None:
        parts = urlsplit(self.address)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigError(
                f"the endpoint is {self.address!r}; an address such as http://localhost:8000/v1 is "
                "needed."
            )
        if not self.model:
            raise ConfigError("the endpoint's model has no name; give --model.")
        if self.tries < 1:
            raise ConfigError(f"{self.tries} tries were asked for; 1 or more are allowed.")

    def ask(self, system: str, text: str, sleep: Callable[[float], object] = time.sleep) -> str:
        """What the model answers.

        Args:
            system: the instruction.
            text: the user's message.
            sleep: waits.

        Raises:
            RefusedError: this text is refused.
            DataError: the server cannot be reached, refuses every text, or fails at each try.
        """
        body = json.dumps(
            {
                "model": self.model,
                "temperature": 0,
                "messages": [
                    {"role": "system", "content": system},
                    {"role": "user", "content": text},
                ],
            }
        ).encode()
        for number in range(self.tries):
            try:
                return _said(self._post(body))
            except urllib.error.HTTPError as err:
                with err:
                    reason, wait_s = self._judged(err)
            except (OSError, http.client.HTTPException, _OddError) as err:
                reason, wait_s = str(getattr(err, "reason", err)) or type(err).__name__, 0.0
            if number + 1 < self.tries:
                jitter = 0.5 + uniform(number, len(body))
                sleep(min(60.0, max(wait_s, self.pause_s * 2**number * jitter)))
        raise DataError(
            f"{self.address} failed {self.tries} times, at last so: {reason}. See whether it runs; "
            "the same command goes on where this one stopped."
        )

    def _post(self, body: bytes) -> bytes:
        request = urllib.request.Request(
            self.address.rstrip("/") + "/chat/completions",
            data=body,
            headers={"Content-Type": "application/json"}
            | ({"Authorization": f"Bearer {self.key}"} if self.key else {}),
        )
        with urllib.request.urlopen(request, timeout=self.timeout_s) as response:
            data = response.read(_BYTES + 1)
        if len(data) > _BYTES:
            raise _OddError("its answer is over 16 MiB")
        return bytes(data)

    def _judged(self, err: urllib.error.HTTPError) -> tuple[str, float]:
        """Why and how long to wait, where trying again may help."""
        said = " ".join(err.read(500).decode("utf-8", "replace").split())[:200]
        reason = f"status {err.code} ({said or err.reason})"
        if err.code in _REFUSED:
            raise RefusedError(reason) from err
        if err.code not in _AGAIN:
            raise DataError(
                f"{self.address} answers with {reason}; see whether address, model and key are "
                "right."
            ) from err
        after = err.headers.get("Retry-After", "")
        return reason, float(after) if after.isdecimal() else 0.0


class _OddError(Exception):
    """The server answered something else than a completion."""


def _said(data: bytes) -> str:
    try:
        found: Any = json.loads(data)
        text = found["choices"][0]["message"]["content"]
    except (ValueError, LookupError, TypeError) as err:
        raise _OddError(f"its answer is no chat completion: {data[:80]!r}") from err
    if not isinstance(text, str):
        raise _OddError("its answer holds no text")
    return text
