"""Pictures that need not be drawn again: a class that moves the same slider sees the same picture thirty times.

A picture is a function of config and snapshot, so one that was drawn for some viewer serves all who have equal ones: the
same link, a preset, a pause, a slider that is moved back.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from dataclasses import is_dataclass
from functools import partial
from hashlib import blake2b
from threading import Lock
from typing import Any

from core.config import Config
from core.training import Snapshot
from pages.ui.scene import Scene
from pages.ui.text import language

KEPT = 24  # pictures, of up to 35 kB as they are sent
LARGEST = 200_000  # bytes of weights that are compared
PLAIN = (str, int, float, bool, type(None))

kept: OrderedDict[Hashable, Scene] = OrderedDict()  # the one asked for last is at its end
guard = Lock()


def drawn(draw: Callable[..., Scene], configs: Config | Mapping[str, Config], snapshots: Snapshot | Mapping[str, Snapshot]) -> Scene:  # fmt: skip
    """`draw(configs, snapshots)`, or what it gave when the same was drawn before."""
    key = key_of(draw, configs, snapshots)
    if key is None:
        return draw(configs, snapshots)
    with guard:
        scene = kept.pop(key, None)
    if scene is None:
        scene = draw(configs, snapshots)
    with guard:
        kept[key] = scene
        while len(kept) > KEPT:
            kept.popitem(last=False)
    return scene


def key_of(draw: Callable, configs: Config | Mapping, snapshots: Snapshot | Mapping) -> Hashable | None:
    """Equal for what looks the same; None where that cannot be told: a function of the page, which may know what it was
    not given, an argument that can change, or too many weights to compare."""
    function, arguments = (draw.func, (*draw.args, *sorted(draw.keywords.items()))) if isinstance(draw, partial) else (draw, ())  # fmt: skip
    if not getattr(function, "__module__", "").startswith("pages.ui.") or not is_plain(arguments):
        return None
    several = isinstance(configs, Mapping)
    states = list(snapshots.items()) if several else [("", snapshots)]
    if sum(tensor.nbytes for _, snapshot in states for tensor in snapshot.state.values()) > LARGEST:
        return None
    named = tuple(configs.items()) if several else configs
    return function, arguments, language(), named, tuple((name, fingerprint(snapshot)) for name, snapshot in states)


def fingerprint(snapshot: Snapshot) -> Hashable:
    """Of the step, and of the names, shapes and values of all weights."""
    digest = blake2b(digest_size=16)
    for tensor in snapshot.state.values():
        digest.update(tensor.contiguous().numpy())
    shapes = tuple((name, tensor.dtype, tuple(tensor.shape)) for name, tensor in snapshot.state.items())
    return snapshot.step, shapes, digest.digest()


def is_plain(value: Any) -> bool:
    """Whether it is made of texts and numbers alone, and so stays what it is."""
    if isinstance(value, tuple):
        return all(is_plain(each) for each in value)
    if is_dataclass(value) and not isinstance(value, type):
        return bool(value.__dataclass_params__.frozen) and all(is_plain(each) for each in vars(value).values())  # type: ignore[attr-defined]
    return isinstance(value, PLAIN)
