"""Two people on one track: how often they are told apart again, and what it costs the others.

    python -m identity_pipeline_tests.benchmarks.false_joins DATA --truth FOLDER --also STEM=NAME

DATA is the data folder of a finished run. All usable faces of its riders are embedded anew, and of
them scenes are put together whose people are known:

exchanges: a stretch of one rider's tracklet is replaced by another person's faces. Found is one of
whom at most half is left on the rider's track: with every face embedded, with witnesses alone, and
with witnesses where sudden changes of the picture do not count.

joins: two stretches with a scene cut between them, of one person (of other parts of the ride or
other rides) or of two. Where two people do not look alike enough to be joined at all, the second
is moved towards the first until the cosine of their means is as given, with the spread of its own
faces as it is: those are made look-alikes.

Nobody of the real ride clips set `tracking.part_cos` or `tracking.stitch_cos` of the open pack; the
margin, the span and `quality.witness_look_min` were chosen with those eight people in view.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import click
import numpy as np
import polars as pl
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from identity_pipeline.core.faces.quality import luma_of
from identity_pipeline.core.imagesets.novelty import look_of
from identity_pipeline.core.matching.templates import track_key
from identity_pipeline.core.tracks.tracking import build_tracks
from identity_pipeline.core.tracks.witnesses import (
    doubtful_faces,
    first_witnesses,
    sudden_changes,
)
from identity_pipeline.core.vectors import Matrix, mean_direction, normalise
from identity_pipeline.models.hub import ModelHub
from identity_pipeline.settings import Settings, load_settings
from identity_pipeline.stages.library.statistics import true_people
from identity_pipeline.stages.stores import LibraryStores
from identity_pipeline.storage.layout import Layout
from identity_pipeline.storage.video.tables import TableStore
from identity_pipeline.tables import TABLES

FRAME_MS: Final = 100.0
EXCHANGES: Final = (0.5, 1.0, 2.0, 4.0)
"""Seconds that another person sits in the tracklet."""
STRETCHES: Final = (3.0, 5.0, 10.0)
"""Seconds on either side of a cut."""
LOOK_ALIKES: Final = (0.60, 0.65, 0.69, 0.75)
"""Cosines of the means of made look-alikes."""
ROUNDS: Final = 200
JOINS: Final = 100
SHORTEST: Final = 150
"""Faces of a tracklet into which somebody else is put."""
console = Console(width=130)


@dataclass(frozen=True)
class Ridden:
    """The usable faces of one rider of one video, in time order.

    Attributes:
        place: the video.
        person: their name.
        vectors: (N, D) unit embeddings.
        looks: (N, 784) of `look_of`.
        score: (N,) quality.
    """

    place: str
    person: str
    vectors: Matrix
    looks: Matrix
    score: NDArray[np.float64]

    def __len__(self) -> int:
        """Number of faces."""
        return len(self.score)

    def part(self, start: int, count: int) -> Ridden:
        """Some successive faces."""
        own = slice(start, start + count)
        return replace(
            self, vectors=self.vectors[own], looks=self.looks[own], score=self.score[own]
        )

    def then(self, other: Ridden) -> Ridden:
        """These faces and those of another, under the name of this one."""
        return replace(
            self,
            vectors=np.concatenate([self.vectors, other.vectors]),
            looks=np.concatenate([self.looks, other.looks]),
            score=np.concatenate([self.score, other.score]),
        )


def ridden_of(store: TableStore, people: Mapping[str, str], settings: Settings) -> list[Ridden]:
    """All riders whose name is known."""
    pack = ModelHub(settings.models).face_pack
    found = []
    for video_id in sorted(store.videos_with("riders")):
        read = {n: store.read(n, video_id) for n in ("face_tracks", "face_quality", "riders")}
        usable = read["face_quality"].filter("loose").select("face_id", "quality_score")
        faces = read["face_tracks"].join(usable, on="face_id").sort("frame_idx", "face_id")
        pixels = dict(store.crops(video_id).aligned(faces["face_id"].to_list()))
        for track in read["riders"].drop_nulls("person_id")["track_id"].to_list():
            name = people.get(track_key(video_id, track))
            own = faces.filter(pl.col("track_id") == track)
            if name is None or not own.height:
                continue
            aligned = [pixels[face] for face in own["face_id"].to_list()]
            looks = np.stack([look_of(luma_of(image)) for image in aligned])
            score = own["quality_score"].to_numpy().astype(np.float64)
            found.append(Ridden(video_id, name, pack.embed(aligned), looks, score))
    return found


def scene(parts: Sequence[Ridden], gap: int = 0) -> tuple[pl.DataFrame, list[int]]:
    """Detections of stretches of faces, one tracklet each, and the frames that begin a part."""
    frames = range(sum(map(len, parts)))
    which = [n for n, part in enumerate(parts) for _ in range(len(part))]
    at = [frame + gap * part for frame, part in zip(frames, which, strict=True)]
    table = pl.DataFrame(
        {
            "face_id": [f"{frame:06d}-0" for frame in at],
            "frame_idx": at,
            "timestamp_ms": [frame * FRAME_MS for frame in at],
            "tracklet_id": which,
            "loose": [True] * len(at),
            "quality_score": np.concatenate([part.score for part in parts]),
        }
    )
    first = [at[which.index(n)] for n in range(1, len(parts))]
    return table, first


def embedded(faces: pl.DataFrame, wanted: Sequence[str], vectors: Matrix) -> pl.DataFrame:
    """The table `face_embeddings` of some faces."""
    row_of = {face: row for row, face in enumerate(faces["face_id"].to_list())}
    return pl.DataFrame(
        {
            "face_id": list(wanted),
            "frame_idx": [int(face.split("-")[0]) for face in wanted],
            "space": ["s"] * len(wanted),
            "because": ["usable"] * len(wanted),
            "e_id": [vectors[row_of[face]].tolist() for face in wanted],
        },
        schema=TABLES["face_embeddings"],
    )


def watched(faces: pl.DataFrame, ride: Ridden, how: str, settings: Settings) -> pl.DataFrame:
    """What is embedded of a scene."""
    ids = faces["face_id"].to_list()
    if how == "every face":
        return embedded(faces, ids, ride.vectors)
    changes: set[str] = set()
    if how == "witnesses":
        looks = zip(ids, ride.looks, strict=True)
        changes = sudden_changes(faces, looks, settings.quality.witness_look_min)
    first = first_witnesses(faces, settings.quality.witness_every, changes)
    known = embedded(faces, first["face_id"].to_list(), ride.vectors)
    more = doubtful_faces(faces, known, settings.tracking.split_cos)
    return pl.concat([known, embedded(faces, more["face_id"].to_list(), ride.vectors)])


WAYS: Final = ("every face", "witnesses", "no sudden changes")


def exchange(
    a: Ridden, b: Ridden, seconds: float, rng: np.random.Generator
) -> tuple[Ridden, NDArray[np.bool_]]:
    """A's tracklet in which B sits for a while, and which faces are B's."""
    count = round(seconds * 1000 / FRAME_MS)
    start = int(rng.integers(20, len(a) - count - 20))
    other = b.part(int(rng.integers(0, len(b) - count + 1)), count)
    rest = a.part(start + count, len(a))
    foreign = np.zeros(len(a), dtype=bool)
    foreign[start : start + count] = True
    return a.part(0, start).then(other).then(rest), foreign


def print_exchanges(riders: Sequence[Ridden], settings: Settings) -> None:
    """How many exchanges are found, by their length."""
    rng = np.random.default_rng(0)
    table = Table(title="Exchanges in a tracklet that are found", title_justify="left")
    for column in ("seconds", "exchanges", *(f"{way}, foreign faces left" for way in WAYS)):
        table.add_column(column)
    hosts = [ride for ride in riders if len(ride) >= SHORTEST]
    for seconds in EXCHANGES:
        left: dict[str, list[float]] = {way: [] for way in WAYS}
        while len(left[WAYS[0]]) < ROUNDS:
            a, b = (group[int(rng.integers(len(group)))] for group in (hosts, riders))
            if a.person == b.person:
                continue
            ride, foreign = exchange(a, b, seconds, rng)
            faces, _ = scene([ride])
            for way in WAYS:
                known = watched(faces, ride, way, settings)
                ids = tracks_of(faces, known, settings, ())
                own = Counter(ids[~foreign].tolist()).most_common(1)[0][0]
                left[way].append(float((ids[foreign] == own).mean()))
        cells = [
            f"{np.mean(np.array(shares) <= 0.5):.1%}, {np.mean(shares):.1%}"
            for shares in left.values()
        ]
        table.add_row(f"{seconds:g}", str(ROUNDS), *cells)
    console.print(table)
    counted = Counter[str]()
    for ride in riders:
        faces, _ = scene([ride])
        for way in WAYS:
            known = watched(faces, ride, way, settings)
            counted[way] += known.height
            counted[f"{way} cut"] += len(set(tracks_of(faces, known, settings, ()).tolist())) - 1
    total = sum(map(len, riders))
    for way in WAYS:
        console.print(
            f"{way}: {counted[way]} of {total} usable faces embedded ({counted[way] / total:.1%}); "
            f"{counted[f'{way} cut']} of {len(riders)} riders' tracks cut without an exchange"
        )


def tracks_of(
    faces: pl.DataFrame, known: pl.DataFrame, settings: Settings, cuts: Sequence[int]
) -> NDArray[np.int64]:
    """(N,) the track of each face, by the product's own rule."""
    blank = {name: pl.lit(None, dtype=kind) for name, kind in TABLES["face_detections"].items()}
    there = set(faces.columns)
    lacking = [value.alias(name) for name, value in blank.items() if name not in there]
    detections = faces.with_columns(lacking).select(TABLES["face_detections"].keys())
    table = build_tracks(detections, known, settings.tracking, cuts)
    return table.sort("frame_idx")["track_id"].to_numpy()


def moved(b: Ridden, a: Ridden, cosine: float) -> Ridden:
    """B's faces moved towards A's mean until their means are at a cosine."""
    centre = mean_direction(a.vectors)
    low, high = 0.0, 50.0
    for _ in range(50):
        middle = (low + high) / 2
        vectors = normalise(b.vectors + middle * centre)
        if float(mean_direction(vectors) @ centre) < cosine:
            low = middle
        else:
            high = middle
    return replace(b, vectors=normalise(b.vectors + high * centre))


def joined(a: Ridden, b: Ridden, settings: Settings) -> tuple[bool, bool]:
    """Whether two stretches are one track without the cut, and whether they are with it."""
    faces, cuts = scene([a, b], gap=5)
    both = a.then(b)
    known = watched(faces, both, "witnesses", settings)
    told = []
    for begins in ((), cuts):
        ids = tracks_of(faces, known, settings, begins)
        first = Counter(ids[: len(a)].tolist()).most_common(1)[0][0]
        told.append(first == Counter(ids[len(a) :].tolist()).most_common(1)[0][0])
    return told[0], told[1]


def two_stretches(
    riders: Sequence[Ridden], count: int, same: bool, rng: np.random.Generator
) -> tuple[Ridden, Ridden]:
    """Two stretches of one person, which do not overlap, or of two."""
    able = [ride for ride in riders if len(ride) >= count]
    while True:
        a, b = (able[int(rng.integers(len(able)))] for _ in range(2))
        starts = [int(rng.integers(0, len(ride) - count + 1)) for ride in (a, b)]
        apart = a is not b or abs(starts[0] - starts[1]) >= count
        if (a.person == b.person) == same and apart:
            return a.part(starts[0], count), b.part(starts[1], count)


def print_joins(riders: Sequence[Ridden], settings: Settings) -> None:
    """How many joins over a cut there are, and how many of them are undone."""
    table = Table(title="Joins over a scene cut", title_justify="left")
    for column in ("seconds", "who", "pairs", "joined by stitching", "parted again", "of whom"):
        table.add_column(column)
    for seconds in STRETCHES:
        count = round(seconds * 1000 / FRAME_MS)
        kinds = [("one person", True, None), ("two people", False, None)]
        kinds += [(f"look-alikes at {cosine:.2f}", False, cosine) for cosine in LOOK_ALIKES]
        for who, same, cosine in kinds:
            rng = np.random.default_rng(0)
            stitched, parted, names = 0, 0, Counter[str]()
            for _ in range(JOINS):
                a, b = two_stretches(riders, count, same, rng)
                other = b if cosine is None else moved(b, a, cosine)
                before, after = joined(a, other, settings)
                stitched += before
                parted += before and not after
                names.update([a.person] if before and not after and same else [])
            told = ", ".join(f"{name} {n}" for name, n in sorted(names.items()))
            table.add_row(f"{seconds:g}", who, str(JOINS), str(stitched), str(parted), told)
    console.print(table)


@click.command()
@click.argument("data", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--models", "pack", help="Face pack whose numbers are asked.  [default: the setting]")
@click.option(
    "--truth", multiple=True, type=click.Path(exists=True, file_okay=False, path_type=Path)
)
@click.option("--also", multiple=True, metavar="STEM=NAME", help="Who is alone in a clip.")
def main(data: Path, pack: str | None, truth: tuple[Path, ...], also: tuple[str, ...]) -> None:
    """The riders of the data folder DATA whose names are known."""
    settings = load_settings(**({"models": {"face_pack": pack}} if pack else {}))
    store = TableStore(Layout(data))
    people: dict[str, str] = {}
    for folder in truth:
        named, faults = true_people(LibraryStores.of(store), folder)
        people |= named
        for fault in faults:
            console.print(fault)
    alone = dict(item.split("=", 1) for item in also)
    for video_id in store.videos_with("riders"):
        riders = store.read("riders", video_id).drop_nulls("person_id")["track_id"].to_list()
        names = [name for stem, name in alone.items() if video_id.startswith(f"{stem}-")]
        people |= {track_key(video_id, track): name for track in riders for name in names}
    known = {key: name.removesuffix(".mp4") for key, name in people.items()}
    ridden = ridden_of(store, known, settings)
    count = len({ride.person for ride in ridden})
    console.print(f"{count} people on {len(ridden)} seats, {sum(map(len, ridden))} usable faces")
    print_exchanges(ridden, settings)
    print_joins(ridden, settings)


if __name__ == "__main__":
    main()
