"""What tests of every lesson need to know of one."""

from importlib import import_module

from core.config import Span


def a_slider(stem: str) -> tuple[str, tuple]:
    """The key of a lesson's first numeric setting, and two values that it can have."""
    config = type(next(iter(import_module(f"core.{stem}").PRESETS.values())))
    for name, limits in config.LIMITS.items():
        if isinstance(limits, range) and len(limits) > 2:
            return f"{stem}_{name}", (limits[1], limits[2])
        if isinstance(limits, Span):
            return f"{stem}_{name}", (limits.low, limits.high)
    raise LookupError(stem)
