"""One more ride into a large library with decisions, against computing everything anew.

Makes a library of rides with two riders each as tables, packed as the night leaves them (once;
`--folder` keeps it), computes it, writes one more ride, and computes it by increments, part by
part. Then everything is computed anew and the tables of both are compared.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from identity_pipeline import process_memory
from identity_pipeline.settings import Settings
from identity_pipeline.stages.library import recompute as stage
from identity_pipeline.stages.library.recompute import Recomputed, recompute
from identity_pipeline.stages.stores import LibraryStores
from identity_pipeline.storage.library.generations import Generations
from identity_pipeline.storage.library.library_memory import LibraryMemories
from identity_pipeline_tests.benchmarks import reach
from identity_pipeline_tests.benchmarks.large_library import LargeLibrary, made
from identity_pipeline_tests.benchmarks.timing import Sample, measured

NOW = "2026-01-02T03:04:05.000Z"
REACH_S = 3.0
FULL = 100_000
PARTS = (
    (stage, "looked_at", "folders looked through, and meanwhile:"),
    (LibraryMemories, "recall", "what is remembered, read"),
    (stage, "settle_ledger", "decisions found again"),
    (stage, "find_copies", "copies of rides"),
    (stage, "read_inputs", "new rides read"),
    (stage, "compute", "matched, grouped, suggested"),
    (Generations, "publish", "published"),
    (LibraryMemories, "laid_down", "remembered, meanwhile"),
)
"""Where a part begins and ends: of which object, the name, and in words."""


def _settings() -> Settings:
    settings = Settings()
    models = settings.models.model_copy(update={"arcface_like": True})
    return settings.model_copy(update={"models": models})


@contextmanager
def _parts(took: dict[str, Sample]) -> Iterator[None]:
    """Measures each of `PARTS` while the block runs."""
    before = [(where, name, getattr(where, name)) for where, name, _ in PARTS]

    def timed(function: Callable[..., Any], word: str) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            with measured() as sample:
                result = function(*args, **kwargs)
            took[word] = sample
            return result

        return call

    try:
        for where, name, word in PARTS:
            setattr(where, name, timed(getattr(where, name), word))
        yield
    finally:
        for where, name, function in before:
            setattr(where, name, function)


def _run(library: LargeLibrary, *, whole: bool = False) -> tuple[Recomputed, Sample]:
    with measured() as sample:
        done = recompute(LibraryStores.of(library.store), _settings(), NOW, whole=whole)
    return done, sample


def run(root: Path, tracks: int, people: int) -> dict[str, Any]:
    """All figures of a library of so many tracks."""
    library = made(root, tracks, people)
    first, whole = _run(library)
    library.write(range(library.rides - 1, library.rides))
    parts: dict[str, Sample] = {}
    with _parts(parts):
        _, more = _run(library)
    checked, _ = _run(library, whole=True)
    return {
        "tracks": checked.tracks,
        "confirmed": checked.tables["person_assignments"].filter(origin="human").height,
        "clusters": checked.tables["unknown_clusters"].height,
        "whole": {"wall": whole.wall, "cpu": whole.cpu, "reused": first.reused},
        "one_more": {"wall": more.wall, "cpu": more.cpu, "others": more.others},
        "parts": {word: {"wall": s.wall, "cpu": s.cpu} for word, s in parts.items()},
        "differs": list(checked.differs),
    }


def _row(found: dict[str, Any]) -> reach.Row:
    seconds, equal = found["one_more"]["wall"], not found["differs"]
    enough = seconds <= REACH_S and equal
    large = found["tracks"] >= FULL
    dearest = max(found["parts"], key=lambda word: found["parts"][word]["wall"])
    return reach.Row(
        f"one more ride into a library of {found['tracks']:,} tracks, decisions included",
        "≤ 3 s at 100,000, equal to the whole",
        f"{seconds:.1f} s, {found['one_more']['cpu']:.1f} CPU s "
        f"(whole: {found['whole']['wall']:.0f} s), {'equal' if equal else 'NOT EQUAL'}",
        enough if large or not enough else None,
        "" if enough and large else f"dearest: {dearest}" if large else "a smaller library",
    )


def _table(found: dict[str, Any]) -> Table:
    title = f"One more ride into {found['tracks']:,} tracks, {found['confirmed']:,} of them named"
    table = Table(title=title, title_justify="left")
    table.add_column("what")
    for name in ("wall s", "CPU s"):
        table.add_column(name, justify="right")
    rows = {
        "everything, from nothing remembered": found["whole"],
        "one more ride": found["one_more"],
        **{f"  {word}": figures for word, figures in found["parts"].items()},
    }
    for word, figures in rows.items():
        table.add_row(word, f"{figures['wall']:.2f}", f"{figures['cpu']:.2f}")
    return table


@click.command(help=(__doc__ or "").split("\n\n")[0])
@click.option("--tracks", default=4_000, show_default=True, help="Tracks, two a ride.")
@click.option("--people", default=100, show_default=True, help="People with names, 6 tracks each.")
@click.option("--folder", type=Path, help="Where the library is made once and kept.")
@click.option("--json", "json_file", type=Path, help="Also write the figures to this file.")
def main(tracks: int, people: int, folder: Path | None, json_file: Path | None) -> None:
    """Measures and prints."""
    process_memory.settle_in()  # as a worker and a command do
    with tempfile.TemporaryDirectory(prefix="bench-increment-") as scratch:
        if folder is not None:  # a copy, so that the next time begins like this one
            made(folder, tracks, people)
            shutil.copytree(folder, Path(scratch) / "data")
            (Path(scratch) / "data.made").touch()
        found = run(Path(scratch) / "data", tracks, people)
    console = Console(width=100)
    console.print(_table(found))
    console.print("The tables of both are equal." if not found["differs"] else found["differs"])
    if json_file:
        json_file.write_text(json.dumps({**found, **reach.as_json([_row(found)])}, indent=1))


if __name__ == "__main__":
    main()
