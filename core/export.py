"""Take it home: a run as one script or notebook, its weights and its curve as files.

No program is written a second time here: the definitions that a run reaches are cut out of the modules of core/, with
their comments, and put into one file. So the script contains the very update that the page runs.
"""

from __future__ import annotations

import ast
import builtins
import csv
import io
import math
import sys
from collections.abc import Iterable, Iterator, Mapping
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
PIP_NAMES = {"PIL": "Pillow", "sklearn": "scikit-learn"}  # of packages that are imported by another name
OWN_NAMES = (  # what the last lines of a script or notebook define; no definition that is cut out may have them
    *("config", "configs", "interventions", "run", "runs", "history"),
    *("name", "record", "metric", "data", "curve", "pyplot", "by_autograd", "difference"),
)

Configs = Config | Mapping[str, Config]  # one run, or a race: the configs by name
Language = Literal["en", "zh"]


# ---- public ----------------------------------------------------------------------------------------------------------


def script(
    config: Configs, interventions: Iterable[Intervention] = (), steps: int = 200, language: Language = "en"
) -> str:
    """A standalone program that trains `config` as the page does: on the same machine to the last digit.

    It keeps `history`, a list of (step, {"train": {…}, "test": {…}}), in a race a dict of one for each name. Run as a
    program it prints it as lines of JSON: {"step": …, "train": {…}, "test": {…}}, in a race with "run" before.

    Args:
        config: one config, or the configs of a race by name, each of which is trained on its own.
        interventions: made again where they were made, in every run.
        steps: updates of each run, fewer where the loss diverges.
        language: of the sentences at the top.

    Raises:
        ValueError: no config, a value that no literal can express, or a name that means two things in the modules that
            the run reaches.
    """
    collection, race = collect(config), isinstance(config, Mapping)
    header = [titled(config, steps, language), "", *explained(language), f"    {installation(collection)}"]
    imports = import_block({*collection.imports, Import("json")}, collection.typing)
    parts = [
        '"""' + "\n".join(map(escaped, header)) + f'\n"""\n\n{imports}',
        *collection.sections().values(),
        training(config, tuple(interventions), steps),
        PRINT_RACE if race else PRINT,
        *([f"# {DERIVED}\n#\n" + indented(CHECK, "#     ")] if has_reference(config) else []),
        "# With matplotlib:\n#\n" + indented(PLOT_RACE if race else PLOT, "#     "),
    ]
    return "\n\n\n".join(parts) + "\n"


def notebook(
    config: Configs, interventions: Iterable[Intervention] = (), steps: int = 200, language: Language = "en"
) -> NotebookNode:
    """The program of `script` as a notebook that ends with a plot; arguments and errors as there."""
    from nbformat import v4  # here: it takes a third of a second, and only this download needs it

    collection, race = collect(config), isinstance(config, Mapping)
    about = [f"# {titled(config, steps, language)}", *explained(language), f"```\n{installation(collection)}\n```"]
    plot, numbers = (PLOT_RACE, NUMBERS_RACE) if race else (PLOT, NUMBERS)
    code = {
        "imports": import_block(collection.imports, collection.typing),
        **collection.sections(),
        "training": training(config, tuple(interventions), steps),
        **({"check": f"# {DERIVED}\n{CHECK}"} if has_reference(config) else {}),
        "plot": f"try:\n{indented(plot)}\nexcept ImportError:\n{indented(numbers)}",
    }
    return v4.new_notebook(
        cells=[
            v4.new_markdown_cell("\n\n".join(about), id="about"),
            *(v4.new_code_cell(source, id=name.replace(".", "-")) for name, source in code.items()),
        ],
        metadata={
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        },
    )


def weights(run: Run) -> bytes:
    """The model's state dict as a file for `torch.load(…, weights_only=True)`, without what is only remembered for
    the pictures."""
    file, memories = io.BytesIO(), getattr(run.learner, "memories", ())
    state = run.snapshot().state  # of copies: with a view torch.save would write all that it is a view of
    torch.save({name: value for name, value in state.items() if name not in memories}, file)
    return file.getvalue()


def curve_csv(runs: Mapping[str, Run]) -> str:
    """The histories of runs as a table with the columns run, step, data, metric and value, to the last digit."""
    file = io.StringIO()
    table = csv.writer(file, lineterminator="\n")
    table.writerow(("run", "step", "data", "metric", "value"))
    for name, run in runs.items():
        for step, scores in run.history:
            for data, values in scores.items():
                table.writerows((name, step, data, metric, repr(value)) for metric, value in values.items())
    return file.getvalue()


# ---- the first and the last lines ------------------------------------------------------------------------------------

TRAIN = """run = replay(config, interventions, {steps})
history = [(record.step, record.scores) for record in run.history]"""

TRAIN_RACE = """runs = {{name: replay(config, interventions, {steps}) for name, config in configs.items()}}
history = {{name: [(record.step, record.scores) for record in run.history] for name, run in runs.items()}}"""

PRINT = """if __name__ == "__main__":
    for record in run.history:
        print(json.dumps({"step": record.step, **record.scores}))"""

PRINT_RACE = """if __name__ == "__main__":
    for name, run in runs.items():
        for record in run.history:
            print(json.dumps({"run": name, "step": record.step, **record.scores}))"""

DERIVED = "The gradients above are derived by hand. The same run by autograd, as far as rounding errors stay small:"

CHECK = """by_autograd = replay(config.reference(), interventions, 100)
difference = max(
    abs(mine.scores["train"]["Loss"] - other.scores["train"]["Loss"])
    for mine, other in zip(run.history, by_autograd.history)
)
print(f"largest difference of the losses: {difference:.1g}")"""

PLOT = """from matplotlib import pyplot

for metric in run.metrics:
    pyplot.figure()
    for data in history[0][1]:
        curve = [scores[data].get(metric.name, float("nan")) for _, scores in history]
        pyplot.plot([step for step, _ in history], curve, label=data)
    pyplot.xlabel("step")
    pyplot.ylabel(metric.name)
    pyplot.legend()
pyplot.show()"""

PLOT_RACE = """from matplotlib import pyplot

for metric in dict.fromkeys(metric for run in runs.values() for metric in run.metrics):
    pyplot.figure()
    for name in history:
        for data in history[name][0][1]:
            curve = [scores[data].get(metric.name, float("nan")) for _, scores in history[name]]
            pyplot.plot([step for step, _ in history[name]], curve, label=f"{name}, {data}")
    pyplot.xlabel("step")
    pyplot.ylabel(metric.name)
    pyplot.legend()
pyplot.show()"""

NUMBERS = """for record in history:
    print(*record)"""

NUMBERS_RACE = """for name in history:
    for record in history[name]:
        print(name, *record)"""


def titled(config: Configs, steps: int, language: Language) -> str:
    """What it is, in one line: the model, the settings that are not its defaults, and how long it trains."""
    what = ", ".join(config) if isinstance(config, Mapping) else in_short(config)
    return {
        "zh": f"{what}，{steps} 步：模型、数据与训练都在这一个文件里",
        "en": f"{what}, {steps} steps: the model, its data and its training in one file",
    }[language]


def has_reference(config: Configs) -> bool:
    """Whether its updates are no autograd's, and the config names a run with updates that are: `config.reference()`."""
    return hasattr(config, "reference")


def explained(language: Language) -> list[str]:
    """How it relates to the page."""
    return {
        "zh": ["这里训练的就是页面上的那段程序：在同一台机器上，用同样版本的软件包，每个数字都与页面完全相同。"],
        "en": [
            "It trains by the page's own code: on the same machine, with the same versions, every number is the page's."
        ],
    }[language]


def installation(collection: Collection) -> str:
    """The command that installs what the program imports, in the versions that are running now."""
    names = {PIP_NAMES.get(package, package) for package in collection.packages()}
    return " ".join(["pip install", *map(pinned, sorted(names, key=lambda name: (name != "torch", name.lower())))])


@lru_cache
def pinned(package: str) -> str:
    """The package and its version, without the build: torch==2.13.0 for 2.13.0+cpu."""
    try:
        return f"{package}=={version(package).partition('+')[0]}"
    except PackageNotFoundError:
        return package


def escaped(line: str) -> str:
    """The line as it can stand in a docstring."""
    return line.replace("\\", "\\\\").replace('"""', '\\"\\"\\"')


def training(config: Configs, interventions: tuple[Intervention, ...], steps: int) -> str:
    """The config and the interventions, written out, and what trains them."""
    if isinstance(config, Mapping):
        entries = [f"{literal(name)}: {construction(each, 4)}" for name, each in config.items()]
        chosen, train = f"configs = {stacked('{', entries, '}')}", TRAIN_RACE
    else:
        chosen, train = f"config = {construction(config)}", TRAIN
    made = [f"Intervention({step}, {literal(name)}, {literal(value, 4)})" for step, name, value in interventions]
    changed = f"interventions = {stacked('(', made, ')') if made else '()'}"
    return "\n".join([banner("the run"), "", chosen, changed, train.format(steps=literal(steps))])


# ---- values as literals ----------------------------------------------------------------------------------------------


def construction(config: Config, indent: int = 0) -> str:
    """The call that makes the config, with every field."""
    arguments = [f"{field.name}={literal(getattr(config, field.name), indent + 4)}" for field in fields(config)]
    return stacked(f"{type(config).__name__}(", arguments, ")", indent)


def in_short(config: Config) -> str:
    """The call with what differs from the defaults, or as much of it as a title holds."""
    values = {field: getattr(config, field.name) for field in fields(config)}
    text = ", ".join(f"{field.name}={value!r}" for field, value in values.items() if value != field.default)
    return f"{type(config).__name__}({text if len(text) < 70 else text[:69] + '…'})"


def stacked(opening: str, entries: list[str], closing: str, indent: int = 0) -> str:
    """The entries in brackets, one on a line."""
    return "\n".join([opening, *(f"{' ' * (indent + 4)}{entry}," for entry in entries), f"{' ' * indent}{closing}"])


def literal(value: Any, indent: int = 0) -> str:
    """The value as Python writes it, exact to the last digit; `indent` characters in, where it takes several lines.

    Raises:
        ValueError: the value is not made of None, truth values, numbers, strings, tuples, lists and dicts.
    """
    if value is None or isinstance(value, bool):
        return repr(value)
    if isinstance(value, float):
        return repr(float(value)) if math.isfinite(value) else f'float("{value}")'
    if isinstance(value, int):
        return repr(int(value))
    if type(value) is str:
        text = repr(value)
        return f'"{text[1:-1]}"' if text.startswith("'") and '"' not in text else text
    if type(value) is dict:
        items = [f"{literal(key)}: {literal(each, indent + 4)}" for key, each in value.items()]
        return bracketed("{", "}", items, indent)
    if type(value) in (tuple, list):
        items = [literal(item, indent + 4) for item in value]
        if type(value) is tuple and len(items) == 1:
            return f"({items[0]},)"
        opening, closing = ("(", ")") if type(value) is tuple else ("[", "]")
        return bracketed(opening, closing, items, indent)
    raise ValueError(f"cannot be written into a script: {value!r}")


def bracketed(opening: str, closing: str, items: list[str], indent: int) -> str:
    """The items in brackets on one line, or on as many as WIDTH asks for."""
    rows = [""]
    for item in items:
        if rows[-1] and indent + 4 + len(rows[-1]) + len(item) >= WIDTH:
            rows.append("")
        rows[-1] += f"{item}, "
    rows = [row.rstrip() for row in rows]
    if len(rows) == 1 and indent + len(rows[0]) < WIDTH - 40:  # the rest of the line is for a name
        return f"{opening}{rows[0].removesuffix(',')}{closing}"
    return "\n".join([opening, *(f"{' ' * (indent + 4)}{row}" for row in rows), f"{' ' * indent}{closing}"])


# ---- reading a module ------------------------------------------------------------------------------------------------


class Import(NamedTuple):
    """`import module`, or `from module import name`, with `as alias` where there is one."""

    module: str
    name: str = ""
    alias: str = ""

    @property
    def binds(self) -> str:
        """The name that it defines where it stands."""
        return self.alias or self.name or self.package

    @property
    def package(self) -> str:
        return self.module.partition(".")[0]

    @property
    def line(self) -> str:
        """The statement alone."""
        alias = f" as {self.alias}" if self.alias else ""
        return f"from {self.module} import {self.name}{alias}" if self.name else f"import {self.module}{alias}"


class Statement(NamedTuple):
    """One statement of a module's top level."""

    text: str  # with its decorators, its trailing comment and the comment lines right above it
    binds: frozenset[str]  # the names that it defines
    uses: frozenset[str]  # the names of the module that it needs
    imports: tuple[Import, ...]  # made inside of it, when it runs
    is_block: bool  # a function, a class: it stands apart from the others
    paragraph: int  # those of the same one stand together without an empty line
    heading: str  # the comment that heads this part of the module, or nothing


class Source(NamedTuple):
    """A module, read."""

    docstring: str
    statements: list[Statement]
    imports: dict[str, list[Import]]  # at its top level, by the name that they define
    typing: set[Import]  # those of them that only a type checker follows


@lru_cache(maxsize=256)
def read(module: str) -> Source:
    """The statements and imports of a module, without running it.

    Raises:
        ValueError: its source is not at hand.
    """
    spec = find_spec(module)
    if spec is None or not spec.has_location or spec.origin is None:
        raise ValueError(f"the source of {module} is not at hand")
    text = Path(spec.origin).read_text(encoding="utf-8")
    tree = ast.parse(text)
    lines = text.splitlines()
    source = Source(ast.get_docstring(tree) or "", [], {}, set())
    end, paragraph, heading = 0, 0, ""  # of the statement before
    for node in tree.body:
        start = min([node.lineno, *(decorator.lineno for decorator in getattr(node, "decorator_list", []))]) - 1
        between, end = lines[end:start], node.end_lineno or node.lineno
        apart = max((number for number, line in enumerate(between, start=1) if not line.strip()), default=0)
        heading = next((line for line in reversed(between[:apart]) if line.startswith("# --")), heading)
        paragraph += apart > 0
        if isinstance(node, ast.Import | ast.ImportFrom) or is_for_typing(node):
            found = list(imports_in(node))
            source.typing.update(found if is_for_typing(node) else ())
            for each in found:
                source.imports.setdefault(each.binds, []).append(each)
        elif not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)):  # no docstring
            bare = "\n".join(lines[start:end])
            source.statements.append(
                Statement(
                    "\n".join([*between[apart:], bare]), *names_of(symtable(bare, module, "exec")),
                    tuple(imports_in(node)), hasattr(node, "body"), paragraph, heading,
                )
            )  # fmt: skip
    return source


def is_for_typing(node: ast.AST) -> bool:
    """Whether a statement is `if TYPE_CHECKING:` with nothing but imports."""
    return (
        isinstance(node, ast.If)
        and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")
        and all(isinstance(each, ast.Import | ast.ImportFrom) for each in [*node.body, *node.orelse])
    )


def imports_in(statement: ast.AST) -> Iterator[Import]:
    """Every import in a statement, however deep; `find_spec("package")` counts as one."""
    for node in ast.walk(statement):
        if isinstance(node, ast.Import):
            yield from (Import(each.name, "", each.asname or "") for each in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (Import(node.module or "", each.name, each.asname or "") for each in node.names)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("find_spec"):
            yield from (Import(str(each.value)) for each in node.args if isinstance(each, ast.Constant))


def names_of(table: SymbolTable) -> tuple[frozenset[str], frozenset[str]]:
    """The names that a statement defines for its module, and those that it needs of it or of Python."""
    symbols = table.get_symbols()
    binds = {symbol.get_name() for symbol in symbols if symbol.is_assigned() or symbol.is_imported()}
    uses = {symbol.get_name() for symbol in symbols if symbol.is_referenced()}
    inner = list(table.get_children())
    while inner:
        scope = inner.pop()
        uses |= {symbol.get_name() for symbol in scope.get_symbols() if symbol.is_global()}
        inner += scope.get_children()
    return frozenset(binds), frozenset(uses)


# ---- collecting what a run reaches -----------------------------------------------------------------------------------


def collect(config: Configs) -> Collection:
    """All that one run, or a race, of these configs needs: the training loop and what the configs build.

    Raises:
        ValueError: as of `script`.
    """
    kinds = [type(each) for each in (config.values() if isinstance(config, Mapping) else [config])]
    if not kinds:
        raise ValueError("no config to write a script of")
    home = replay.__module__
    collection = Collection({module.partition(".")[0] for module in (home, *(kind.__module__ for kind in kinds))})
    for module, name in [(home, "replay"), (home, "Intervention"), *((k.__module__, k.__qualname__) for k in kinds)]:
        collection.need(module, name)
    if hidden := sorted(collection.python.keys() & collection.meanings.keys()):
        name = hidden[0]
        raise ambiguous(name, f"Python for {collection.python[name]}", collection.meanings[name])
    return collection


class Collection:
    """Statements and imports of modules: those that are asked for, and all that they need in turn."""

    def __init__(self, packages: set[str]):
        self.own = packages  # whose definitions are cut out; what lies in other packages is imported
        self.kept: dict[str, set[int]] = {}  # the statements, by module
        self.imports: set[Import] = set()
        self.typing: set[Import] = set()  # needed by a type checker only
        self.meanings = dict.fromkeys(OWN_NAMES, "the script's last lines") | {"json": "import json"}  # of the names
        self.python: dict[str, str] = {}  # names that Python defines, and a module that needs each

    def need(self, module: str, name: str) -> None:
        """Add what `name` means in `module`, and all that this needs.

        Raises:
            ValueError: the name is not defined there, or has already been added with another meaning.
        """
        source = read(module)
        places = [number for number, statement in enumerate(source.statements) if name in statement.binds]
        imports = source.imports.get(name, [])
        for number in places:
            self.keep(module, number)
        for each in imports:
            if each.package not in self.own:
                self.claim(name, each.line if each.name or each.alias else f"import {name}")
                (self.typing if each in source.typing else self.imports).add(each)
            elif each.name and not each.alias:
                self.need(each.module, each.name)
            else:
                raise ValueError(f"{module}: {each.line} cannot be cut out; import the names as they are")
        if not places and not imports:
            if not hasattr(builtins, name):
                raise ValueError(f"{module} neither defines nor imports {name!r}, which it needs")
            self.python[name] = module

    def keep(self, module: str, number: int) -> None:
        """Add a statement, and with a module's first one those that define nothing: they change how the others run."""
        statements = read(module).statements
        if module not in self.kept:
            self.kept[module] = set()
            for other, statement in enumerate(statements):
                if not statement.binds:
                    self.keep(module, other)
        if number in self.kept[module]:
            return
        self.kept[module].add(number)
        for each in statements[number].imports:
            if each.package in self.own:
                raise ValueError(f"{module}: {each.line} inside of a definition cannot be cut out")
        for name in sorted(statements[number].binds):
            self.claim(name, module)
        for name in sorted(statements[number].uses):
            self.need(module, name)

    def claim(self, name: str, meaning: str) -> None:
        if self.meanings.setdefault(name, meaning) != meaning:
            raise ambiguous(name, self.meanings[name], meaning)

    def modules(self) -> list[str]:
        """The modules of which something is kept, each after those that it imports from."""
        seen: dict[str, None] = {}

        def visit(module: str) -> None:
            source = read(module)
            every = [each for imports in source.imports.values() for each in imports if each not in source.typing]
            for name in dict.fromkeys(each.module for each in every if each.package in self.own):
                if name not in seen:
                    visit(name)
            seen[module] = None

        for module in self.kept:
            if module not in seen:
                visit(module)
        return [module for module in seen if module in self.kept]

    def sections(self) -> dict[str, str]:
        """What is kept of each module, as it stands there, under a line with the module's name and what it says."""
        return {module: section(module, sorted(self.kept[module])) for module in self.modules()}

    def packages(self) -> set[str]:
        """The packages to install."""
        kept = [read(module).statements[number] for module, numbers in self.kept.items() for number in numbers]
        imports = self.imports.union(*(statement.imports for statement in kept))
        return {each.package for each in imports} - set(sys.stdlib_module_names)


def ambiguous(name: str, first: str, second: str) -> ValueError:
    return ValueError(f"{name!r} means two things in one script: that of {first} and that of {second}; rename one")


# ---- text ------------------------------------------------------------------------------------------------------------


def section(module: str, numbers: list[int]) -> str:
    """Some statements of a module, with its docstring and with the headings that stand above them."""
    source = read(module)
    text = "\n".join([banner(" / ".join(module.split(".")[1:]) or module), "#", *commented(source.docstring)])
    before: Statement | None = None
    for statement in (source.statements[number] for number in numbers):
        gap = "\n\n\n" if before is None or before.is_block or statement.is_block else "\n\n"
        if statement.heading and (before is None or before.heading != statement.heading):
            text += f"\n\n\n{statement.heading}"
        elif before and gap == "\n\n" and before.paragraph == statement.paragraph:
            gap = "\n"
        text += gap + statement.text
        before = statement
    return text


def banner(title: str) -> str:
    return f"# ==== {title} ".ljust(WIDTH, "=")


def commented(text: str) -> list[str]:
    return [f"# {line}".rstrip() for line in text.splitlines()]


def import_block(imports: Iterable[Import], typing: Iterable[Import] = ()) -> str:
    """The imports at the top of a script: Python's own, then the packages', then those of a type checker."""
    imports, typing = set(imports), set(typing) - set(imports)
    if typing:
        imports.add(Import("typing", "TYPE_CHECKING"))
    pythons = {each for each in imports if each.package in sys.stdlib_module_names}
    blocks = ["from __future__ import annotations", import_lines(pythons), import_lines(imports - pythons)]
    if typing:
        blocks.append("if TYPE_CHECKING:\n" + indented(import_lines(typing)))
    return "\n\n".join(block for block in blocks if block)


def import_lines(imports: set[Import]) -> str:
    """One line for each module, and one for each alias, in the order that formatters give them."""
    whole = sorted(each.line for each in imports if not each.name)
    members: dict[str, list[str]] = {}
    for each in sorted(imports, key=lambda each: (each.module, order_of(each.name))):
        if each.name:
            members.setdefault(each.module, []).append(each.line.partition(" import ")[2])
    lines = [f"from {module} import {', '.join(names)}" for module, names in members.items()]
    wrapped = [stacked(f"from {module} import (", names, ")") for module, names in members.items()]
    return "\n".join(
        [*whole, *(line if len(line) <= WIDTH else tall for line, tall in zip(lines, wrapped, strict=True))]
    )


def order_of(name: str) -> tuple[int, str]:
    """Constants before classes before functions."""
    return (0 if name.isupper() and len(name) > 1 else 1 if name[:1].isupper() else 2), name


def indented(text: str, start: str = "    ") -> str:
    return "\n".join(f"{start}{line}".rstrip() for line in text.splitlines())
