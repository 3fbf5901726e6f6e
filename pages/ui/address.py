"""Values as text for the address bar, and back exactly."""

from __future__ import annotations

import ast
import math
from collections.abc import Iterable
from typing import Any

from core.config import Limits
from core.training import Intervention

LISTED = "~"  # between the items of a tuple; needs no escaping in an address
SHORT = {"learning_rate": "lr"}  # names that are shorter in the address
LONG = {short: name for name, short in SHORT.items()}
LONGEST = 2_000  # characters of a value in an address; browsers and messengers cut longer links off
LAST_STEP = 10**9  # no run gets so far


def encode(value: Any) -> str:
    """A value as text for the address; `decode` gives it back exactly."""
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, tuple):
        return LISTED.join(map(encode, value))
    if isinstance(value, float):
        return repr(value).removesuffix(".0")
    return str(value)


def fits(value: Any) -> bool:
    """Whether a value is short enough for an address."""
    return not isinstance(value, (tuple, str)) or (len(value) <= LONGEST and len(encode(value)) <= LONGEST)


def decode(text: str, default: Any, limits: Limits | None) -> Any:
    """The value that `encode` wrote; ValueError where the text is none of that kind."""
    if isinstance(default, bool):
        if text not in ("0", "1"):
            raise ValueError(text)
        return text == "1"
    if isinstance(default, tuple):
        own = default[0] if default and limits is None else 0.0
        kind = "" if isinstance(limits, tuple) else 0 if isinstance(limits, range) else own
        return tuple(decode(item, kind, limits) for item in text.split(LISTED)) if text else ()
    return type(default)(text)


def encode_interventions(interventions: Iterable[Intervention]) -> str:
    """What was changed on the way: `120~lr~0.001~300~kernel~(0.0,1.5)`, three parts each."""
    parts = [(str(i.step), SHORT.get(i.name, i.name), repr(i.value).replace(" ", "")) for i in interventions]
    return LISTED.join(LISTED.join(part) for part in parts)


def decode_interventions(text: str) -> tuple[Intervention, ...]:
    """What `encode_interventions` wrote; ValueError for anything else."""
    parts = text.split(LISTED) if text else []
    if len(parts) % 3:
        raise ValueError(text)
    found = []
    for step, name, value in zip(parts[::3], parts[1::3], parts[2::3], strict=True):
        if not (step.isascii() and step.isdigit() and int(step) < LAST_STEP):
            raise ValueError(step)
        found.append(Intervention(int(step), LONG.get(name, name), literal(value)))
    return tuple(found)


def literal(text: str) -> Any:
    """A number, a word, or a tuple of such, as Python writes them; ValueError for anything else."""
    try:
        value = ast.literal_eval(text)
    except (SyntaxError, MemoryError, RecursionError, TypeError) as error:
        raise ValueError(text) from error
    if not plain(value):
        raise ValueError(text)
    return value


def plain(value: Any) -> bool:
    """Whether it is a finite number, a word, or a tuple of such."""
    if isinstance(value, tuple):
        return all(map(plain, value))
    return isinstance(value, (int, str)) or (isinstance(value, float) and math.isfinite(value))
