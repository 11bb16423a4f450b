"""What a changed setting and a changed model compute again, counted by output.

Processes rides, then all of them again three times: unchanged, with another `novelty_min`, and with
another vision encoder. Counts which outputs were computed, by Dagster's events.

    python -m identity_pipeline_tests.benchmarks.bench_changes RIDES --videos 4
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from identity_pipeline.settings import load_settings
from identity_pipeline_tests.benchmarks.day.computed import counts, materialisations
from identity_pipeline_tests.benchmarks.day.encoder import another_encoder
from identity_pipeline_tests.benchmarks.operated import BUNDLED
from identity_pipeline_tests.conftest import OPEN
from identity_pipeline_tests.library import VideoLibrary

NOVELTY_MIN = 0.3
Counts = dict[str, tuple[int, int]]


def _pass(library: VideoLibrary, rides: list[Path], changed: dict[str, dict[str, Any]]) -> Counts:
    """Runs all rides, and counts what this pass computed and reused."""
    before = counts(materialisations(library.instance))
    for ride in rides:
        if not library.run(ride, overrides=changed).success:
            raise RuntimeError(f"{ride.name} failed under {changed}")
    after = counts(materialisations(library.instance))
    return {
        asset: (computed - before[asset][0], reused - before[asset][1])
        for asset, (computed, reused) in after.items()
    }


@click.command(help=(__doc__ or "").split("\n\n")[0])
@click.argument("rides", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--videos", default=4, show_default=True)
def main(rides: Path, videos: int) -> None:
    """Runs and prints."""
    files, vision = sorted(rides.glob("*.mp4"))[:videos], BUNDLED / "vision"
    with tempfile.TemporaryDirectory(prefix="bench-changes-") as name:
        other = another_encoder(vision, Path(name) / "vision", seed=0)
        was = load_settings().selection.novelty_min
        passes: dict[str, dict[str, dict[str, Any]]] = {
            "at first": {},
            "unchanged": {},
            f"novelty_min {was} -> {NOVELTY_MIN}": {"selection": {"novelty_min": NOVELTY_MIN}},
            "back": {},
            "another vision encoder": {"models": {"vision_encoder": str(other)}},
        }
        found: dict[str, Counts] = {}
        for library in VideoLibrary.open(Path(name) / "data", OPEN, vision):
            for title, changed in passes.items():
                found[title] = _pass(library, files, changed)
    table = Table(title=f"Outputs computed, of {len(files)} videos", title_justify="left")
    table.add_column("output")
    for title in found:
        table.add_column(title, justify="right")
    for asset in found["at first"]:
        table.add_row(asset, *(str(found[title][asset][0]) for title in found))
    Console(width=150).print(table)


if __name__ == "__main__":
    main()
