"""Settings and their limits: everything inside is accepted, everything else is named."""

import math
import pickle
from dataclasses import FrozenInstanceError, dataclass, replace
from typing import ClassVar

import pytest

from core.config import Config, SettingError, Span, check, describe, limits_of

CHOICES = ("max", "average", "none")


@dataclass(frozen=True, kw_only=True)
class Settings(Config):
    kernel: int = 3
    width: int = 8
    rate: float = 0.5
    pooling: str = "max"
    sizes: tuple[int, ...] = (1, 2)
    power: int = 2
    flip: bool = False
    note: str = "anything"  # without limits

    LIMITS: ClassVar = {
        "kernel": range(1, 8),
        "width": range(4, 33, 4),
        "rate": Span(0.0, 1.0),
        "pooling": CHOICES,
        "sizes": range(1, 4),
        "power": (1, 2),
    }


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("kernel", 1), ("kernel", 7), ("width", 4), ("width", 32), ("power", 1), ("flip", True), ("note", "")),
        *(("rate", 0.0), ("rate", 1.0), ("rate", 1), ("rate", 0), ("pooling", "none")),
        *(("sizes", (1,)), ("sizes", (3, 3, 3)), ("seed", 9_999), ("learning_rate", 0.0), ("learning_rate", 100)),
    ],
)
def test_values_inside_their_limits(field, value):
    assert getattr(Settings(**{field: value}), field) == value


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(
            ("kernel", value)
            for value in (0, 8, -1, 10**30, True, False, 3.0, "3", None, math.nan, [3], (3,), (), b"3")
        ),
        *(("width", value) for value in (5, 36, 0)),
        *(("rate", value) for value in (-0.001, 1.001, math.nan, math.inf, -math.inf, True, "0.5", None, 1j, (0.5,))),
        *(("pooling", value) for value in ("Max", "", "median", None, 0, True, ["max"], ("max",), ())),
        *(("sizes", value) for value in ((), (0,), (1, 4), (1, True), (1, 2.0), (1, "2"), (1, None), 1, [1, 2], "12")),
        *(("power", value) for value in (True, 1.0, 3, "1", (1, 2))),
        *(("flip", value) for value in (0, 1, "yes", None, (True,))),
        *(("seed", value) for value in (-1, 10_000, 0.5, True, "0", None, (0,))),
        *(("learning_rate", value) for value in (-0.1, 100.1, math.nan, math.inf, True, "fast", None)),
    ],
)
def test_values_outside_their_limits_or_of_the_wrong_kind(field, value):
    with pytest.raises(SettingError) as error:
        Settings(**{field: value})
    assert isinstance(error.value, ValueError)
    assert error.value.field == field
    assert str(error.value).startswith(f"{field} must be ")


def test_replacing_a_value_checks_it_again():
    with pytest.raises(SettingError):
        replace(Settings(), kernel=9)


def test_a_config_is_a_value():
    settings = Settings(kernel=5)
    assert settings == Settings(kernel=5) != Settings()
    assert len({settings, Settings(kernel=5)}) == 1
    assert pickle.loads(pickle.dumps(settings)) == settings
    with pytest.raises(FrozenInstanceError):
        settings.kernel = 4


def test_limits_of_a_config_include_the_shared_ones():
    limits = limits_of(Settings)
    assert limits["seed"] == range(10_000)
    assert limits["learning_rate"] == Span(0.0, 100.0)
    assert {name: limits[name] for name in Settings.LIMITS} == Settings.LIMITS


def test_a_config_may_narrow_the_shared_limits():
    @dataclass(frozen=True, kw_only=True)
    class Careful(Config):
        LIMITS: ClassVar = {"learning_rate": Span(0.0, 0.1)}

    assert Careful(learning_rate=0.1).learning_rate == 0.1
    with pytest.raises(SettingError):
        Careful(learning_rate=0.2)


def test_the_error_knows_what_was_wrong():
    with pytest.raises(SettingError, match=r"^kernel must be 1–7, got 9$") as error:
        Settings(kernel=9)
    assert (error.value.field, error.value.value, error.value.limits) == ("kernel", 9, range(1, 8))


@pytest.mark.parametrize(
    ("limits", "text"),
    [
        (range(1, 8), "1–7"),
        (range(4, 33, 4), "4, 8, …, 32"),
        (range(2, 5, 2), "2, 4"),
        (Span(0.0, 0.5), "0–0.5"),
        (CHOICES, "max, average, none"),
        ((1, 2), "1, 2"),
        (tuple(range(40)), "0, 1, 2, …, 39"),
    ],
)
def test_description_of_limits(limits, text):
    assert describe(limits) == text


def test_check_accepts_one_value_per_block():
    check("kernel", (1, 2, 3), range(1, 4))
    check("pooling", ("max", "none"), CHOICES)
    with pytest.raises(SettingError) as error:
        check("kernel", (1, 2, 9), range(1, 4))
    assert error.value.value == 9
