"""What labelling brings: accuracy, recall and purity after 0, 10, 20, 50 people are labelled.

Without DATA the libraries are synthetic: unit vectors of people who do not exist, in spaces of a
stated separation (`synthetic_people`), through the product's own templates, calibration, matching
and grouping. With DATA it is the library of that data folder, whose videos have truth files.

Whoever has most tracks is labelled first, each by their first tracks; all other tracks are held out
and alone are counted. Nothing is written.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import click
import numpy as np
import polars as pl
from rich.console import Console
from rich.table import Table

from identity_pipeline.core.matching.templates import VideoTables
from identity_pipeline.core.vectors import normalise, to_series
from identity_pipeline.settings import Settings, load_settings
from identity_pipeline.stages.library.spaces import settings_of_library, templates_of_video
from identity_pipeline.stages.library.statistics import true_people
from identity_pipeline.stages.stores import LibraryStores
from identity_pipeline.storage.layout import Layout
from identity_pipeline.storage.video.tables import TableStore
from identity_pipeline.tables import TABLES
from identity_pipeline_tests.benchmarks.library_quality import library, person_id
from identity_pipeline_tests.library_tables import LibraryTables, read_templates
from identity_pipeline_tests.synthetic_people import STRONG, WEAK, Library, Space, park

SPACES = {"synthetic, ArcFace-like": STRONG, "synthetic, weak": WEAK}
FACES, FACE_GAP_S, FACE_NOISE = 12, 0.8, 0.62
"""Faces of a track, the time between them, and their noise beside the track's own direction: the
cosine of a face to its track is then 0.85."""
PEOPLE, VIDEOS = 160, 260
SPACE_KEY = "synthetic@000000000000/512"
console = Console(width=150)


class Counted(NamedTuple):
    """One library after so many people were labelled.

    Attributes:
        labelled: tracks that were.
        known: held-out tracks of labelled people.
        right, asked: of those, named right without asking; asked with the right person.
        wrong: held-out tracks, of whomever, that were named as somebody else.
        strangers, taken: tracks of people who were not labelled; named as anybody.
        grouped, own: tracks in groups of unknown people; of those, of their group's usual one.
    """

    labelled: int
    known: int
    right: int
    asked: int
    wrong: int
    strangers: int
    taken: int
    grouped: int
    own: int


def synthetic_inputs(
    seed: int, space: Space, settings: Settings
) -> tuple[LibraryTables, dict[str, str]]:
    """A made-up library: the tables of all its videos, and who each track is."""
    rng = np.random.default_rng(seed)
    made = park(rng, space, videos=VIDEOS, people=PEOPLE, alike=4)
    parts: dict[str, list[pl.DataFrame]] = {}
    truth: dict[str, str] = {}
    for number, tracks in enumerate(_videos(made)):
        video_id = f"synthetic-{number:08d}"
        video = _video(rng, video_id, made.vectors[tracks], settings)
        for name, table in video.items():
            parts.setdefault(name, []).append(table)
        for track, index in enumerate(tracks, 1):
            truth[f"track:{video_id}:{track}"] = f"person-{made.person[index]:03d}"
    joined = {name: pl.concat(several) for name, several in parts.items()}
    inputs = LibraryTables(
        joined["track_templates"], joined["calibration_pairs"], joined["face_samples"],
        SPACE_KEY,
    )  # fmt: skip
    return inputs, truth


def _videos(made: Library) -> list[list[int]]:
    """The templates of each video: those that are apart share one."""
    mates = dict(made.apart) | {b: a for a, b in made.apart}
    done: set[int] = set()
    videos = []
    for index in range(len(made.person)):
        if index not in done:
            both = sorted({index, mates.get(index, index)})
            done.update(both)
            videos.append(both)
    return videos


def _video(
    rng: np.random.Generator, video_id: str, tracks: np.ndarray, settings: Settings
) -> dict[str, pl.DataFrame]:
    """The tables that the library reads of one ride."""
    rows, vectors = [], []
    for track, direction in enumerate(tracks, 1):
        noise = rng.standard_normal((FACES, len(direction)))
        noise *= FACE_NOISE / np.sqrt(len(direction))
        vectors.append(normalise(direction[None, :] + noise))
        rows += [
            {
                "face_id": f"{frame * 10:06d}-{track - 1}",
                "frame_idx": frame * 10,
                "timestamp_ms": frame * FACE_GAP_S * 1000,
                "track_id": track,
                "tracklet_id": track,
                "quality_score": float(rng.uniform(0.4, 0.9)),
                "loose": True,
                "strict": True,
                "because": "usable",
                "space": SPACE_KEY,
                **{
                    corner: float(100 * track + n)
                    for n, corner in enumerate(("x1", "y1", "x2", "y2"))
                },
            }
            for frame in range(FACES)
        ]
    faces = pl.DataFrame(rows).with_columns(to_series("e_id", np.concatenate(vectors)))
    riders = [
        {"track_id": track, "person_id": track - 1, "reason": "rider"}
        for track in range(1, len(tracks) + 1)
    ]
    video = VideoTables(
        video_id,
        embeddings=_as("face_embeddings", faces),
        quality=_as("face_quality", faces),
        tracks=_as("face_tracks", faces),
        riders=_as("riders", pl.DataFrame(riders)),
        detections=_as("face_detections", faces),
    )
    return templates_of_video(video, settings)


def _as(name: str, rows: pl.DataFrame) -> pl.DataFrame:
    """Rows as a table; what they do not say is null."""
    return rows.select(
        (pl.col(c) if c in rows.columns else pl.lit(None)).cast(dtype).alias(c)
        for c, dtype in TABLES[name].items()
    )


def labels(truth: Mapping[str, str], people: int, tracks: int) -> dict[str, str]:
    """The first tracks of the people with most of them, by track_key."""
    counted = Counter(truth.values())
    named = sorted(counted, key=lambda name: (-counted[name], name))[:people]
    left = dict.fromkeys(named, tracks)
    given: dict[str, str] = {}
    for key, name in sorted(truth.items()):
        if left.get(name, 0):
            left[name] -= 1
            given[key] = name
    return given


def counted(
    inputs: LibraryTables, settings: Settings, truth: Mapping[str, str], people: int, tracks: int
) -> Counted:
    """The library when so many people have been labelled."""
    given = labels(truth, people, tracks)
    known_people = set(given.values())
    table = library(inputs, settings, given).tables["person_assignments"]
    found: Counter[str] = Counter(labelled=len(given))
    groups: dict[int, list[str]] = {}
    for row in table.filter(pl.col("track_key").is_in(list(truth))).iter_rows(named=True):
        key, name = row["track_key"], truth[row["track_key"]]
        if row["cluster_id"] is not None:
            groups.setdefault(row["cluster_id"], []).append(name)
        if key not in given:
            found.update(_of_track(row, name, name in known_people))
    for members in groups.values():
        found["grouped"] += len(members)
        found["own"] += max(Counter(members).values())
    return Counted(**{field: found[field] for field in Counted._fields})


def _of_track(row: Mapping[str, object], name: str, known: bool) -> Iterator[str]:
    """What a held-out track counts as."""
    named, right = row["state"] == "known", row["person_id"] == person_id(name)
    yield "known" if known else "strangers"
    if named and not right:
        yield "wrong"
    if named and not known:
        yield "taken"
    if known and right and row["state"] in ("known", "suggested"):
        yield "right" if named else "asked"


def rows_of(people: int, several: list[Counted]) -> tuple[str, ...]:
    """A row of the table, summed over libraries."""
    total = Counted(*(sum(column) for column in zip(*several, strict=True)))
    return (
        str(people),
        f"{total.labelled / len(several):.0f}",
        _share(total.right, total.right + total.wrong),
        _share(total.right, total.known),
        _share(total.right + total.asked, total.known),
        _share(total.taken, total.strangers),
        _share(total.own, total.grouped),
    )


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.1%} ({part} of {whole})" if whole else "-"


def show(title: str, rows: list[tuple[str, ...]]) -> None:
    """Prints the table of one kind of library."""
    table = Table(title=title, title_justify="left")
    for column in (
        "people labelled", "tracks labelled", "assignment accuracy: of those named, right",
        "recall: named right", "named right or asked rightly", "strangers named",
        "purity of unknown groups",
    ):  # fmt: skip
        table.add_column(column, justify="right")
    for row in rows:
        table.add_row(*row)
    console.print(table)


def of_data(data: Path, truth: Path | None, people: list[int], tracks: int) -> None:
    """The curve of a data folder."""
    stores = LibraryStores.of(TableStore(Layout(data)))
    settings = settings_of_library(stores, load_settings())
    inputs = read_templates(stores.tables)
    names, faults = true_people(stores, truth)
    present = set(inputs.templates["track_key"])
    names = {key: name for key, name in names.items() if key in present}
    title = (
        f"{inputs.videos} videos of {data.name}: {len(names)} tracks of "
        f"{len(set(names.values()))} people, {len(faults)} truth files left out"
    )
    show(title, [rows_of(n, [counted(inputs, settings, names, n, tracks)]) for n in people])


def of_synthetic(libraries: int, people: list[int], tracks: int) -> None:
    """The curves of made-up libraries, each row summed over all."""
    settings = load_settings()
    for name, space in SPACES.items():
        made = [synthetic_inputs(seed, space, settings) for seed in range(libraries)]
        sizes = [len(truth) for _, truth in made]
        rows = []
        for number in people:
            click.echo(f"... {name}, {number} people", err=True)
            rows.append(rows_of(number, [counted(i, settings, t, number, tracks) for i, t in made]))
        show(
            f"{name}: {libraries} libraries, {np.mean(sizes):.0f} tracks of {PEOPLE} people each",
            rows,
        )


@click.command(help=(__doc__ or "").split("\n\n")[0])
@click.argument("data", required=False, type=click.Path(exists=True, path_type=Path))
@click.option("--truth", type=click.Path(exists=True, path_type=Path), help="Truth files.")
@click.option("--people", default="0,10,20,50", show_default=True, help="How many are labelled.")
@click.option("--tracks", default=2, show_default=True, help="Tracks that are labelled of each.")
@click.option("--libraries", default=3, show_default=True, help="Synthetic ones of each kind.")
def main(data: Path | None, truth: Path | None, people: str, tracks: int, libraries: int) -> None:
    """Measures and prints."""
    numbers = [int(number) for number in people.split(",")]
    if data is not None:
        of_data(data, truth, numbers, tracks)
    else:
        of_synthetic(libraries, numbers, tracks)


if __name__ == "__main__":
    main()
