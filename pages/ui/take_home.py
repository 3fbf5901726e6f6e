"""Take it home: the run as a script, a notebook, a table and its weights, each made when it is asked for."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

import streamlit as st

from core.training import Race
from pages.ui.text import language, t, term
from pages.ui.turns import TURNS

STEPS = 200  # of a script for a run that has not begun


def offer(stem: str, race: Race) -> None:
    """A closed part under the curves; open, it has the downloads and shows the script."""
    part = st.expander(
        t("带走：PyTorch 代码、曲线和权重", "Take it home: the PyTorch code, the curve and the weights"),
        icon=":material/home_work:",
        key=f"{stem}_take_home",
        on_change="rerun",
    )
    if not part.open:
        return
    words = language()  # a download is made outside of the viewer's session
    with part:
        st.caption(
            t(
                f"下面的程序不需要本网站：同样的设置和改动，训练到第 {reach(race):,} 步，在同一台机器上曲线一字不差。",
                "The program below needs nothing of this site: the same settings and changes, trained up to step "
                f"{reach(race):,}, give the same curve on the same machine, to the last digit.",
            )
        )
        with st.container(horizontal=True, gap="small"):
            script_file = f"{stem}_script.py"
            download(script_file, t("程序 .py", "Script .py"), ":material/code:", lambda: script(race, words).encode())
            download(
                f"{stem}_notebook.ipynb", t("笔记本 .ipynb", "Notebook .ipynb"), ":material/book:",
                lambda: notebook(race, words),
            )  # fmt: skip
            download(f"{stem}_curve.csv", t("曲线 .csv", "Curve .csv"), ":material/table:", lambda: curve(race))
            for name in race.runs:
                which = ("", "") if len(race.runs) == 1 else (f"_{name}", f" · {term(name)}")
                download(
                    f"{stem}_weights{which[0]}.pt", t("权重 .pt", "Weights .pt") + which[1], ":material/save:",
                    lambda name=name: weights(race, name),
                )  # fmt: skip
        st.code(script(race, words), language="python", height=480)


def download(file: str, label: str, icon: str, make: Callable[[], bytes]) -> None:
    """A button that makes the file when it is pressed, also while the run trains; nothing is redrawn."""
    st.download_button(
        label, make, file_name=file, icon=icon, on_click="ignore", key=f"download_{file.partition('.')[0]}"
    )


def reach(race: Race) -> int:
    """The step that a script goes to."""
    return race.steps or STEPS


def script(race: Race, words: str) -> str:
    from core.export import script  # here and below: only who opens this part pays for it

    return script(*made_of(race), language=words)


def notebook(race: Race, words: str) -> bytes:
    import nbformat

    from core.export import notebook

    return nbformat.writes(notebook(*made_of(race), language=words)).encode()


def curve(race: Race) -> bytes:
    from core.export import curve_csv

    with between_steps():
        return curve_csv(race.runs).encode("utf-8-sig")  # the mark lets spreadsheets read Chinese


def weights(race: Race, name: str) -> bytes:
    from core.export import weights

    with between_steps():
        return weights(race.runs[name])


def between_steps() -> AbstractContextManager[None]:
    """A download is made in a thread of its own. While this lasts no run trains: of all weights the step is the same."""
    return TURNS.slice(alive=lambda: None)


def made_of(race: Race) -> tuple:
    """What the exporter needs: the config or the race's configs, what was changed on the way, and how far."""
    configs = race.configs
    first = next(iter(race.runs.values()))
    return next(iter(configs.values())) if len(configs) == 1 else configs, tuple(first.interventions), reach(race)
