"""Take it home: the program of a run as one script or notebook, its weights and its curve as files.

The script is not written a second time: the definitions that a run reaches are cut out of the modules of core/, comments
included, and put into one file. So it contains the very update that the page runs, and prints its history to the last
digit on the same machine.
"""

from __future__ import annotations

import ast
import builtins
import csv
import io
import json
import math
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from symtable import SymbolTable, symtable
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import torch

from core.config import Config
from core.training import Intervention, Run, replay

if TYPE_CHECKING:
    from nbformat import NotebookNode

WIDTH = 120  # characters of a line
DISTRIBUTIONS = {"PIL": "Pillow", "sklearn": "scikit-learn"}  # where pip's name of a package is another

Configs = Config | Mapping[str, Config]  # one run, or a race by name
Language = Literal["en", "zh"]


def script(
    config: Configs, interventions: Iterable[Intervention] = (), steps: int = 200, language: Language = "en"
) -> str:
    """A standalone program that trains `config` as the page does; run on its own it prints the history.

    Each line that it prints is one evaluation as JSON, {"step": …, "train": {…}, "test": {…}}, with "run" in a race.
    It keeps them in `history`: (step, scores) in order, in a race by name.

    Args:
        config: one config, or the configs of a race by name; each run of a race is trained on its own.
        interventions: made again where they were made, in every run.
        steps: updates of each run, unless its loss diverges before.
        language: of the sentences at the top.

    Raises:
        ValueError: no config, a value that cannot be written out as a literal, or two modules of core/ that mean
            different things by one name.
    """
    program = Program(config, tuple(interventions), steps)
    header = "\n".join(escaped(line) for line in [*program.sentences(language), "", f"    {program.installation()}"])
    cells = [f'"""{header}\n"""\n\n{program.imports()}', *program.sections().values(), program.training(), PRINT]
    plot = "\n".join(f"#     {line}".rstrip() for line in program.plot().splitlines())
    if program.race:
        cells[-1] = PRINT_RACE
    return "\n\n\n".join([*cells, f"# To plot it (pip install matplotlib):\n#\n{plot}"]) + "\n"


def notebook(
    config: Configs, interventions: Iterable[Intervention] = (), steps: int = 200, language: Language = "en"
) -> NotebookNode:
    """The program of `script` as a notebook (nbformat 4) that ends with a plot; arguments and errors as there."""
    from nbformat import v4  # here, because it takes a third of a second and only the download needs it

    program = Program(config, tuple(interventions), steps)
    title, *sentences = program.sentences(language)
    about = "\n".join([f"# {title}", *sentences, "", "```", program.installation(), "```"])
    cells = {"imports": program.imports(), **program.sections(), "training": program.training()}
    plot = f"try:\n{indented(program.plot())}\nexcept ImportError:\n    for row in history:\n        print(row)"
    if program.race:
        plot = plot.replace("for row in history:", "for row in history.items():")
    return v4.new_notebook(
        cells=[
            v4.new_markdown_cell(about, id="about"),
            *(v4.new_code_cell(source, id=name) for name, source in [*cells.items(), ("plot", plot)]),
        ],
        metadata={
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        },
    )


def weights(run: Run) -> bytes:
    """The model's state dict as a file, for `torch.load(…, weights_only=True)`."""
    file = io.BytesIO()
    torch.save(run.snapshot().state, file)  # a snapshot holds copies: of a view torch.save would write all it views
    return file.getvalue()


def curve_csv(runs: Mapping[str, Run]) -> str:
    """The histories as a table with the columns run, step, data, metric and value, to the last digit."""
    file = io.StringIO()
    table = csv.writer(file, lineterminator="\n")
    table.writerow(("run", "step", "data", "metric", "value"))
    for name, run in runs.items():
        for step, scores in run.history:
            for data, measured in scores.items():
                table.writerows((name, step, data, metric, repr(value)) for metric, value in measured.items())
    return file.getvalue()
