"""What the product reads in real people's eyes, mouths and smiles, against labels by eye.

Run the labelled videos first. Without an option the tables are taken as they lie, with the numbers
of the product, which were fitted on these very people if the videos are the real clips. Below it,
the same with every person judged by numbers that were fitted on the others alone. `--fit` prints
what is fitted on all of them: the constants of `core.faces.mesh_expression`, and the weights of
`core.imagesets.portrait`.

    python -m identity_pipeline_tests.benchmarks.real_faces DATA LABELS.csv --truth FOLDER [--fit]

Labels are a CSV with `clip, frame_idx, seat, eyes, mouth, smile, teeth, occlusion, light, blur,
good_anchor`; empty or `unsure` is not counted. A seat is `left`, `right` or `only`; who sat there
is said by the truth file of the clip, else by the clip's own name.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import click
import polars as pl
from rich.console import Console
from rich.table import Table
from sklearn.linear_model import LogisticRegression

from identity_pipeline.core.evaluation.intervals import wilson
from identity_pipeline.core.evaluation.labels import seats_of
from identity_pipeline.core.faces.buckets import expression_bin
from identity_pipeline.core.faces.mesh_expression import (
    FITTED,
    Decisions,
    Logistic,
    mesh_expression,
    mouth_height,
    with_own_ratios,
)
from identity_pipeline.settings import Settings
from identity_pipeline.storage.layout import Layout
from identity_pipeline.storage.video.tables import TableStore
from identity_pipeline_tests.benchmarks import portraits

RIDGE = 0.3
"""`C` of the logistic regressions, on measures of unit spread: weak evidence stays weak."""
EYES_SURE = -0.15
"""Log odds from which eyes are closed: below even, for closed eyes that are missed spoil a set, and
open ones that are not taken cost one face of hundreds. Chosen with the table below in view."""
MOUTH_MISSED = 0.08
"""Share of open mouths below the limit: nothing parts them from parted lips but their height."""
S = Settings.model_construct()


class Count(NamedTuple):
    """So many of so many."""

    found: int
    of: int

    def __str__(self) -> str:
        if not self.of:
            return "-"
        low, high = wilson(*self) or (0.0, 1.0)
        return f"{self.found}/{self.of} {self.found / self.of:.1%} [{low:.0%}-{high:.0%}]"


# --- labelled faces ----------------------------------------------------------------------------


def person_of(clip: str, seat: str, truth: Sequence[Path]) -> str:
    """Who sat on a seat."""
    for folder in truth:
        path = folder / f"{clip}.truth.json"
        if path.is_file():
            people = json.loads(path.read_text(encoding="utf-8"))["people"]
            return str(people[-1 if seat == "right" else 0]).removesuffix(".mp4")
    return clip.removeprefix("solo_")


def of_clip(store: TableStore, clip: str, labels: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """All riders' faces of a clip with their labels, one table per run of it."""
    only = labels["seat"].eq("only").all()
    for video_id in store.videos_with("face_landmarks"):
        if clip != video_id and video_id.rsplit("-", 1)[0] != clip.replace(".", "_"):
            continue
        landmarks = store.read("face_landmarks", video_id)
        bins = store.read("face_buckets", video_id).select("face_id", "expression_bin")
        scores = portraits.scores_of(store, video_id, S)
        yield (
            landmarks.drop("landmarks")
            .join(bins, on="face_id", how="left")
            .join(scores, on="face_id", how="left")
            .join(seats_of(landmarks, bool(only)), on="person_id", how="left")
            .with_columns(clip=pl.lit(clip))
            .join(
                labels.rename({"smile": "smiles", "occlusion": "covered", "eyes": "lids"}),
                on=["clip", "frame_idx", "seat"],
                how="left",
            )
        )


def read(data: Path, labels: Path, truth: Sequence[Path]) -> pl.DataFrame:
    """All riders' faces of the labelled clips; labels are null where nobody looked."""
    told = pl.read_csv(labels, infer_schema_length=0).with_columns(
        pl.col("frame_idx").cast(pl.Int64),
        pl.col("eyes", "mouth", "smile").replace({"unsure": None}),
    )
    store = TableStore(Layout(data))
    tables = [
        faces
        for (clip,), own in told.group_by("clip", maintain_order=True)
        for faces in of_clip(store, str(clip), own)
    ]
    faces = pl.concat(tables, how="diagonal")
    who = [
        person_of(clip, seat, truth) if seat else None
        for clip, seat in faces.select("clip", "seat").iter_rows()
    ]
    return faces.with_columns(who=pl.Series(who, dtype=pl.String))


# --- numbers from labels -----------------------------------------------------------------------


def logistic(faces: pl.DataFrame, yes: pl.Expr, columns: Sequence[str], above: float) -> Logistic:
    """A logistic decision with both sides weighing the same, its limit so far above even odds."""
    known = faces.drop_nulls(list(columns))
    x, y = known.select(columns).to_numpy().astype(float), known.select(yes).to_series().to_numpy()
    mean, spread = x.mean(axis=0), x.std(axis=0)
    model = LogisticRegression(C=RIDGE, class_weight="balanced").fit((x - mean) / spread, y)
    weights = model.coef_[0] / spread
    constant = float(model.intercept_[0] - weights @ mean) - above
    return Logistic(round(constant, 2), dict(zip(columns, weights.round(2).tolist(), strict=True)))


def fitted(faces: pl.DataFrame) -> Decisions:
    """The numbers that labelled faces give."""
    with_own = [with_own_ratios(part, S.buckets) for part in faces.partition_by("clip")]
    seen = pl.concat(with_own).filter(
        pl.col("covered").ne_missing("heavy"), pl.col("eye_open").is_not_null()
    )
    eyes = seen.filter(pl.col("lids").is_in(["open", "closed"]))
    shut = pl.col("lids") == "closed"
    broad = seen.filter(pl.col("smiles").is_in(["none", "broad"]))
    gaping = seen.filter(pl.col("mouth").is_in(["open", "wide"])).select(mouth_height())
    limit = gaping.to_series().quantile(MOUTH_MISSED, "linear")
    return Decisions(
        eyes_shut=logistic(eyes, shut, ("lid_height", "own_ratio"), EYES_SURE),
        by_mesh=logistic(eyes, shut, ("own_ratio",), EYES_SURE),
        alone=logistic(eyes, shut, ("lid_height",), EYES_SURE),
        smiling=logistic(
            broad, pl.col("smiles") == "broad", ("mouth_width", "mouth_lift", "mouth_drop"), 0.0
        ),
        mouth_open=round(limit or FITTED.mouth_open, 3),
    )


def told_by(faces: pl.DataFrame, by: Decisions) -> pl.DataFrame:
    """The faces as they would be read with other numbers."""
    own = ("lid_ratio", "eyes", "wink", "gaze_aside", "eye_open", "mouth_open", "smile")
    parts = [mesh_expression(part.drop(own), S.buckets, by) for part in faces.partition_by("clip")]
    told = pl.concat(parts, how="diagonal")
    bins = [
        expression_bin(eye, mouth, smile, S.buckets)
        for eye, mouth, smile in told.select("eye_open", "mouth_open", "smile").iter_rows()
    ]
    return told.with_columns(expression_bin=pl.Series(bins, dtype=pl.String))


def left_out(faces: pl.DataFrame) -> pl.DataFrame:
    """Every person as read with numbers of the others."""
    return pl.concat(
        [
            told_by(faces, fitted(faces.filter(pl.col("who") != who))).filter(pl.col("who") == who)
            for who in faces["who"].drop_nulls().unique().sort()
        ]
    )


# --- what is judged ----------------------------------------------------------------------------


def wanted_bins(lids: str | None, mouth: str | None, smiles: str | None, teeth: str) -> list[str]:
    """The bins that are right for a label; none where it cannot say."""
    if lids in (None, "hidden"):
        return []
    if lids == "closed":
        return ["eyes_closed"]
    if mouth in (None, "hidden"):
        return []
    shows = smiles == "broad" or (smiles == "slight" and teeth == "yes")
    right = [*(["smile"] if shows else []), *(["mouth_open"] if mouth in ("open", "wide") else [])]
    right = right or ["neutral"]
    unclear = smiles in (None, "slight")
    if "smile" not in right and unclear:
        right.append("smile")
    return [*right, "neutral"] if right[0] == "smile" and smiles == "slight" else right


def counts(faces: pl.DataFrame) -> dict[str, Count]:
    """What is judged, on some labelled faces."""

    def of(base: pl.Expr, found: pl.Expr) -> Count:
        among = faces.filter(base.fill_null(False))
        return Count(among.filter(found.fill_null(False)).height, among.height)

    shut = pl.col("expression_bin") == "eyes_closed"
    lids, mouth, smiles = pl.col("lids"), pl.col("mouth"), pl.col("smiles")
    smiling, gapes = (
        pl.col("smile") >= S.buckets.smile_from,
        pl.col("mouth_open") >= S.buckets.mouth_open_from,
    )
    binned = pl.col("right").list.len() > 0
    right = pl.col("right").list.contains(pl.col("expression_bin"))
    lidded = lids.is_in(["half", "wink"])
    low = pl.col("eyes").is_in(["closed", "lowered"])
    return {
        "closed eyes": of(lids == "closed", shut),
        "open called closed": of(lids == "open", shut),
        "half called closed": of(lids == "half", shut),
        "half called low": of(lids == "half", low),
        "open called low": of(lids == "open", low),
        "winks": of(lids == "wink", pl.col("wink")),
        "open called wink": of(lids == "open", pl.col("wink")),
        "bin": of(binned & ~lidded, right),
        "bin with half": of(binned, right),
        "broad smiles": of(smiles == "broad", smiling),
        "none called smile": of(smiles == "none", smiling),
        "open mouths": of(mouth.is_in(["open", "wide"]), gapes),
        "parted called open": of((mouth == "slight") & smiles.ne_missing("broad"), gapes),
        "closed called open": of(mouth == "closed", gapes),
        "eyes unknown": of(lids.is_not_null(), pl.col("eyes") == "unknown"),
    }


def table(title: str, faces: pl.DataFrame) -> Table:
    """Counts by person."""
    said = faces.filter(pl.col("covered").ne_missing("heavy")).drop_nulls("who")
    rights = [
        wanted_bins(*row) for row in said.select("lids", "mouth", "smiles", "teeth").iter_rows()
    ]
    said = said.with_columns(right=pl.Series(rights, dtype=pl.List(pl.String)))
    columns = ["all", *said["who"].unique().sort()]
    shown = Table(title=title)
    for name in ("", *columns):
        shown.add_column(name)
    by = [counts(said if who == "all" else said.filter(pl.col("who") == who)) for who in columns]
    for figure in by[0]:
        own = [f"{c[figure].found}/{c[figure].of}" if c[figure].of else "" for c in by[1:]]
        shown.add_row(figure, str(by[0][figure]), *own)
    return shown


Printer = Callable[[object], None]


def print_tables(faces: pl.DataFrame, show: Printer) -> None:
    """The faces as they lie, and every person by numbers of the others."""
    show(table("As the tables have it", faces))
    print_portraits(faces, show)
    if faces["expression_source"].eq("face_mesh").all():
        show(table("Each person by numbers fitted on the others", left_out(faces)))


def print_portraits(faces: pl.DataFrame, show: Printer) -> None:
    """How well anchors are told from other faces."""
    judged = faces.filter(pl.col("good_anchor").is_in(["yes", "no"])).drop_nulls("who")
    good = pl.col("good_anchor") == "yes"
    for name in ("eligible", "portrait"):
        called = judged.filter(pl.col(name).fill_null(False))
        found = called.filter(good).height
        show(
            f"{name}: chosen by eye {Count(found, called.height)}, "
            f"of those chosen by eye {Count(found, judged.filter(good).height)}"
        )
    show("Pairs of faces ranked as by eye:")
    for line in portraits.lines(looked_at(faces)):
        show(line)


def looked_at(faces: pl.DataFrame) -> pl.DataFrame:
    """The labelled faces that have scores."""
    return faces.filter(
        pl.any_horizontal(pl.col("light", "good_anchor").is_not_null()),
        pl.col("who").is_not_null(),
        pl.col("portrait_score") >= 0,
    )


def print_fit(faces: pl.DataFrame, show: Printer) -> None:
    """What is fitted on all labelled faces."""
    show(f"weights of portrait_score={portraits.fitted_weights(looked_at(faces))}")
    if not faces["lids"].is_in(["open", "closed"]).any():
        show("no label says whether eyes are open: nothing else is fitted")
        return
    for name, value in fitted(told_by(faces, FITTED))._asdict().items():
        show(f"{name}={value}")


@click.command()
@click.argument("data", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("labels", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--truth", multiple=True, type=click.Path(exists=True, path_type=Path))
@click.option("--fit", is_flag=True, help="Print the numbers that these labels give.")
def main(data: Path, labels: Path, truth: tuple[Path, ...], fit: bool) -> None:
    """Judge the faces of the videos in DATA by LABELS."""
    faces = read(data, labels, truth)
    show = Console(width=200).print
    (print_fit if fit else print_tables)(faces, show)


if __name__ == "__main__":
    main()
