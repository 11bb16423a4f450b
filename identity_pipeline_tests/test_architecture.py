"""The house beside its import contracts: libraries, docstrings, what loading costs."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from radon.complexity import cc_visit
from radon.visitors import Class

import identity_pipeline

ROOT = Path(identity_pipeline.__file__).parent
HEAVY = (
    "torch",
    "transformers",
    "insightface",
    "onnxruntime",
    "cv2",
    "sklearn",
    "hdbscan",
    "qdrant_client",
    "av",
    "motmetrics",
    "pandas",
    "scipy.optimize",
    "scipy.stats",
)
COMPLEXITY_MAX = 10
CORE_LIBRARIES = {
    *("numpy", "scipy", "polars", "sklearn", "hdbscan", "torch", "motmetrics"),
    "onnxruntime",  # multiplies matrices of bytes
}


def imports_of(path: Path) -> set[str]:
    """All modules that a file imports, at any depth."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def files(room: str) -> list[Path]:
    return sorted((ROOT / room).rglob("*.py"))


def test_core_knows_only_its_libraries() -> None:
    for path in files("core"):
        for name in imports_of(path):
            top = name.split(".")[0]
            known = top in CORE_LIBRARIES or top in sys.stdlib_module_names
            assert known or top == "identity_pipeline", f"{path.name} imports {name}"


def test_every_module_says_what_belongs_in_it() -> None:
    silent = [p for p in ROOT.rglob("*.py") if not ast.get_docstring(ast.parse(p.read_text()))]
    assert not silent


def test_a_command_imports_what_it_needs_alone() -> None:
    code = (
        "import sys\nfrom identity_pipeline.cli.main import cli\n"
        "for name in ('sql', 'videos'):\n    assert cli.get_command(None, name) is not None\n"
        "print([m for m in ('dagster', 'scipy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_loading_the_definitions_imports_nothing_heavy() -> None:
    code = (
        "import sys, identity_pipeline.definitions\n"
        "from importlib import import_module\n"
        "from identity_pipeline.cli.main import COMMANDS\n"
        "[import_module(module) for module in COMMANDS.values()]\n"
        f"print([m for m in {HEAVY!r} if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_desk_opens_without_what_its_pages_do_not_need() -> None:
    slow = ("dagster", "torch", "sklearn", "pandas", "scipy.optimize", "scipy.stats")
    code = (
        f"import sys, identity_pipeline.desk.app\nprint([m for m in {slow!r} if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


TEXT = {"read_text", "write_text"}


@pytest.mark.parametrize("path", sorted(ROOT.rglob("*.py")), ids=lambda path: path.stem)
def test_every_text_file_says_its_encoding(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            said = {keyword.arg for keyword in node.keywords}
            assert node.func.attr not in TEXT or "encoding" in said, f"line {node.lineno}"


def test_no_function_has_many_ways_through_it() -> None:
    """Radon's cyclomatic complexity, which also counts boolean operators and comprehensions."""
    found = {
        f"{path.relative_to(ROOT)}: {block.name}": block.complexity
        for path in ROOT.rglob("*.py")
        for block in cc_visit(path.read_text(encoding="utf-8"))
        if not isinstance(block, Class)
    }
    assert {name: value for name, value in found.items() if value > COMPLEXITY_MAX} == {}
