"""Three journeys through the code, counted: a video, a decision with what follows it, a setting.

Whoever reads how a command works reads each function once, where it is first called. The modules of
those functions, in that order, are the journey: a stay is functions of one module in a row, a
return is a stay in a module that was left before. Fewer returns are easier to follow. Nothing is
counted of what runs while modules are imported.
"""

from __future__ import annotations

import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import click
from click.testing import CliRunner

import identity_pipeline
from identity_pipeline.cli.main import cli
from identity_pipeline_tests.curated_library import PINS, write_rides

HOUSE = Path(identity_pipeline.__file__).parent
BUNDLED = HOUSE / "bundled"
SETTING = {"IDENTITY_PIPELINE__QUALITY__STRICT_SCORE": "0.75"}


@dataclass
class Journey:
    """The modules of the functions that were called, each function once, in order."""

    modules: list[str] = field(default_factory=list)
    _seen: set[CodeType] = field(default_factory=set)

    def look(self, frame: FrameType, event: str, _: object) -> None:
        """Called by Python at each call."""
        code = frame.f_code
        if event != "call" or code in self._seen:
            return
        self._seen.add(code)
        if code.co_name.startswith("<") or (module := _module(code)) is None:
            return
        if not _at_import(frame):
            self.modules.append(module)

    @contextmanager
    def under_way(self) -> Iterator[None]:
        """While the block runs."""
        sys.setprofile(self.look)
        threading.setprofile(self.look)
        try:
            yield
        finally:
            sys.setprofile(None)
            threading.setprofile(None)

    def counts(self, parts: int) -> tuple[int, int, int]:
        """Places that were entered, stays, and returns; a place is so many parts of a name."""
        places = [".".join(name.split(".")[:parts]) for name in self.modules]
        stays, entered = len(list(groupby(places))), len(set(places))
        return entered, stays, stays - entered


def _module(code: CodeType) -> str | None:
    path = Path(code.co_filename)
    if not path.is_relative_to(HOUSE):
        return None
    return ".".join(path.relative_to(HOUSE).with_suffix("").parts)


def _at_import(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_name == "<module>" and _module(frame.f_code) is not None:
            return True
        frame = frame.f_back
    return False


def counted(arguments: Sequence[str], env: dict[str, str] | None = None) -> Journey:
    """The journey of a command, which must succeed."""
    journey = Journey()
    with journey.under_way():
        result: Any = CliRunner().invoke(cli, arguments, env=env, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return journey


def journeys(root: Path) -> Iterator[tuple[str, Journey]]:
    """Each journey by its name, in an empty folder."""
    decisions = root / "decisions"
    decisions.mkdir()
    write_rides(decisions)
    data = ("--data", str(decisions / "data"))
    counted(["recluster", *data], PINS)
    yield "a decision: label", counted(["label", "cluster", "1", "--name", "Ada", *data], PINS)
    yield "what follows it: recluster", counted(["recluster", *data], PINS)
    rides = ("--data", str(root / "rides"))
    ride = str(BUNDLED / "rides" / "demo_solo.mp4")
    yield "a video: run", counted([*rides, "run", ride])
    yield "a setting: plan", counted([*rides, "plan"], SETTING)


@click.command()
def main() -> None:
    """Prints the rows."""
    click.echo(
        f"{'':28}{'modules':>8}{'stays':>7}{'returns':>9}{'rooms':>8}{'stays':>7}{'returns':>9}"
    )
    with tempfile.TemporaryDirectory() as folder:
        for name, journey in journeys(Path(folder)):
            counts = (*journey.counts(9), *journey.counts(2))
            widths = (8, 7, 9, 8, 7, 9)
            row = "".join(f"{n:>{width}}" for n, width in zip(counts, widths, strict=True))
            click.echo(f"{name:28}{row}")


if __name__ == "__main__":
    main()
