"""What labels teach: held-out recognition before and after rounds of labels, on known truth.

A round is what a curator does in one sitting: the ten people of most tracks whom nobody has named
yet get their names. Held-out people and videos (drawn by a hash) judge, and are the same in every
round. Nothing is written but what is printed.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import click
import numpy as np
import polars as pl
from rich.console import Console
from rich.table import Table

from identity_pipeline.core.heads.baselines import baselines
from identity_pipeline.core.heads.judgement import Comparison, Judgement, compare, judge
from identity_pipeline.core.heads.judging_rows import JudgingRows, Labels, judging_rows
from identity_pipeline.core.heads.trainer import HeadTrainer
from identity_pipeline.core.heads.training_set import (
    HELD_OUT,
    TRAIN,
    teachers,
    teaching_arrays,
    teaching_faces,
)
from identity_pipeline.core.vectors import check_unit
from identity_pipeline.ledger import subjects
from identity_pipeline.settings import Settings, TrainSettings, load_settings
from identity_pipeline.stages.library.spaces import read_video
from identity_pipeline.stages.library.statistics import true_people
from identity_pipeline.stages.stores import LibraryStores
from identity_pipeline.storage.layout import Layout
from identity_pipeline.storage.video.tables import TableStore
from identity_pipeline_tests.library_tables import read_templates

PEOPLE_PER_ROUND = 10
FLOOR = Settings().match.template_weight_floor
console = Console(width=170)


def labelled(store: TableStore, truth: Mapping[str, str], settings: TrainSettings) -> pl.DataFrame:
    """The table `training_set` if every track of the library had its true name."""
    keys = set(read_templates(store).templates["track_key"])
    named = {key: person for key, person in truth.items() if key in keys}
    videos = sorted({subjects.parse(key).video_id for key in named})
    return pl.concat([teaching_faces(read_video(store, v), named, settings) for v in videos])


def after_rounds(full: pl.DataFrame, rounds: int | None) -> pl.DataFrame:
    """The set after so many rounds: all that is held out, and the tracks of those named so far."""
    if rounds is None:
        return full
    teach = full.filter(pl.col("split") == TRAIN)
    tracks = Counter(dict(teach.group_by("person_id").agg(pl.col("track_key").n_unique()).rows()))
    named = sorted(tracks, key=lambda person: (-tracks[person], person))
    chosen = named[: rounds * PEOPLE_PER_ROUND]
    return full.filter((pl.col("split") == HELD_OUT) | pl.col("person_id").is_in(chosen))


def shuffled(full: pl.DataFrame, share: float, seed: int) -> pl.DataFrame:
    """The set with the names of a share of its tracks dealt out anew among them."""
    tracks = full.select("track_key", "person_id").unique().sort("track_key")
    rng = np.random.default_rng(seed)
    rows = np.flatnonzero(rng.random(tracks.height) < share)
    people = tracks["person_id"].to_numpy().copy()
    people[rows] = people[rng.permutation(rows)]
    dealt = tracks.select("track_key").with_columns(person_id=pl.Series(people))
    return full.drop("person_id").join(dealt, on="track_key").select(full.columns)


def trained(training_set: pl.DataFrame, settings: TrainSettings) -> tuple[HeadTrainer, float]:
    """A head of the teaching part, and the seconds it took."""
    trainer = HeadTrainer(teaching_arrays(teachers(training_set, settings)), settings)
    started = time.perf_counter()
    for _ in range(settings.epochs):
        trainer.run_epoch()
    return trainer, time.perf_counter() - started


def judged(training_set: pl.DataFrame, rows: JudgingRows, settings: TrainSettings) -> Judgement:
    """The head of a training set on given rows, with the baselines."""
    trainer, _ = trained(training_set, settings)
    others = baselines(teaching_arrays(teachers(training_set, settings)))
    return judge(
        rows,
        lambda vectors: check_unit(vectors, "e_id"),
        trainer.head().apply,
        settings,
        {name: other.apply for name, other in others.items()},
    )


def shown(value: float | None, form: str = ".3f") -> str:
    """A number, or a dash."""
    return "-" if value is None else format(value, form)


def gain_of(found: Comparison) -> list[str]:
    """Before, after, and the difference with its interval."""
    change = found.accepted
    return [
        f"{shown(change.before)} {shown(change.after)}",
        f"{shown(change.difference, '+.3f')} "
        f"({shown(change.low, '+.3f')} to {shown(change.high, '+.3f')})",
    ]


def row_of(
    name: str, training_set: pl.DataFrame, found: Judgement, settings: TrainSettings
) -> list[str]:
    """One line of the table."""
    own = teachers(training_set, settings)
    harmed = sum(one.drop > settings.recall_drop_max for one in found.recalls)
    return [
        name,
        f"{own['person_id'].n_unique()}/{own['track_key'].n_unique()}/{own.height}",
        *gain_of(found.faces),
        *gain_of(found.tracks),
        f"{harmed}/{len(found.recalls)}",
        f"{len(found.audit.doubtful)}/{found.audit.tracks}",
        "yes" if found.promoted else "no",
        " ".join(f"{shown(faces)}/{shown(tracks)}" for faces, tracks in found.baselines.values()),
    ]


def table(settings: TrainSettings) -> Table:
    """The head of the table."""
    drawn = Table(
        title=f"Held-out genuine pairs accepted at FAR {settings.judge_far:g}", title_justify="left"
    )
    for column in (
        "labels", "people/tracks/faces", "faces", "difference (95 %)", "tracks",
        "difference (95 %)", "harmed", "doubtful", "live", "whitening lda means (faces/tracks)",
    ):  # fmt: skip
        drawn.add_column(column)
    return drawn


SLICES = {
    "profile (|yaw| of 30 and more)": pl.col("yaw").abs() >= 30,
    "frontal (|yaw| below 15)": pl.col("yaw").abs() < 15,
    "dark or overexposed": pl.col("lighting_bin").is_in(["dark", "overexposed"]),
    "partly covered or more": pl.col("occlusion_bin").is_in(["partial", "heavy"]),
    "normal light, uncovered": (pl.col("lighting_bin") == "normal")
    & (pl.col("occlusion_bin") == "none"),
}
"""Faces by what makes recognition hard, as the pipeline itself measured it."""


def slices(
    store: TableStore, full: pl.DataFrame, part: pl.DataFrame, settings: TrainSettings
) -> Table:
    """Pairs with a held-out face of each slice, before and after the head of a training set."""
    rows = judging_rows(full, FLOOR)
    chosen = rows.some_faces(settings.judge_faces_per_track)
    seen = full.sort("track_key", "face_id")[chosen.tolist()].select("video_id", "face_id")
    looks = pl.concat(
        store.read("face_buckets", video).select("face_id", "lighting_bin", "occlusion_bin").join(
            store.read("face_landmarks", video).select("face_id", "yaw"), on="face_id"
        ).with_columns(video_id=pl.lit(video))
        for video in sorted(set(seen["video_id"]))
    )  # fmt: skip
    seen = seen.join(looks, on=["video_id", "face_id"], how="left", maintain_order="left")
    head = trained(part, settings)[0].head()
    old, labels = rows.vectors[chosen], rows.tracks.of(rows.owner[chosen])
    drawn = Table(title="Held-out faces by what makes them hard", title_justify="left")
    for column in ("slice", "genuine pairs", "before, after", "difference (95 %)"):
        drawn.add_column(column)
    for name, condition in SLICES.items():
        inside = seen.select(condition.fill_null(value=False)).to_series().to_list()
        own = Labels(
            labels.person, labels.video,
            [held and face for held, face in zip(labels.judging, inside, strict=True)],
        )  # fmt: skip
        found = compare(old, head.apply(old), own, settings)
        drawn.add_row(name, f"{found.after.genuine}", *gain_of(found))
    return drawn


@click.command()
@click.argument("data", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--truth", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--rounds", default="1,3,10", show_default=True)
@click.option("--set", "sets", multiple=True, metavar="NAME=VALUE", help="A setting of `train`.")
def main(data: Path, truth: Path | None, rounds: str, sets: tuple[str, ...]) -> None:
    """Measure heads on the processed videos of DATA."""
    settings: Settings = load_settings(train=dict(pair.split("=") for pair in sets))
    store = TableStore(Layout(data))
    people, _ = true_people(LibraryStores.of(store), truth)
    full = labelled(store, people, settings.train)
    rows, drawn, own = judging_rows(full, FLOOR), table(settings.train), settings.train
    for number in [int(n) for n in rounds.split(",")]:
        part = after_rounds(full, number)
        drawn.add_row(*row_of(f"{number} rounds", part, judged(part, rows, own), own))
    # Whoever shuffles labels shuffles those that judge, too.
    for name, share in (("all shuffled", 1.0), ("a third wrong", 0.33)):
        part = shuffled(full, share, 0)
        drawn.add_row(*row_of(name, part, judged(part, judging_rows(part, FLOOR), own), own))
    console.print(drawn)
    console.print(slices(store, full, full, own))


if __name__ == "__main__":
    main()
