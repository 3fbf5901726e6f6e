"""Values as text for the address bar, and back exactly."""

from __future__ import annotations

from typing import Any

from core.config import Limits

LISTED = "~"  # between the items of a tuple; needs no escaping in an address


def encode(value: Any) -> str:
    """A value as text for the address; `decode` gives it back exactly."""
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, tuple):
        return LISTED.join(map(encode, value))
    if isinstance(value, float):
        return repr(value).removesuffix(".0")
    return str(value)


def decode(text: str, default: Any, limits: Limits | None) -> Any:
    """The value that `encode` wrote; ValueError where the text is none of that kind."""
    if isinstance(default, bool):
        if text not in ("0", "1"):
            raise ValueError(text)
        return text == "1"
    if isinstance(default, tuple):
        kind = "" if isinstance(limits, tuple) else 0 if isinstance(limits, range) else 0.0
        return tuple(decode(item, kind, limits) for item in text.split(LISTED)) if text else ()
    return type(default)(text)
