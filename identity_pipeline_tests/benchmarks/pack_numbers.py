"""What a face pack is worth on clips with truth and on photographs, and what its numbers would do.

    python -m identity_pipeline_tests.benchmarks.pack_numbers clips DATA [--truth FOLDER]
    python -m identity_pipeline_tests.benchmarks.pack_numbers photos FOLDER --models PACK

DATA is the data folder of a finished run (`identity-pipeline run --models PACK --data DATA`), so
that two packs stand beside each other by two calls. FOLDER of photographs: a sub-folder is one
person, of whom the largest face of each picture counts; a picture beside the sub-folders is a
group, in which every face is another person. Nothing is written but what is printed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import cv2
import numpy as np
import polars as pl
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from identity_pipeline.core.library.accuracy import against_truth
from identity_pipeline.core.matching.verification import PersonPairs, person_pairs, verification_of
from identity_pipeline.core.vectors import Matrix, mean_direction, to_matrix
from identity_pipeline.media.crops import align
from identity_pipeline.models.face_pack import FacePack
from identity_pipeline.settings import Settings, load_settings
from identity_pipeline.settings.numbers import DECIDING
from identity_pipeline.stages.curation.snapshot import LibrarySnapshot
from identity_pipeline.stages.evaluation.evaluate import collect, evaluate
from identity_pipeline.stages.library.statistics import true_people
from identity_pipeline.stages.stores import LibraryStores
from identity_pipeline.storage.layout import Layout
from identity_pipeline.storage.video.embeddings import read_embeddings
from identity_pipeline.storage.video.tables import TableStore

TODAY = "2026-01-01"
FARS = (1e-2, 1e-3)
FIGURES = ("detection", "tracking", "riders")
FACES_PER_TRACK = 40
"""Faces of a track that are compared, evenly spread: more of one ride tell little."""
PICTURES = frozenset({".jpg", ".jpeg", ".png", ".webp"})
console = Console(width=130)


@dataclass(frozen=True)
class Faces:
    """Faces of known people.

    Attributes:
        vectors: (N, D) unit embeddings.
        people: N names.
        places: N videos or pictures; two faces of one place and person are no pair.
    """

    vectors: Matrix
    people: Sequence[str]
    places: Sequence[str]

    def pairs(self) -> PersonPairs:
        """All pairs of two people, and of one person in two places."""
        return person_pairs(self.vectors, self.people, self.places)


def of_tracks(store: TableStore, truth: Mapping[str, str]) -> Faces:
    """Usable faces of the tracks whose people are known."""
    vectors, people, places = [], [], []
    for key, name in sorted(truth.items()):
        video, track = key.removeprefix("track:").rsplit(":", 1)
        rows = (
            read_embeddings(store, video)
            .join(store.read("face_tracks", video).select("face_id", "track_id"), on="face_id")
            .filter((pl.col("track_id") == int(track)) & (pl.col("because") == "usable"))
            .sort("frame_idx", "face_id")
        )
        rows = rows.gather_every(max(1, rows.height // FACES_PER_TRACK))
        if rows.height:
            vectors.append(to_matrix(rows["e_id"]))
            people += [name] * rows.height
            places += [video] * rows.height
    return Faces(np.concatenate(vectors), people, places)


def pictures_of(folder: Path) -> Iterator[tuple[Path, str | None]]:
    """Every picture, with the person of its sub-folder; None for a group."""
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in PICTURES:
            yield path, None if path.parent == folder else path.relative_to(folder).parts[0]


def of_photographs(folder: Path, pack: FacePack) -> Faces:
    """The faces of photographs, found, aligned and embedded as those of a ride are."""
    aligned, people, places = [], [], []
    for path, person in pictures_of(folder):
        image = cv2.imread(str(path))
        if image is None:
            continue
        found = pack.detect(np.asarray(image, np.uint8))
        sizes = (found.boxes[:, 2:] - found.boxes[:, :2]).prod(axis=1)
        chosen = range(len(sizes)) if person is None else np.argsort(-sizes)[:1].tolist()
        for n in chosen:
            aligned.append(align(np.asarray(image, np.uint8), found.key_points[n]))
            people.append(person or f"{path.name} {n}")
            places.append(path.name)
    return Faces(pack.embed(aligned), people, places)


def told(values: NDArray[np.floating], at: Sequence[float]) -> str:
    """Quantiles, or a dash."""
    return " / ".join(f"{v:.2f}" for v in np.quantile(values, at)) if len(values) else "-"


def print_space(faces: Faces, settings: Settings) -> None:
    """How the space tells people apart, and what each deciding number would do in it."""
    pairs = faces.pairs()
    judged = verification_of(pairs, FARS)
    genuine, impostor = pairs.cosine[pairs.genuine], pairs.cosine[~pairs.genuine]
    console.print(
        f"{judged.people} people, {judged.rows} faces in {judged.videos} places; "
        f"{judged.genuine:,} pairs of one person (from two places), {judged.impostor:,} of two"
    )
    rates = [
        f"TAR at FAR {one.far:g}: {'-' if one.tar is None else f'{one.tar:.3f}'}"
        for one in judged.at
    ]
    console.print(
        f"AUC {'-' if judged.auc is None else f'{judged.auc:.4f}'}; {'; '.join(rates)}; "
        f"different people 50/95/99/99.9 % {told(impostor, (0.5, 0.95, 0.99, 0.999))}; "
        f"one person 1/5/50 % {told(genuine, (0.01, 0.05, 0.5))}"
    )
    table = Table(title="What the numbers in force do with single faces", title_justify="left")
    for column in ("number", "value", "pairs of two people above", "pairs of one person above"):
        table.add_column(column)
    for name in (*DECIDING, "match.lookalike_cos"):
        group, field = name.split(".")
        value = getattr(getattr(settings, group), field)
        if value is not None:
            shares = [
                f"{np.mean(some >= value):.3%}" if len(some) else "-"
                for some in (impostor, genuine)
            ]
            table.add_row(name, f"{value:.2f}", *shares)
    console.print(table)


def print_people(faces: Faces) -> None:
    """For each person: the faces, the worst of them, and who of the others is closest."""
    names = sorted(set(faces.people))
    who = np.array([names.index(name) for name in faces.people])
    means = np.stack([mean_direction(faces.vectors[who == n]) for n in range(len(names))])
    between = means @ means.T
    np.fill_diagonal(between, -1.0)
    table = Table(title="Person by person; cosines to means", title_justify="left")
    for column in ("person", "faces", "own mean, 5 / 50 %", "closest other", "cosine"):
        table.add_column(column)
    for n, name in enumerate(names):
        own = faces.vectors[who == n] @ means[n]
        other = int(between[n].argmax())
        table.add_row(
            name,
            str(len(own)),
            told(own, (0.05, 0.5)),
            names[other],
            f"{between[n, other]:.2f}",
        )
    console.print(table)
    a, b = np.unravel_index(int(between.argmax()), between.shape)
    console.print(
        f"Closest pair of different people: {names[a]} and {names[b]}, {between[a, b]:.2f}"
    )


def assignments_of(store: TableStore) -> pl.DataFrame:
    """The table `person_assignments` of the library in force."""
    library = LibrarySnapshot.open(LibraryStores.of(store), TODAY, write=False)
    return library.table("person_assignments")


def print_groups(store: TableStore, truth: Mapping[str, str]) -> None:
    """How the unknown tracks of the present library are grouped, against the true people."""
    assignments = assignments_of(store)
    found = against_truth(assignments, truth).grouping
    console.print(
        f"Groups: {found.groups} of {found.people} true people ({found.items} tracks); "
        f"B3 precision {found.b3_precision:.3f}, recall {found.b3_recall:.3f}"
    )


def print_clips(store: TableStore, settings: Settings, folder: Path | None) -> None:
    """Detection, tracks and riders against truth, by origin; false faces in numbers."""
    material = collect(store, (), folder)
    if not material.empty:
        for section in evaluate(material, settings).sections:
            console.print(section.scope)
            for figure in section.figures:
                if figure.topic in FIGURES and figure.value is not None:
                    value = f"{figure.value:.1%}" if figure.unit == "share" else f"{figure.value:g}"
                    console.print(f"  {figure.label}: {value} ({figure.n:,} {figure.counted})")


@click.group()
def main() -> None:
    """Print what a face pack is worth, and what its numbers would do."""


@main.command()
@click.argument("data", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--models", "pack", help="Face pack whose numbers are asked.  [default: the setting]")
@click.option("--truth", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--also", multiple=True, metavar="STEM=NAME", help="Who is alone in a clip.")
def clips(data: Path, pack: str | None, truth: Path | None, also: tuple[str, ...]) -> None:
    """The processed videos of the data folder DATA that have truth."""
    chosen = {"models": {"face_pack": pack}} if pack else {}
    settings = load_settings(**chosen)
    store = TableStore(Layout(data))
    print_clips(store, settings, truth)
    people, faults = true_people(LibraryStores.of(store), truth)
    people = {key: name.removesuffix(".mp4") for key, name in people.items()}
    alone = dict(item.split("=", 1) for item in also)
    tracks = assignments_of(store)
    for key, video in tracks.select("track_key", "video_id").iter_rows():
        names = [name for stem, name in alone.items() if video.startswith(f"{stem}-")]
        people |= {key: names[0]} if names else {}
    present = set(tracks["track_key"])
    people = {key: name for key, name in people.items() if key in present}
    for fault in faults:
        console.print(fault)
    faces = of_tracks(store, people)
    print_space(faces, settings)
    print_people(faces)
    print_groups(store, people)


@main.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--models", "pack", help="Face pack.  [default: the setting]")
def photos(folder: Path, pack: str | None) -> None:
    """Photographs in FOLDER: one sub-folder per person, groups beside them."""
    chosen = {"models": {"face_pack": pack}} if pack else {}
    settings = load_settings(**chosen)
    faces = of_photographs(folder, FacePack(settings.models))
    print_space(faces, settings)
    print_people(faces)


if __name__ == "__main__":
    main()
