"""Whose face is chosen of pictures with a stranger beside, or of a stranger alone.

    python -m identity_pipeline_tests.benchmarks.photo_choice DATA --truth FOLDER [--also CLIP=NAME]

DATA is the data folder of finished runs, with truth files that say whose each face is. Of each
person faces are drawn as if each were a photograph, from all of their rides; the limits are those
in force. `beside` is a further picture that shows the person and a stranger, neither the larger
one; `stranger` one that shows a stranger alone; `absent` one that shows two strangers. Faces of a
ride are more alike than photographs of years. Nothing is written.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import click
import numpy as np
import polars as pl
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from identity_pipeline.core.tracks.photo_choice import Limits, choose_faces
from identity_pipeline.settings import load_settings
from identity_pipeline.stages.stores import LibraryStores
from identity_pipeline.storage.layout import Layout
from identity_pipeline.storage.video.tables import TableStore
from identity_pipeline.storage.video.truth import truth_path
from identity_pipeline_tests.benchmarks.memory_bank import riders_of, true_faces

SIZES = (1, 2, 4, 8)
LEADS = (0.05, 0.1, 0.2, 0.3)
console = Console(width=110)
Vectors = NDArray[np.float32]


def people_of(data: Path, folder: Path | None, also: Sequence[str]) -> dict[str, Vectors]:
    """(N, D) faces of each person, of all their rides."""
    settings, store = load_settings(), TableStore(Layout(data))
    alone = dict(item.split("=", 1) for item in also)
    found: dict[str, list[Vectors]] = defaultdict(list)
    for record in LibraryStores.of(store).videos.all():
        name = alone.get(record.video_id.rpartition("-")[0])
        true = true_faces(store, record.video_id, truth_path(record, folder), name)
        for rider in riders_of(store, record.video_id, true, settings):
            found[rider.person].append(rider.vectors)
    return {person: np.concatenate(parts) for person, parts in sorted(found.items())}


def set_of(own: Vectors, last: Sequence[NDArray[np.float32]]) -> pl.DataFrame:
    """Pictures of one face each, and a last one that shows several of one size."""
    shown = [*([face] for face in own), list(last)]
    rows = [
        {
            "face_id": f"{n:06d}-{k}",
            "frame_idx": n,
            "area": 100.0,
            "fault": None,
            "e_id": face.tolist(),
        }
        for n, several in enumerate(shown, 1)
        for k, face in enumerate(several)
    ]
    overrides = {"fault": pl.String, "e_id": pl.List(pl.Float32)}
    return pl.DataFrame(rows, schema_overrides=overrides)


def outcome(own: Vectors, last: Sequence[NDArray[np.float32]], limits: Limits) -> tuple[str, int]:
    """Which face of the last picture is chosen (`none`), and how many of the others are."""
    faces = set_of(own, last)
    made = choose_faces(faces, range(1, len(own) + 2), limits)
    chosen = made[len(own) + 1].face_id
    return "none" if chosen is None else chosen[-1], sum(
        made[n].face_id is not None for n in range(1, len(own) + 1)
    )


def rates(people: dict[str, Vectors], size: int, limits: Limits, draws: int) -> list[float]:
    """Shares: beside the own, the stranger; the stranger alone; of two strangers; own left out."""
    rng, names = np.random.default_rng([size, 7]), list(people)
    counts = np.zeros(5)
    for _ in range(draws):
        who, other, third = rng.choice(len(names), 3, replace=False)
        own = people[names[who]]
        own = own[rng.choice(len(own), size + 1, replace=False)]
        a, b = (people[names[k]][rng.integers(len(people[names[k]]))] for k in (other, third))
        beside, _ = outcome(own[:-1], [own[-1], a], limits)
        alone, kept = outcome(own[:-1], [a], limits)
        absent, _ = outcome(own[:-1], [a, b], limits)
        lost = 1 - kept / size if size > 1 else 0.0
        counts += [beside == "0", beside == "1", alone != "none", absent != "none", lost]
    return (counts / draws).tolist()


@click.command()
@click.argument("data", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--truth", "folder", type=click.Path(exists=True, path_type=Path), help="Of truth.")
@click.option("--also", multiple=True, metavar="CLIP=NAME", help="Who rides alone in a clip.")
@click.option("--draws", default=500, show_default=True, help="Sets of each size.")
def main(data: Path, folder: Path | None, also: tuple[str, ...], draws: int) -> None:
    """Print whose faces are chosen of made-up sets from the rides in the data folder DATA."""
    settings, people = load_settings(), people_of(data, folder, also)
    console.print(f"{len(people)} people, {sum(map(len, people.values()))} faces")
    table = Table(
        "pictures", "lead", "beside: own", "beside: stranger", "stranger", "absent", "lost"
    )
    for size in SIZES:
        for lead in sorted({*LEADS, settings.photos.lead}):
            limits = Limits(settings.photos.dominant_times, settings.stability.stable_min, lead)
            shares = rates(people, size, limits, draws)
            table.add_row(str(size), f"{lead:g}", *(f"{share:.1%}" for share in shares))
    console.print(table)


if __name__ == "__main__":
    main()
