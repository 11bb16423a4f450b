"""What memory banks change: faces found surely theirs, by the ride's medoid and by the bank.

    python -m identity_pipeline_tests.benchmarks.memory_bank DATA --truth FOLDER [--also CLIP=NAME]

DATA is the data folder of finished runs, with truth files that say whose each face is. Every person
who is seen in several rides is taken for known; the bank of a ride is learnt from the person's
other rides, as the product learns it. Nothing is written.

Judged are embedded faces that truly are the rider's. `held out` is the limit that 1 in 100 faces of
others reach where the person that is judged was left out of everything it was found on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
import polars as pl
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from identity_pipeline.core.evaluation.matching import match_video
from identity_pipeline.core.tracks.memory_bank import Bank, Confirmed, bank_of
from identity_pipeline.core.tracks.stability import prototype_face
from identity_pipeline.core.vectors import to_matrix
from identity_pipeline.settings import BankSettings, Settings, load_settings
from identity_pipeline.stages.stores import LibraryStores
from identity_pipeline.storage.layout import Layout
from identity_pipeline.storage.video.embeddings import read_embeddings
from identity_pipeline.storage.video.tables import TableStore
from identity_pipeline.storage.video.truth import read_truth, truth_path

STRANGERS = 0.99
"""Share of the faces of others that lie below a limit that is held out."""
console = Console(width=130)
Cosines = NDArray[np.float32]


@dataclass(frozen=True)
class Rider:
    """The embedded faces of a rider that truly are that person, in time order.

    Attributes:
        person: by the truth.
        ride: id of the video.
        vectors: (N, D) unit.
        quality: (N,).
        prototype: (D,) the ride's medoid.
        strangers: faces in the rider's track that are somebody else's.
    """

    person: str
    ride: str
    vectors: NDArray[np.float32]
    quality: NDArray[np.float64]
    prototype: NDArray[np.float32]
    strangers: int


def true_faces(
    store: TableStore, video_id: str, truth: Path | None, alone: str | None
) -> pl.DataFrame:
    """`face_id` and `person` of a video's faces, by its truth or by the one who rides alone."""
    detections = store.read("face_detections", video_id)
    if alone is not None:
        return detections.select("face_id", person=pl.lit(alone))
    if truth is None:
        return pl.DataFrame(schema={"face_id": pl.String, "person": pl.String})
    sampled = store.read("frames", video_id)["frame_idx"]
    found = match_video(read_truth(truth), sampled, detections)
    return found.drop_nulls(("face_id", "person")).select("face_id", "person")


def riders_of(
    store: TableStore, video_id: str, true: pl.DataFrame, settings: Settings
) -> list[Rider]:
    """The riders of a video, each the person of most of its faces."""
    faces = (
        read_embeddings(store, video_id)
        .join(store.read("identity_stability", video_id).drop("frame_idx"), on="face_id")
        .join(store.read("face_quality", video_id).drop("frame_idx"), on="face_id")
        .join(
            store.read("face_landmarks", video_id).select("face_id", "yaw"),
            on="face_id",
            how="left",
        )
        .join(true, on="face_id")
    )
    found = []
    for _, group in faces.group_by("person_id", maintain_order=True):
        person = group["person"].mode().sort()[0]
        own = group.filter(pl.col("person") == person)
        chosen = prototype_face(own, settings.stability)
        if chosen is None:
            continue
        vectors = to_matrix(own["e_id"])
        prototype = vectors[own["face_id"].to_list().index(chosen)]
        quality = own["quality_score"].to_numpy()
        strangers = group.height - own.height
        found.append(
            Rider(person.removesuffix(".mp4"), video_id, vectors, quality, prototype, strangers)
        )
    return found


def learnt(
    riders: Sequence[Rider], person: str, without: str | None, bank: BankSettings, floor: float
) -> Bank:
    """What is known of a person but for one ride."""
    own = [r for r in riders if r.person == person and r.ride != without]
    return bank_of([Confirmed(r.vectors, r.quality) for r in own], bank, floor)


@dataclass(frozen=True)
class Judged:
    """One ride of a person who is known from others.

    Attributes:
        rider: whose faces.
        looks: nodes of the bank.
        by_medoid, by_bank: (N,) cosines of the faces.
    """

    rider: Rider
    looks: int
    by_medoid: Cosines
    by_bank: Cosines


def judged_rides(riders: Sequence[Rider], bank: BankSettings, floor: float) -> list[Judged]:
    """Every ride of every person of whom there is another."""
    found = []
    for rider in riders:
        known = learnt(riders, rider.person, rider.ride, bank, floor)
        if known.nodes:
            by_medoid = rider.vectors @ rider.prototype
            found.append(Judged(rider, len(known.nodes), by_medoid, known.nearest(rider.vectors)))
    return found


def of_others(
    riders: Sequence[Rider], bank: BankSettings, floor: float, without: str | None = None
) -> tuple[Cosines, Cosines]:
    """Cosines of everybody's faces to the medoids, and to the banks, of all others.

    Args:
        riders: of all rides.
        bank: how banks learn.
        floor: faces nearer than that to their track teach.
        without: a person who is left out altogether.
    """
    there = [rider for rider in riders if rider.person != without]
    to_medoids, to_banks = [np.zeros(0, np.float32)], [np.zeros(0, np.float32)]
    for person in sorted({rider.person for rider in there}):
        faces = np.concatenate([r.vectors for r in there if r.person != person])
        to_medoids += [faces @ r.prototype for r in there if r.person == person]
        to_banks.append(learnt(there, person, None, bank, floor).nearest(faces))
    return np.concatenate(to_medoids), np.concatenate(to_banks)


def reached(cosines: Cosines, limit: float) -> str:
    """How many reach a limit, of how many."""
    return f"{int((cosines >= limit).sum())} of {len(cosines)}"


def print_rides(judged: Sequence[Judged], floor: float) -> None:
    """Recall on each ride whose rider is known."""
    table = Table(title=f"Faces at or above stability.stable_min ({floor:g})")
    for column in ("person", "ride", "by the medoid", "by the bank", "looks", "5 % / median"):
        table.add_column(column)
    for one in judged:
        low, middle = np.quantile(one.by_bank, (0.05, 0.5))
        table.add_row(
            one.rider.person,
            one.rider.ride,
            reached(one.by_medoid, floor),
            reached(one.by_bank, floor),
            str(one.looks),
            f"{low:.2f} / {middle:.2f}",
        )
    console.print(table)
    medoids = np.concatenate([one.by_medoid for one in judged])
    banks = np.concatenate([one.by_bank for one in judged])
    console.print(f"all of them: medoid {reached(medoids, floor)}, bank {reached(banks, floor)}")


def print_others(
    riders: Sequence[Rider], judged: Sequence[Judged], bank: BankSettings, floor: float
) -> None:
    """How many faces of others pass, and what the bank finds where as few pass as by medoids."""
    medoids, banks = of_others(riders, bank, floor)
    console.print(
        f"faces of others: medoid {reached(medoids, floor)}, bank {reached(banks, floor)}"
    )
    equal = float(np.quantile(banks, np.mean(medoids < floor)))
    own = np.concatenate([one.by_bank for one in judged])
    console.print(
        f"at {equal:.2f}, which as few faces of others reach as are stable by medoids, the bank "
        f"finds {reached(own, equal)}"
    )


def print_held_out(
    riders: Sequence[Rider], judged: Sequence[Judged], bank: BankSettings, floor: float
) -> None:
    """The limit that strangers give without the judged person, and that person at it."""
    for person in sorted({one.rider.person for one in judged}):
        _, others = of_others(riders, bank, floor, without=person)
        limit = float(np.quantile(others, STRANGERS))
        own = np.concatenate([one.by_bank for one in judged if one.rider.person == person])
        console.print(
            f"held out: without {person}, 1 in 100 faces of others reach {limit:.2f}; "
            f"of {person}'s own faces {reached(own, limit)} do"
        )


def images_of_others(store: TableStore, true: Mapping[str, pl.DataFrame]) -> str:
    """Exported images that show somebody else than their rider, by the truth."""
    wrong = total = 0
    for video_id, people in true.items():
        if store.noted("identity_dataset", video_id) is None:
            continue
        faces = store.read("identity_stability", video_id, ("face_id", "person_id"))
        named = faces.join(people, on="face_id")
        most = named.group_by("person_id").agg(rider=pl.col("person").mode().sort().first())
        images = store.read("identity_dataset", video_id, ("type", "face_id", "person_id"))
        shown = images.filter(pl.col("type") != "left_out").drop_nulls("face_id")
        told = shown.join(people, on="face_id").join(most, on="person_id")
        wrong += told.filter(pl.col("person") != pl.col("rider")).height
        total += told.height
    return f"{wrong} of {total}"


@click.command()
@click.argument("data", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--truth", "folder", type=click.Path(exists=True, path_type=Path), help="Of truth.")
@click.option("--also", multiple=True, metavar="CLIP=NAME", help="Who rides alone in a clip.")
@click.option(
    "--merge-cos", multiple=True, type=float, help="Values of bank.merge_cos beside its own."
)
def main(
    data: Path, folder: Path | None, also: tuple[str, ...], merge_cos: tuple[float, ...]
) -> None:
    """Print what memory banks change in the data folder DATA."""
    settings, store = load_settings(), TableStore(Layout(data))
    alone, riders, true = dict(item.split("=", 1) for item in also), list[Rider](), {}
    for record in LibraryStores.of(store).videos.all():
        name = alone.get(record.video_id.rpartition("-")[0])
        faces = true_faces(store, record.video_id, truth_path(record, folder), name)
        true[record.video_id] = faces
        riders += riders_of(store, record.video_id, faces, settings)
    floor = settings.stability.stable_min
    people = {rider.person for rider in riders}
    console.print(
        f"{len(riders)} riders, {len(people)} people; {sum(r.strangers for r in riders)} faces in "
        f"their tracks are of others; exported images of others: {images_of_others(store, true)}"
    )
    chosen = settings.bank
    for value in (chosen.merge_cos, *merge_cos):
        bank = chosen.model_copy(update={"merge_cos": value})
        console.print(f"\nbank.merge_cos = {value:g}")
        judged = judged_rides(riders, bank, floor)
        if not judged:
            raise click.ClickException("nobody is seen in two of these rides.")
        print_rides(judged, floor)
        print_others(riders, judged, bank, floor)
        print_held_out(riders, judged, bank, floor)


if __name__ == "__main__":
    main()
