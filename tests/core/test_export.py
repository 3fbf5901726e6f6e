"""Take it home: the exported programs train, on their own, to the history of the run here.

The scripts run in an empty directory by a Python that sees nothing of this repository. How they are cut out is tried on
a small package that is written for it, and then on every lesson of core/.
"""

import ast
import codeop
import csv
import importlib
import importlib.metadata
import io
import json
import math
import os
import subprocess
import sys
import types
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path

import nbformat
import pytest
import torch

from core.config import Config
from core.export import Import, curve_csv, import_block, literal, notebook, read, script, weights
from core.training import Intervention, Race, Run, replay

STEPS = 60
ALLOWED = {"torch", "numpy", "sklearn", "PIL", "gymnasium"}  # beside the standard library

PACKAGE = {
    "__init__": "",
    "noise": '''"""Noise that is added."""

from __future__ import annotations

import torch as unused_alias
from torch import Tensor, randn

SIZE = 4
LARGE, SMALL = 10.0, 0.5  # one statement, two names
FORGOTTEN = "marker: constant"


def noise(like: Tensor, generator) -> Tensor:
    return SMALL * randn(like.shape, generator=generator)


def forgotten(noise):  # marker: function
    return unused_alias.zeros(SIZE)
''',
    "rules": '''"""Rules."""

def largest(values):
    return max(values)
''',
    "line": '''"""A line through noisy points.

In two paragraphs.
"""

from __future__ import annotations

import math, os
import os.path
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar

import torch
import torch.nn.functional as F
from core.config import Config, Limits
from core.training import LOSS
from tiny.noise import SIZE, forgotten, noise
from tiny.rules import largest

if TYPE_CHECKING:
    from collections.abc import Sequence

torch.set_num_threads(1)  # marker: effect

# the count is reached by a default alone
COUNT = 3
DECAY = {name: 1 / COUNT for name in ("a", "b")}

OTHER = 1  # marker: other


# ---- settings ----


@dataclass(frozen=True, kw_only=True)
class LineConfig(Config):
    """The settings."""

    learning_rate: float = 0.1
    inputs: int = COUNT  # of the line
    start: tuple[float, ...] = ()
    label: str = ""
    LIMITS: ClassVar[dict[str, Limits]] = {"inputs": range(1, 9)}

    def build(self, generator: torch.Generator) -> LineLearner:
        return LineLearner(self, generator)


# ---- nobody comes here ----


def alone():  # marker: alone
    return forgotten


# ---- learning ----


# decides how far it goes
@lru_cache
def scale(inputs: int) -> float:
    from fractions import Fraction

    forgotten = [OTHER_SCALE for OTHER_SCALE in (1, 2)]  # a local name hides the module's
    return math.sqrt(inputs) * float(Fraction(1, len(forgotten))) * DECAY["a"]


class LineLearner:
    metrics = (LOSS,)

    def __init__(self, config: LineConfig, generator: torch.Generator):
        self.generator = generator
        self.truth = torch.randn(config.inputs, generator=generator) * scale(config.inputs)
        self.weight = torch.tensor(config.start) if config.start else torch.zeros(config.inputs)

    def update(self, learning_rate: float) -> float:
        x = torch.randn(SIZE, len(self.weight), generator=self.generator)
        error = x @ (self.weight - self.truth) + noise(x[:, 0], self.generator)
        self.weight = self.weight - learning_rate * 2 * (error @ x) / len(x)
        return F.mse_loss(error, torch.zeros_like(error)).item()

    def evaluate(self):
        difference = (self.weight - self.truth).abs().tolist()
        return {"train": {LOSS.name: self.far(difference)}, "test": {LOSS.name: largest(difference)}}

    @staticmethod
    def far(differences: Sequence[float]) -> float:
        return sum(each**2 for each in differences)

    def state(self) -> dict[str, Any]:
        return {"weight": self.weight[:1], "truth": self.truth}

    def intervene(self, name: str, value: Any) -> None:
        if name != "weight":
            raise ValueError(name)
        index, number = value
        self.weight[index] = number
''',
}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """The module tiny.line of a small package."""
    root = tmp_path_factory.mktemp("package")
    write_package(root / "tiny", PACKAGE)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(root)
        yield importlib.import_module("tiny.line")
    for name in [name for name in sys.modules if name.partition(".")[0] == "tiny"]:
        del sys.modules[name]


def write_package(folder: Path, modules: Mapping[str, str]) -> None:
    folder.mkdir()
    for name, source in modules.items():
        (folder / f"{name}.py").write_text(source, encoding="utf-8")


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Write a package of this name and import one of its modules; it is forgotten after the test."""
    names = []

    def write(name: str, modules: Mapping[str, str], wanted: str) -> types.ModuleType:
        names.append(name)
        write_package(tmp_path / name, {"__init__": "", **modules})
        monkeypatch.syspath_prepend(tmp_path)
        return importlib.import_module(f"{name}.{wanted}")

    yield write
    for name in [name for name in sys.modules if name.partition(".")[0] in names]:
        del sys.modules[name]
    read.cache_clear()


def lessons() -> dict[str, types.ModuleType]:
    """Every module of core/ with presets that can be trained."""
    names = sorted(path.stem for path in (Path(__file__).parents[2] / "core").glob("*.py"))
    modules = {name: importlib.import_module(f"core.{name}") for name in names if name != "__init__"}
    return {name: each for name, each in modules.items() if any(hasattr(c, "build") for c in presets(each).values())}


def presets(module: types.ModuleType) -> dict[str, Config]:
    return getattr(module, "PRESETS", {})


LESSONS = lessons()
every_lesson = pytest.mark.parametrize("lesson", LESSONS)


def changed(config: Config) -> Config:
    """Another seed and another learning rate than the presets'."""
    return replace(config, seed=7, learning_rate=config.learning_rate * 0.9)


def halving(config: Config) -> tuple[Intervention, ...]:
    """The learning rate changed by hand on the way, twice."""
    return (
        Intervention(20, "learning_rate", config.learning_rate / 3),
        Intervention(45, "learning_rate", config.learning_rate / 7),
    )


def case(lesson: str) -> tuple[Config, tuple[Intervention, ...]]:
    """A run of a lesson like a person's: a preset whose settings have been changed, and changes while it trained."""
    config = changed(list(presets(LESSONS[lesson]).values())[1 % len(presets(LESSONS[lesson]))])
    return config, halving(config)


def race_of(lesson: str) -> dict[str, Config]:
    """The lesson's own race, or one of two presets."""
    module = LESSONS[lesson]
    config = next(iter(presets(module).values()))
    return module.race(config) if hasattr(module, "race") else dict(list(presets(module).items())[:2])


@cache
def trained(config: Config, interventions: tuple[Intervention, ...] = (), steps: int = STEPS) -> Run:
    return replay(config, interventions, steps)


def lines(run: Run) -> list[dict]:
    """The history as a script prints it."""
    return [{"step": step, **scores} for step, scores in run.history]


DRIVER = """
import contextlib, io, json, runpy, sys, traceback
printed = []
for path in sys.argv[1:]:
    with contextlib.redirect_stdout(io.StringIO()) as out:
        try:
            runpy.run_path(path, run_name="__main__")
        except Exception:
            print(traceback.format_exc())
    printed.append(out.getvalue())
print(json.dumps(printed))
"""


def run_alone(texts: list[str], folder: Path) -> list[str]:
    """What scripts print in an empty directory, in a Python without this repository; one process, as torch starts slowly."""
    paths = [folder / f"script{number}.py" for number in range(len(texts))]
    for path, text in zip(paths, texts, strict=True):
        path.write_text(text, encoding="utf-8")
    (folder / "empty").mkdir()
    command = [str(paths[0])] if len(paths) == 1 else ["-c", DRIVER, *map(str, paths)]
    done = subprocess.run(
        [sys.executable, "-I", "-B", *command], cwd=folder / "empty",
        env={name: value for name, value in os.environ.items() if not name.startswith("PYTHON")},
        capture_output=True, text=True, encoding="utf-8", timeout=1200,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert list((folder / "empty").iterdir()) == []
    return [done.stdout] if len(paths) == 1 else json.loads(done.stdout)


def parsed(printed: str) -> list[dict]:
    """The lines of JSON that a script has printed."""
    assert printed.startswith("{"), printed
    return [json.loads(line) for line in printed.splitlines()]


def run_cells(book: nbformat.NotebookNode, stand_ins: Mapping[str, object] | None = None) -> dict:
    """The names that a notebook leaves behind; its cells run one by one and share `from __future__`, as in Jupyter."""
    module = types.ModuleType("exported")
    compiler = codeop.Compile()  # keeps the future of the cells before, as IPython's does
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, module.__name__, module)
        for name, stand_in in (stand_ins or {"matplotlib": None}).items():  # None: as if it were not installed
            patch.setitem(sys.modules, name, stand_in)
        for cell in book.cells:
            if cell.cell_type == "code":
                exec(compiler(cell.source + "\n", f"<{cell.id}>", "exec"), vars(module))
    return vars(module)


def run_text(text: str) -> dict:
    """The names that a script leaves behind."""
    return run_cells(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(text)]))


def definitions(text: str) -> set[str]:
    """Every name that a script defines at its top level, other than by an import."""
    found = set()
    for node in ast.parse(text).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found |= {name.id for target in targets for name in ast.walk(target) if isinstance(name, ast.Name)}
    return found


def imported(text: str) -> set[str]:
    """Every package that a program imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            found.add(node.module.partition(".")[0])
    return found


def complaints(text: str) -> str:
    """What ruff finds wrong: syntax errors, undefined, unused and doubly defined names."""
    command = [sys.executable, "-m", "ruff", "check", "--isolated", "--no-cache", "--select", "E9,F", "-"]
    return subprocess.run(command, input=text, capture_output=True, text=True, encoding="utf-8").stdout


# What a script holds


def test_a_script_prints_the_history_of_the_run(tiny, tmp_path):
    config = tiny.LineConfig(seed=3, inputs=4)
    changes = (Intervention(30, "learning_rate", 0.01), Intervention(10, "weight", (2, -1.25)), (0, "weight", (0, 0.1)))
    text = script(config, changes, STEPS)
    run = replay(config, tuple(Intervention(*each) for each in changes), STEPS)
    assert parsed(run_alone([text], tmp_path)[0]) == lines(run)
    assert trained(config).history != replay(config, changes[:1], STEPS).history


def test_a_script_bounds_its_history_as_the_page_does(tiny, tmp_path, monkeypatch):
    text = script(tiny.LineConfig(), (), 1_400)
    assert text.count("RECORDS = 2048") == 1
    monkeypatch.setattr("core.training.RECORDS", 16)
    run = replay(tiny.LineConfig(), (), 1_400)
    assert parsed(run_alone([text.replace("RECORDS = 2048", "RECORDS = 16")], tmp_path)[0]) == lines(run)
    assert run.history[-1].step == 1_280 and not {704, 832, 960} <= {record.step for record in run.history}


def test_only_what_the_run_reaches_is_in_it(tiny):
    text = script(tiny.LineConfig())
    wanted = {"SIZE", "LARGE", "SMALL", "noise", "largest", "COUNT", "DECAY", "LineConfig", "LineLearner", "scale"}
    of_core = {"Config", "Run", "replay", "check", "LOSS", "Intervention", "is_due"}
    assert wanted | of_core <= definitions(text)
    assert definitions(text).isdisjoint({"FORGOTTEN", "forgotten", "OTHER", "alone", "Race", "ACCURACY"})
    assert "marker: effect" in text and text.count("marker") == 1
    assert "nobody comes here" not in text


def test_only_the_imports_that_it_needs_are_in_it(tiny):
    text = script(tiny.LineConfig())
    top = text[text.index("from __future__") : text.index("# ====")]
    assert top.count("__future__") == 1 and "# ====" not in top
    assert "import math\n" in top and "import torch.nn.functional as F\n" in top
    assert "if TYPE_CHECKING:\n    from collections.abc import Sequence\n" in top
    assert "unused_alias" not in text and "import os" not in text
    assert not imported(text) & {"core", "tiny", "pages"}
    assert complaints(text) == "All checks passed!\n"


def test_it_reads_like_the_module(tiny):
    text = script(tiny.LineConfig())
    assert "\n# A line through noisy points.\n#\n# In two paragraphs.\n" in text
    assert "\n\n# the count is reached by a default alone\nCOUNT = 3\nDECAY = {" in text
    assert "\n\n\n# ---- learning ----\n\n\n# decides how far it goes\n@lru_cache\ndef scale(" in text
    assert "    inputs: int = COUNT  # of the line\n" in text
    positions = [
        text.index(f"# ==== {title} =") for title in ("config", "training", "noise", "rules", "line", "the run")
    ]
    assert positions == sorted(positions)


def test_the_settings_are_written_out(tiny):
    config = tiny.LineConfig(seed=5, start=(0.1, 1e-17, -2.0), label='"""\\ é\n')
    made = (Intervention(2, "learning_rate", 0.1 + 0.2), Intervention(3, "weight", (0, math.inf)))
    values = {"LineConfig": tiny.LineConfig, "Intervention": Intervention}
    text = script(config, made, 9)
    lower = text[text.index("# ==== the run") : text.index("run = replay")]
    exec(lower, values)
    assert values["config"] == config and values["interventions"] == made
    assert type(values["interventions"][0]) is Intervention
    assert all(f"\n    {name}=" in lower for name in ("seed", "learning_rate", "inputs", "start", "label"))
    assert "replay(config, interventions, 9)" in text
    assert ast.get_docstring(ast.parse(text)).startswith("LineConfig(seed=5, start=(0.1, 1e-17, -2.0), label=")


def test_it_says_what_to_install_and_in_which_version(tiny):
    text = script(tiny.LineConfig())
    assert f"pip install torch=={torch.__version__.partition('+')[0]}\n" in text
    numbers = {name: importlib.metadata.version(name) for name in ("numpy", "Pillow", "scikit-learn")}
    if "convolution" in LESSONS:
        text = script(next(iter(presets(LESSONS["convolution"]).values())))
        assert all(f" {name}=={number}" in text for name, number in numbers.items())


def test_equal_runs_give_equal_files(tiny):
    config = tiny.LineConfig()
    for export in (script, notebook):
        assert export(config, steps=10) == export(replace(config), steps=10)
        assert export(config, steps=10) != export(config, steps=11)


def test_the_hash_seed_does_not_matter(tiny, tmp_path):
    """Sets of names are ordered anew by every Python that starts."""
    folders = [str(Path(tiny.__file__).parents[1]), str(Path(__file__).parents[2])]
    program = (
        f"import sys; sys.path[:0] = {folders}; from core.export import script; from tiny.line import LineConfig\n"
    )
    program += "sys.stdout.buffer.write(script(LineConfig()).encode())"
    environment = {**os.environ, "PYTHONHASHSEED": "random"}
    command = [sys.executable, "-B", "-c", program]
    done = subprocess.run(command, capture_output=True, check=True, cwd=tmp_path, env=environment)
    assert done.stdout.decode() == script(tiny.LineConfig())


@pytest.mark.parametrize(("language", "said", "not_said"), [("en", "It trains", "训练"), ("zh", "训练", "It trains")])
def test_both_languages(tiny, language, said, not_said):
    header = ast.get_docstring(ast.parse(script(tiny.LineConfig(), language=language)))
    about = notebook(tiny.LineConfig(), language=language).cells[0].source
    assert said in header and said in about
    assert not_said not in header and not_said not in about


def test_a_long_import_is_wrapped():
    names = [f"name_number_{number}" for number in range(20)]
    block = import_block([Import("math", name) for name in names])
    assert max(map(len, block.splitlines())) <= 120
    assert {alias.name for alias in ast.parse(block).body[1].names} == set(names)


# Races


def test_a_race_is_one_script(tiny, tmp_path):
    configs = {"slow": tiny.LineConfig(learning_rate=0.001), 'a "fast" one': tiny.LineConfig(seed=1)}
    made = (Intervention(4, "learning_rate", 0.2),)
    expected = [{"run": name, **line} for name, config in configs.items() for line in lines(trained(config, made))]
    assert parsed(run_alone([script(configs, made, STEPS)], tmp_path)[0]) == expected


def test_a_race_is_the_pages_race(tiny):
    configs = {"slow": tiny.LineConfig(learning_rate=0.001), "fast": tiny.LineConfig(seed=1)}
    race = Race(configs)
    for step in range(STEPS):
        if step == 10:
            race.intervene("learning_rate", 0.03)
        race.step()
    made = tuple(race.runs["slow"].interventions)
    history = run_cells(notebook(configs, made, STEPS))["history"]
    assert history == {name: run.history for name, run in race.runs.items()}


def test_a_run_that_diverges_ends_in_the_script_too(tiny):
    config = tiny.LineConfig(learning_rate=50.0)
    run = trained(config)
    assert run.diverged and run.steps < STEPS
    assert run_text(script(config, steps=STEPS))["history"] == run.history


# What cannot be exported


def test_no_config_is_refused():
    with pytest.raises(ValueError, match="no config"):
        script({})


def test_two_meanings_of_one_name_are_refused(package):
    """Two modules, a module and an import, a module and Python, a module and the script's own last lines."""
    config = """from core.config import Config
{imports}
class {kind}(Config):
    def build(self, generator):
        return {uses}
{defines}
"""
    modules = {
        "other": "SIZE = 1\ndef other(): return SIZE\ndef longest(values): return max(values)\n",
        "python": "def max(values): return values[0]\n",
        "twice": config.format(
            kind="A", imports="from twins.other import other", uses="other, SIZE", defines="SIZE = 1"
        ),
        "outside": config.format(
            kind="A",
            imports="from math import sqrt as SIZE\nfrom twins.other import other",
            uses="other, SIZE",
            defines="",
        ),
        "builtin": config.format(
            kind="A",
            imports="from twins.other import longest\nfrom twins.python import max",
            uses="longest, max",
            defines="",
        ),
        "last": config.format(kind="A", imports="", uses="history", defines="history = 1"),
    }
    messages = {
        "twice": "'SIZE'.*(twins.other.*twins.twice|twins.twice.*twins.other)",
        "outside": "'SIZE'.*(twins.other.*math|math.*twins.other)",
        "builtin": "'max'.*Python for twins.other.*twins.python",
        "last": "'history'.*last lines.*twins.last",
    }
    for name, message in messages.items():
        sys.modules.pop("twins", None)
        module = package("twins", modules, name) if name == "twice" else importlib.import_module(f"twins.{name}")
        with pytest.raises(ValueError, match=message):
            script(module.A())


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("import odd.other\nclass A(Config):\n    x = odd.other.f\n", "import odd.other"),
        ("from odd.other import f as g\nclass A(Config):\n    x = g\n", "f as g"),
        ("class A(Config):\n    def build(self, g):\n        from odd.other import f\n", "inside"),
        ("class A(Config):\n    def build(self, g):\n        return __file__\n", "__file__"),
        ("def make():\n    class A(Config): pass\n    return A\nA = make()\n", "make.<locals>.A"),
    ],
)
def test_what_cannot_be_followed_is_named(package, source, message):
    modules = {"other": "def f(): pass\n", "lesson": f"from core.config import Config\n{source}"}
    with pytest.raises(ValueError, match=message):
        script(package("odd", modules, "lesson").A())


VALUES = [
    *(
        None,
        True,
        7,
        -0.0,
        0.1 + 0.2,
        5e-324,
        math.inf,
        -math.inf,
        "",
        "'",
        '"',
        "\"'",
        '"""\\',
        "步\n",
        (),
        (1,),
        [1],
        [],
    ),
    *(
        {},
        {"a": (1.5, [None])},
        ((1.0, 2.0), (3.0, 4.0)),
        tuple(i / 7 for i in range(200)),
        (tuple(i / 3 for i in range(60)), "x"),
    ),
]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: repr(value)[:12])
def test_literals_are_exact(value):
    text = literal(value, 4)
    assert repr(eval(text)) == repr(value)
    assert max(map(len, text.splitlines())) <= 120


def test_literals_of_what_is_nearly_a_number():
    numpy = pytest.importorskip("numpy")
    assert literal(numpy.float64(0.1)) == "0.1"
    assert literal(math.nan) == 'float("nan")'


@pytest.mark.parametrize("value", [object(), torch.zeros(2), {1, 2}, Intervention(0, "x", 1), (1, [torch.ones(1)])])
def test_what_no_literal_expresses_is_refused(tiny, value):
    with pytest.raises(ValueError, match="cannot be written"):
        script(tiny.LineConfig(), [Intervention(1, "weight", value)])


# Notebooks


def test_a_notebook_is_valid_and_trains_the_same(tiny, capsys):
    config, made = tiny.LineConfig(seed=2), (Intervention(5, "weight", (0, 1.0)),)
    book = notebook(config, made, STEPS)
    nbformat.validate(book)
    assert nbformat.reads(nbformat.writes(book), 4) == book
    assert [cell.id for cell in book.cells][:2] == ["about", "imports"]
    assert [cell.id for cell in book.cells][-3:] == ["tiny-line", "training", "plot"]
    left = run_cells(book)
    assert left["history"] == trained(config, made).history
    printed = capsys.readouterr().out.splitlines()
    assert [ast.literal_eval(line.partition(" ")[2]) for line in printed] == [scores for _, scores in left["history"]]


def test_its_cells_together_are_a_script(tiny):
    book = notebook(tiny.LineConfig(), (), STEPS)
    text = "\n\n\n".join(cell.source for cell in book.cells if cell.cell_type == "code")
    assert complaints(text) == "All checks passed!\n"
    assert run_text(text)["history"] == trained(tiny.LineConfig()).history


class Pyplot(types.ModuleType):
    """Stands in for matplotlib.pyplot and remembers the lines."""

    def __init__(self):
        super().__init__("pyplot")
        self.lines = []

    def plot(self, x, y, label):
        self.lines.append((label, x, y))

    def __getattr__(self, name):
        return lambda *arguments: None


@pytest.mark.parametrize("race", [False, True])
def test_it_plots_every_metric_of_every_run(tiny, race):
    pyplot, matplotlib = Pyplot(), types.ModuleType("matplotlib")
    matplotlib.pyplot = pyplot
    configs = {"a": tiny.LineConfig(), "b": tiny.LineConfig(seed=1)} if race else {"": tiny.LineConfig()}
    book = notebook(configs if race else configs[""], (), 5)
    run_cells(book, {"matplotlib": matplotlib, "matplotlib.pyplot": pyplot})
    assert pyplot.lines == [
        (
            f"{name}, {data}" if race else data,
            [step for step, _ in trained(config, (), 5).history],
            [scores[data]["Loss"] for _, scores in trained(config, (), 5).history],
        )
        for name, config in configs.items()
        for data in ("train", "test")
    ]


# Every lesson


def test_there_are_lessons():
    assert LESSONS


@pytest.fixture(scope="module")
def printed(tmp_path_factory) -> dict[str, str]:
    """What the script of each lesson's case prints."""
    texts = [script(*case(lesson), STEPS) for lesson in LESSONS]
    return dict(zip(LESSONS, run_alone(texts, tmp_path_factory.mktemp("lessons")), strict=True))


@every_lesson
def test_a_lessons_script_stands_alone_and_prints_the_pages_history(lesson, printed):
    config, made = case(lesson)
    run = Run(config)
    for _ in range(STEPS):
        for intervention in made:
            if intervention.step == run.steps:
                run.intervene(intervention.name, intervention.value)
        run.step()
    assert parsed(printed[lesson]) == json.loads(json.dumps(lines(run)))
    assert run.history != trained(config).history


@every_lesson
def test_a_lessons_notebook_trains_to_the_same_history(lesson):
    config = next(iter(presets(LESSONS[lesson]).values()))
    book = notebook(config, (), 20)
    nbformat.validate(book)
    assert run_cells(book)["history"] == trained(config, (), 20).history


@every_lesson
def test_a_lessons_race_trains_to_the_same_histories(lesson):
    configs = race_of(lesson)
    history = run_cells(notebook(configs, (), 8))["history"]
    assert history == {name: trained(config, (), 8).history for name, config in configs.items()}


@every_lesson
def test_every_preset_of_a_lesson_can_be_exported(lesson):
    for config in presets(LESSONS[lesson]).values():
        text = script(config, halving(config), STEPS)
        assert imported(text) <= ALLOWED | set(sys.stdlib_module_names)
        assert "core." not in text


@every_lesson
def test_a_lessons_script_is_clean(lesson):
    for config in (next(iter(presets(LESSONS[lesson]).values())), race_of(lesson)):
        text = script(config)
        assert complaints(text) == "All checks passed!\n"
        assert "PRESETS" not in text and "def race" not in text


@every_lesson
def test_what_is_derived_by_hand_agrees_with_autograd(lesson, capsys):
    """For every lesson whose config has a `reference`: the check in its script, and over each of the first 100 steps."""
    for config in [each for each in presets(LESSONS[lesson]).values() if hasattr(each, "reference")][:3]:
        text = script(config, halving(config), 100)
        check = [line[6:] for line in text[text.index("#     by_autograd = ") :].split("\n\n")[0].splitlines()]
        left = run_text(text + "\n\n" + "\n".join(check))
        assert left["by_autograd"].steps == left["run"].steps == 100 and left["difference"] < 1e-4
        assert left["by_autograd"].config != config
        book = run_cells(notebook(config, halving(config), 100))
        assert book["difference"] == left["difference"]
        for mine, other in zip(left["run"].history, left["by_autograd"].history, strict=True):
            for part in mine.scores:
                for name, value in mine.scores[part].items():
                    assert value == pytest.approx(other.scores[part][name], abs=1e-4)
        assert "largest difference" in capsys.readouterr().out


# Weights and curves


def test_weights_load_safely_and_are_the_models():
    for module in LESSONS.values():
        run = trained(next(iter(presets(module).values())))
        loaded = torch.load(io.BytesIO(weights(run)), weights_only=True)
        assert loaded.keys() == run.learner.state().keys() - set(getattr(run.learner, "memories", ()))
        assert loaded and all(torch.equal(value, run.learner.state()[name]) for name, value in loaded.items())
        assert not any(value.requires_grad for value in loaded.values())


@pytest.mark.parametrize(
    ("lesson", "method", "names"),
    [
        ("gridworld", "value_iteration", {"values"}),
        ("gridworld", "q_learning", {"action_values"}),
        ("gridworld", "dqn", {"weight1", "bias1", "weight2", "bias2"}),
        ("gradient_descent", "adam", {"position"}),
    ],
)
def test_what_is_only_remembered_is_none_of_the_weights(lesson, method, names):
    run = Run(replace(next(iter(presets(LESSONS[lesson]).values())), method=method))
    assert set(torch.load(io.BytesIO(weights(run)), weights_only=True)) == names < run.learner.state().keys()


def test_weights_are_copies_and_hold_no_more_than_is_theirs(tiny):
    run = Run(tiny.LineConfig(inputs=8))
    file = weights(run)
    run.step()
    loaded = torch.load(io.BytesIO(file), weights_only=True)
    assert loaded["weight"].tolist() == [0.0] and loaded["weight"].untyped_storage().nbytes() == 4  # of 8 weights one


def test_the_curve_as_a_table_is_exact(tiny):
    race = Race({"a, b": tiny.LineConfig(), "bad": tiny.LineConfig(learning_rate=50.0)})
    for _ in range(20):
        race.step()
    table = curve_csv(race.runs)
    assert table.splitlines()[0] == "run,step,data,metric,value"
    rows = list(csv.DictReader(io.StringIO(table, newline="")))
    assert [(row["run"], int(row["step"]), row["data"], row["metric"], row["value"]) for row in rows] == [
        (name, step, data, metric, repr(value))
        for name, run in race.runs.items()
        for step, scores in run.history
        for data, values in scores.items()
        for metric, value in values.items()
    ]
