"""Reading a config.json: each field checked, one clear sentence where it cannot hold."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any, Final

from tilewise.errors import ConfigError

_NONE: Final[Any] = object()


@dataclass(frozen=True, slots=True)
class Fields:
    """A section of a config.json by the path of its name, "" at the top.

    ``absent`` holds what a field that is left out stands for; other fields must be there.
    """

    data: Mapping[str, Any]
    path: str
    absent: Mapping[str, Any]

    def section(self, name: str, absent: Mapping[str, Any]) -> Fields:
        """The section of this name."""
        value = self.data.get(name)
        if not isinstance(value, Mapping):
            raise self.fault(name, "an object")
        return Fields(value, self._named(name), absent)

    def __getitem__(self, name: str) -> Any:
        """The value of a field, or what it stands for where it is left out."""
        value = self.data.get(name, self.absent.get(name, _NONE))
        if value is _NONE:
            raise ConfigError(f"config.json: {self._named(name)} is missing. Complete the file.")
        return value

    def count(self, name: str, least: int = 1) -> int:
        """A whole number."""
        value = self[name]
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise self.fault(name, f"a whole number from {least} up")
        return value

    def number(self, name: str) -> float:
        """A number above 0."""
        value = self[name]
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise self.fault(name, "a number above 0")
        if not isfinite(value) or value <= 0:
            raise self.fault(name, "a number above 0")
        return float(value)

    def numbers(self, name: str) -> tuple[float, ...]:
        """A list of numbers."""
        value = self[name]
        is_list = isinstance(value, list) and all(
            isinstance(one, (int, float)) and not isinstance(one, bool) for one in value
        )
        if not is_list or not value:
            raise self.fault(name, "a list of numbers")
        return tuple(map(float, value))

    def flag(self, name: str) -> bool:
        """True or false."""
        value = self[name]
        if not isinstance(value, bool):
            raise self.fault(name, "true or false")
        return value

    def text(self, name: str, allowed: Collection[str]) -> str:
        """One of a few names."""
        value = self[name]
        if not isinstance(value, str) or value not in allowed:
            raise self.fault(name, " or ".join(map(repr, allowed)))
        return value

    def side(self, name: str) -> int:
        """A whole number, or a pair of equal ones."""
        value = self[name]
        if isinstance(value, (list, tuple)) and len(value) == 2 and value[0] == value[1]:
            value = value[0]
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise self.fault(name, "a whole number from 1 up or a pair of equal ones")
        return value

    def fixed(self, wanted: Mapping[str, object]) -> None:
        """Raises ConfigError where a field that is there has another value than the only one."""
        for name, only in wanted.items():
            value = self.data.get(name, only)
            if value != only or isinstance(value, bool) != isinstance(only, bool):
                raise self.fault(name, f"{only!r} alone")

    def fault(self, name: str, wanted: str) -> ConfigError:
        """The error for a field whose value cannot hold."""
        value = self.data.get(name, self.absent.get(name))
        return ConfigError(
            f"config.json: {self._named(name)} is {value!r}; {wanted} can be read. "
            "Correct it, or give a folder of InternVL 1.5 or Mini-InternVL."
        )

    def _named(self, name: str) -> str:
        return f"{self.path}.{name}" if self.path else name
