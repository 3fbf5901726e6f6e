"""The house: which way the arrows go, read from the imports of every file."""

import ast
import re
import shutil
import subprocess
import sys
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import pytest
from packaging.specifiers import SpecifierSet
from packaging.version import Version

ROOT = Path(__file__).parents[2]
ALLOWED_AT_TOP = {
    *("streamlit_app.py", "pages", "core", "tests", "requirements.txt", "README.md", "pyproject.toml", "LICENSE")
}
BUILT = {"__pycache__", "test-artifacts"}  # by running things; git ignores them
NOT_LESSONS = {"home", "glossary"}
EXTRA = {  # what a core module may import beside torch and the standard library
    "core/export.py": {"nbformat"},
    "core/gridworld.py": {"gymnasium", "numpy"},
    "core/gru.py": {"numpy"},
    "core/playground.py": {"numpy"},
    "core/policy_gradient.py": {"gymnasium", "numpy"},
    "core/rnn.py": {"numpy"},
    "core/sweep.py": {"joblib"},
}
DATA_EXTRA = {"numpy", "PIL", "sklearn"}


def python_files(folder: str) -> list[Path]:
    return sorted(path for path in (ROOT / folder).rglob("*.py") if "__pycache__" not in path.parts)


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def imports(path: Path) -> set[str]:
    """Every module that a file imports, anywhere in it; `from a.b import c` counts as `a.b` and `a.b.c`."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name_of(path)}:{node.lineno} imports relatively"
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def packages(path: Path) -> set[str]:
    """The top-level packages that a file imports."""
    return {module.partition(".")[0] for module in imports(path)}


CORE, PAGES, SHARED = python_files("core"), sorted((ROOT / "pages").glob("*.py")), python_files("pages/ui")


@pytest.mark.parametrize("path", CORE, ids=name_of)
def test_core_is_torch_and_the_standard_library(path):
    extra = DATA_EXTRA if "data" in path.relative_to(ROOT / "core").parts[:-1] else EXTRA.get(name_of(path), set())
    foreign = packages(path) - set(sys.stdlib_module_names) - {"torch", "core"} - extra
    assert not foreign, f"{name_of(path)} imports {', '.join(sorted(foreign))}"


@pytest.mark.parametrize("path", CORE, ids=name_of)
def test_core_can_be_collected_into_one_script(path):
    """No module of core is imported as a whole: `from core.x import name`, so that a script can hold the names."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            assert not any(alias.name.partition(".")[0] == "core" for alias in node.names), f"line {node.lineno}"
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.partition(".")[0] == "core":
            assert not any(alias.name == "*" or alias.asname for alias in node.names), f"line {node.lineno}"
            for alias in node.names:
                target = ROOT.joinpath(*node.module.split("."), alias.name)
                assert not target.with_suffix(".py").exists(), f"line {node.lineno} imports the module {alias.name}"


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_pages_import_no_page(path):
    others = {f"pages.{page.stem}" for page in PAGES} - {"pages.__init__"}
    assert not imports(path) & others


@pytest.mark.parametrize("path", SHARED, ids=name_of)
def test_the_shared_parts_import_no_page(path):
    assert not imports(path) & {f"pages.{page.stem}" for page in PAGES if page.stem != "__init__"}


@pytest.mark.parametrize("path", [*CORE, *SHARED, *PAGES, ROOT / "streamlit_app.py"], ids=name_of)
def test_nobody_seeds_the_generator_that_all_viewers_share(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            call = ast.unparse(node.func)
            assert call not in ("torch.manual_seed", "torch.random.manual_seed", "torch.seed"), f"line {node.lineno}"
        assert not (isinstance(node, ast.ImportFrom) and "manual_seed" in {alias.name for alias in node.names})


@pytest.mark.parametrize("path", CORE, ids=name_of)
def test_core_neither_prints_nor_sleeps(path):
    calls = {
        ast.unparse(node.func)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
    }
    assert not calls & {"print", "input", "time.sleep", "sleep"}


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_pages_define_no_class(path):
    """Streamlit runs a page anew at every click: its classes would not be those of the last run."""
    assert not any(isinstance(node, ast.ClassDef) for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))))


def test_the_top_level_is_what_was_agreed():
    found = {path.name for path in ROOT.iterdir() if not path.name.startswith(".")} - BUILT
    assert not found - ALLOWED_AT_TOP


def test_every_lesson_has_its_module_and_its_tests():
    for page in PAGES:
        if page.stem in NOT_LESSONS | {"__init__"}:
            continue
        for part in (ROOT / "core" / page.name, ROOT / "tests" / "core" / f"test_{page.name}"):
            assert part.is_file(), f"pages/{page.name} needs {name_of(part)}"


def test_the_reading_of_imports_sees_every_kind(tmp_path):
    source = tmp_path / "example.py"
    source.write_text("import a.b\nfrom c.d import e as f\ndef g():\n    import h\n")
    assert imports(source) == {"a.b", "c.d", "c.d.e", "h"}


def test_a_fork_on_linux_needs_one_more_line_and_no_other_pin():
    """What the README says of hosting: PyTorch's CPU build fits our pin, and is the newest that does."""
    pinned = next(line for line in (ROOT / "requirements.txt").read_text().splitlines() if line.startswith("torch=="))
    version = pinned.removeprefix("torch==")
    assert SpecifierSet(f"=={version}").contains(f"{version}+cpu") and Version(f"{version}+cpu") > Version(version)
    hosting = (ROOT / "README.md").read_text(encoding="utf-8").partition("## Host it")[2].partition("\n## ")[0]
    assert "--extra-index-url https://download.pytorch.org/whl/cpu" in hosting
    assert f"`{version}+cpu`" in hosting and f"`{pinned}`" in hosting and f"{pinned}+cpu" not in hosting


def test_the_checks_install_what_a_bare_machine_lacks(tmp_path):
    """Only fakes of the commands are in reach; the script ends where it would install."""
    for name, does in (
        ("fc-list", "exit 1"),
        ("python3", "exit 1"),
        ("apt-get", f'echo "$@" >> {tmp_path}/asked; [ "$1" = update ]'),
    ):
        (tmp_path / name).write_text(f"#!/bin/sh\n{does}\n")
        (tmp_path / name).chmod(0o755)
    for name in ("bash", "dirname", "grep"):
        (tmp_path / name).symlink_to(shutil.which(name))
    script = shutil.copytree(ROOT / ".ci", tmp_path / "house" / ".ci") / "run"
    ended = subprocess.run([tmp_path / "bash", script], env={"PATH": str(tmp_path)}, capture_output=True)
    assert ended.returncode
    packages = (tmp_path / "asked").read_text().splitlines()[-1].split()
    assert {"install", "chromium", "fonts-noto-cjk", "fontconfig", "python3-venv"} <= set(packages)


def test_the_readmes_tree_has_every_shared_file():
    """Lessons are in it by a pattern; what they share by its name."""
    tree = (ROOT / "README.md").read_text(encoding="utf-8").partition("## What is in it")[2].partition("\n## ")[0]
    named = re.findall(r"[\w*]+\.py", tree)
    assert not [
        name for name in named if not any((*ROOT.glob(name), *ROOT.glob(f"*/{name}"), *ROOT.glob(f"*/*/{name}")))
    ]
    lessons = {path.stem for path in PAGES}
    shared = [path.name for path in (*(ROOT / "core").glob("*.py"), *SHARED) if path.stem not in {*lessons, "__init__"}]
    assert not [name for name in shared if not any(fnmatch(name, pattern) for pattern in named)]


def test_the_server_takes_files_as_large_as_any_page_asks_for():
    """More than the server's own limit ends in an error of the browser's."""
    limit = tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text(encoding="utf-8"))["server"]["maxUploadSize"]
    asked = [
        ast.literal_eval(node.value)
        for path in SHARED
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "MEGABYTES"
    ]
    assert asked and max(asked) <= limit
