"""What learning costs: training, projecting a library into a head's space, reassigning it.

Invented vectors of a recogniser's length; everything else is real, files included. The bare
products (the head on all faces at once) stand beside the whole, so that the ratio says what the
rest costs whatever else the machine does.
"""

from __future__ import annotations

import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import click
import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from identity_pipeline.core.heads.network import ProjectionNetwork, head_of
from identity_pipeline.core.heads.trainer import HeadTrainer
from identity_pipeline.core.heads.training_set import TeachingArrays
from identity_pipeline.core.vectors import normalise
from identity_pipeline.settings import Settings, TrainSettings
from identity_pipeline.stages.library.projection import regenerate
from identity_pipeline.stages.library.recompute import recompute
from identity_pipeline.stages.library.spaces import LiveSpace
from identity_pipeline.stages.stores import LibraryStores
from identity_pipeline.storage.library.heads import HeadCard, HeadStore, head_id_of, space_of
from identity_pipeline_tests.teaching_library import DIMENSION, SPACE, rides, write_library

NOW = "2026-01-01T00:00:00+00:00"
Result = TypeVar("Result")
console = Console(width=100)


def timed(work: Callable[[], Result]) -> tuple[float, Result]:
    """Seconds, and what the work gave."""
    started = time.perf_counter()
    result = work()
    return time.perf_counter() - started, result


def peak_mb() -> float:
    """The most memory this process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def training(faces: int, epochs: int, device: str) -> float:
    """Seconds of a training of 20 people on vectors of 512 numbers."""
    rng = np.random.default_rng(0)
    person = np.arange(faces) % 20
    data = TeachingArrays(
        normalise(rng.normal(size=(faces, 512))),
        person,
        np.arange(faces) % 60,
        tuple(str(n) for n in range(20)),
    )
    trainer = HeadTrainer(data, TrainSettings(), device)
    trainer.run_epoch()  # what is loaded once is not counted
    return timed(lambda: [trainer.run_epoch() for _ in range(epochs)])[0]


def library(videos: int, faces: int, drawn: Table) -> None:
    """Projects and reassigns a library of one-rider videos."""
    settings = Settings()
    with tempfile.TemporaryDirectory() as folder:
        found = rides(people=videos // 2, each=2, faces_each=faces)
        store = write_library(Path(folder), found)
        torch.manual_seed(0)
        head = head_of(ProjectionNetwork(DIMENSION), 0.5)
        head_id = head_id_of(head, SPACE)
        card = HeadCard(
            head_id, SPACE, space_of(head, head_id), 0.5, 1, 1, 1, "v", (0.0,), {}, {}, NOW
        )
        HeadStore(store.layout).save(head, card, None)
        together = np.concatenate([ride.faces for ride in found])
        bare, _ = timed(lambda: head.apply(together))
        project, _ = timed(lambda: regenerate(LibraryStores.of(store), head_id, settings))
        again, _ = timed(lambda: regenerate(LibraryStores.of(store), head_id, settings))
        whole, done = timed(
            lambda: recompute(
                LibraryStores.of(store), settings, NOW, publish=False, space=LiveSpace(head_id)
            )
        )
        count = f"{videos * faces:,} faces of {videos:,} videos"
        drawn.add_row(f"head alone, {count}", f"{bare:.2f}", "-")
        drawn.add_row(f"projected into tables, {count}", f"{project:.1f}", f"{peak_mb():.0f}")
        drawn.add_row("the same again, nothing changed", f"{again:.1f}", "-")
        drawn.add_row(f"reassigned, {done.tracks:,} tracks", f"{whole:.1f}", f"{peak_mb():.0f}")


@click.command()
@click.option("--videos", default=1000, show_default=True)
@click.option("--faces", default=50, show_default=True, help="Of each video.")
def main(videos: int, faces: int) -> None:
    """Measure training, projection and reassignment."""
    drawn = Table(title="Heads", title_justify="left")
    for column in ("work", "seconds", "MB at most so far"):
        drawn.add_column(column, justify="left" if column == "work" else "right")
    devices = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
    for device in devices:
        seconds = training(400, 20, device)
        drawn.add_row(f"training, 400 faces x 20 epochs, {device}", f"{seconds:.2f}", "-")
    library(videos, faces, drawn)
    console.print(drawn)


if __name__ == "__main__":
    main()
