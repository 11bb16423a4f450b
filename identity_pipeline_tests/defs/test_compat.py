"""What the product expects of private parts of Dagster and hdbscan: a new version may change it."""

from __future__ import annotations

import ast
import inspect
import re
from importlib.metadata import version
from pathlib import Path

import dagster as dg
import pytest

import identity_pipeline
from identity_pipeline.defs import compat

ROOT = Path(identity_pipeline.__file__).parent
EXPECTED = {
    "CheckRunHealthResult": (compat.CheckRunHealthResult.__new__, ("status", "msg")),
    "LocalComputeLogManager": (compat.LocalComputeLogManager.__init__, ("base_dir", "inst_data")),
    "LocalArtifactStorage": (compat.LocalArtifactStorage.__init__, ("base_dir", "inst_data")),
    "DagsterSqliteStorage": (compat.DagsterSqliteStorage.from_local, ("base_dir", "inst_data")),
}


@pytest.mark.parametrize("name", EXPECTED)
def test_what_is_called_takes_what_it_is_given(name: str) -> None:
    called, arguments = EXPECTED[name]
    taken = inspect.signature(called).parameters
    assert set(arguments) <= set(taken), f"Dagster {dg.__version__}: {compat.PRIVATE[name]}"


def test_a_worker_is_told_to_be_gone_alive_or_unknown() -> None:
    known = {status.name for status in compat.WorkerStatus}
    assert known == {"RUNNING", "NOT_FOUND", "FAILED", "SUCCESS", "UNKNOWN"}, compat.PRIVATE[
        "WorkerStatus"
    ]


def test_an_error_of_a_run_has_its_message_and_its_cause() -> None:
    said = {"message", "cause"} & set(inspect.signature(compat.SerializableErrorInfo).parameters)
    assert said == {"message", "cause"}, compat.PRIVATE["SerializableErrorInfo"]


def test_every_private_part_says_what_hangs_on_it() -> None:
    assert set(compat.PRIVATE) == set(compat.__all__) - {"PRIVATE"}


def test_no_other_module_reaches_into_dagster() -> None:
    for path in ROOT.rglob("*.py"):
        if path == Path(str(compat.__file__)):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            private = [name for name in names if re.match(r"dagster\w*\._", name)]
            assert not private, f"{path.relative_to(ROOT)} imports {private}"


def test_hdbscan_is_the_version_whose_private_functions_are_used() -> None:
    project = (ROOT.parent / "pyproject.toml").read_text(encoding="utf-8")
    pinned = re.search(r'"hdbscan==([\d.]+)"', project)
    assert pinned and version("hdbscan") == pinned[1], (
        "core/clustering/density.py calls hdbscan's private linkage and tree functions, whose "
        "arguments are no promise: try a new version there, then pin it in pyproject.toml"
    )
