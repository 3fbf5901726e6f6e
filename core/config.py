"""What a lesson can be set to: a frozen dataclass whose limits stand beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar, NamedTuple


class Span(NamedTuple):
    """An interval of real numbers, both ends included."""

    low: float
    high: float
    step: float = 0.01  # what one notch of a slider changes


LISTED_CHOICES = 16  # of a description, at most

Limits = range | Span | tuple  # whole numbers | real numbers | a list of choices


class SettingError(ValueError):
    """A setting outside its limits; `field`, `value` and `limits` say which."""

    def __init__(self, field: str, value: Any, limits: Limits):
        self.field, self.value, self.limits = field, value, limits
        super().__init__(f"{field} must be {describe(limits)}, got {value!r}")


@dataclass(frozen=True, kw_only=True)
class Config:
    """The settings of one run. Equal configs train to bit-equal histories."""

    seed: int = 0  # of the run's own generator: initial weights, batches, noise
    learning_rate: float = 0.01  # at the start; a change on the way is an intervention

    LIMITS: ClassVar[dict[str, Limits]] = {}
    ADJUSTABLE: ClassVar[tuple[str, ...]] = ("learning_rate",)  # what may be moved while it trains, beside it others
    # Somebody's own data: field → another field, and the values of that with which it is looked at; idle otherwise.
    OWN_DATA: ClassVar[dict[str, tuple[str, tuple]]] = {}

    @property
    def has_learning_rate(self) -> bool:
        """Whether the learning rate changes anything."""
        return True

    def __post_init__(self):
        limits = limits_of(type(self))
        for field in fields(self):
            value, bounds = getattr(self, field.name), limits.get(field.name)
            if isinstance(field.default, bool):
                bounds = (False, True)
            if bounds is None:
                continue
            if isinstance(value, tuple) != isinstance(field.default, tuple):  # one number where one per block belongs
                raise SettingError(field.name, value, bounds)
            check(field.name, value, bounds)


def idle(config: type[Config], settings: Mapping[str, Any]) -> set[str]:
    """The fields of somebody's own data that a config of these settings does not look at."""
    return {own for own, (field, values) in config.OWN_DATA.items() if settings[field] not in values}


def limits_of(config: type[Config]) -> dict[str, Limits]:
    """The limits of every limited field of `config`, its own and the two that all configs share."""
    shared: dict[str, Limits] = {"seed": range(10_000), "learning_rate": Span(0.0, 100.0)}
    names = {field.name for field in fields(config)}
    return {name: limits for name, limits in (shared | config.LIMITS).items() if name in names}


def check(name: str, value: Any, limits: Limits) -> None:
    """Raise SettingError unless `value` lies within `limits`; a tuple of values is checked one by one."""
    if isinstance(value, tuple) and value not in tuple(limits):
        if not value:
            raise SettingError(name, value, limits)
        for item in value:
            check(name, item, limits)
        return
    if isinstance(limits, Span):
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        inside = number and limits.low <= value <= limits.high
    elif isinstance(limits, range):
        inside = isinstance(value, int) and not isinstance(value, bool) and value in limits
    else:
        inside = any(type(value) is type(choice) and value == choice for choice in limits)  # True is no 1
    if not inside:
        raise SettingError(name, value, limits)


def describe(limits: Limits) -> str:
    """The limits in a few characters and in no language: `1–7`, `4, 8, …, 32`, `0.0–1.0`, `max, average, none`; of many
    choices the first and the last."""
    if isinstance(limits, Span):
        return f"{limits.low:g}–{limits.high:g}"
    if isinstance(limits, range) and limits.step == 1:
        return f"{limits[0]}–{limits[-1]}"
    if isinstance(limits, range):
        return ", ".join(map(str, limits if len(limits) < 4 else (*limits[:2], "…", limits[-1])))
    if len(limits) > LISTED_CHOICES:
        limits = (*limits[:3], "…", limits[-1])
    return ", ".join(map(str, limits))
