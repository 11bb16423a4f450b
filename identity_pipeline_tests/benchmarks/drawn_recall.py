r"""How often the interval of a ride's recall covers the truth, which of drawn rides is known.

    python -m tools.bundled_models.camera --facekit ARRAYS --camera 7 --rides 28 --seconds 36 \
        --fps 5 --yaw 12 --pitch -8 --out FOLDER
    identity-pipeline --data DATA run FOLDER/*.mp4
    python -m identity_pipeline_tests.benchmarks.drawn_recall DATA --truth FOLDER

The moments of each ride are those of the product's own tables. Which of them are usable is in the
truth: little of the face covered, and sharp. A usable one that is not exported is shown by another
picture where the rider's head was drawn nearly alike in one that is exported, else it is missed.
Auditors are asked what the desk asks, and are wrong in one answer of twenty. Printed is the share
of audits whose interval covers the truth, of whole rides and of single riders.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
import polars as pl

from identity_pipeline.core.recall.audit import MISSED, SHOWN, STRATUM, UNUSABLE, allocate, choose
from identity_pipeline.core.recall.estimate import recall_of
from identity_pipeline.core.recall.strata import DECIDED, EXPORTED, LEFT_OUT, moments_of
from identity_pipeline.settings import RecallSettings
from identity_pipeline_tests.benchmarks.camera_rides import FOLDER
from identity_pipeline_tests.benchmarks.drawn_rides import Drawn

ALIKE_DEG, ALIKE = 10.0, 0.3
"""Heads that differ by less in yaw and pitch, and in how far they smile and open the mouth, look
alike."""
LOOKS = {
    "drawn_yaw": ALIKE_DEG,
    "drawn_pitch": ALIKE_DEG,
    "drawn_smile": ALIKE,
    "drawn_mouth": ALIKE,
}
NEARLY = 1e-9


@dataclass(frozen=True)
class Known:
    """A ride with what is true of it: `moments` with a column `truth`, null of what is exported."""

    video: str
    moments: pl.DataFrame

    def recall(self, whose: pl.Expr) -> float | None:
        """The truth; None where nothing is usable."""
        own = self.moments.filter(whose)
        exported = own.filter(pl.col("stratum") == EXPORTED).height
        truth = own.filter(pl.col("stratum").is_in(LEFT_OUT))["truth"]
        shown, missed = (int((truth == kind).sum()) for kind in (SHOWN, MISSED))
        usable = exported + shown + missed
        return (exported + shown) / usable if usable else None


def known_ride(drawn: Drawn, video: str, settings: RecallSettings) -> Known | None:
    """The moments of a ride; None where nothing is exported, or no rider was drawn."""
    ledger = drawn.store.read("frame_ledger", video)
    frames = drawn.store.read("frames", video, ("frame_idx", "timestamp_ms"))
    moments = moments_of(frames, ledger, settings)
    truth, people = drawn.truth(video), drawn.riders(video)
    usable = truth["usable"]
    if truth["moment_s"] != settings.moment_s:
        raise click.ClickException(f"Moments of {truth['moment_s']} s were drawn.")
    if not (moments["stratum"] == EXPORTED).any() or not set(people.values()) <= usable.keys():
        return None
    looks = _looks(drawn, video)
    saved = ledger.filter(pl.col("state") == "saved")["face_id"].to_list()
    exported = {p: [looks[f] for f in saved if f in looks and looks[f][0] == p] for p in usable}
    told = [
        _truth(row, people[row["person_id"]], usable, looks, exported)
        for row in moments.iter_rows(named=True)
    ]
    return Known(video, moments.with_columns(truth=pl.Series(told, dtype=pl.String)))


Look = tuple[str, tuple[float, ...]]


def _looks(drawn: Drawn, video: str) -> dict[str, Look]:
    faces = drawn.faces(video).select("face_id", "drawn_person", *LOOKS)
    return {face: (person, tuple(looks)) for face, person, *looks in faces.iter_rows()}


def _truth(
    row: dict,
    person: str,
    usable: dict[str, list[bool]],
    looks: dict[str, Look],
    exported: dict[str, list[Look]],
) -> str:
    """What an auditor who knows says of a moment."""
    if not usable[person][row["moment"]]:
        return UNUSABLE
    whose, look = looks.get(row["face_id"], (None, ()))
    if whose != person:
        return MISSED
    limits = tuple(LOOKS.values())
    alike = any(
        all(abs(a - b) < limit for a, b, limit in zip(look, other, limits, strict=True))
        for _, other in exported[person]
    )
    return SHOWN if alike else MISSED


def audit(ride: Known, settings: RecallSettings, wrong: float, seed: int) -> list[tuple[str, bool]]:
    """One audit: for the ride and each rider, whether the interval covers the truth."""
    left_out = ride.moments.filter(pl.col("stratum").is_in(LEFT_OUT))
    sizes = {(int(p), str(s)): n for p, s, n in left_out.group_by(STRATUM).len().iter_rows()}
    asked = choose(left_out, f"{ride.video}:{seed}", allocate(sizes, settings))
    rng = np.random.default_rng([seed, *ride.video.encode()])
    answers = asked.select(
        "person_id",
        "moment",
        answer=pl.Series([_said(rng, truth, wrong) for truth in asked["truth"]], dtype=pl.String),
    )
    result = []
    people = ride.moments["person_id"].unique().sort().to_list()
    for name, whose in [
        ("ride", pl.lit(True)),
        *(("rider", pl.col("person_id") == p) for p in people),
    ]:
        truth = ride.recall(whose)
        found = recall_of(ride.moments.filter(whose), answers)
        if truth is not None and found.low is not None and found.high is not None:
            result.append((name, found.low - NEARLY <= truth <= found.high + NEARLY))
    return result


def _said(rng: np.random.Generator, truth: str, wrong: float) -> str:
    others = [kind for kind in (MISSED, SHOWN, UNUSABLE) if kind != truth]
    return str(rng.choice(others)) if rng.random() < wrong else truth


def words(rides: list[Known], audits: int, wrong: float, clicks: int) -> Iterator[str]:
    """Coverage over all audits, and of the worst ride."""
    settings = RecallSettings(clicks=clicks)
    covered: dict[str, list[bool]] = {"ride": [], "rider": []}
    by_ride = []
    for ride in rides:
        own = [each for seed in range(audits) for each in audit(ride, settings, wrong, seed)]
        for name, holds in own:
            covered[name].append(holds)
        by_ride.append(float(np.mean([holds for name, holds in own if name == "ride"] or [1.0])))
    for name, holds in covered.items():
        if holds:
            yield (
                f"{clicks} clicks, {wrong:.0%} of answers wrong: the interval of a {name} covers "
                f"the truth in {np.mean(holds):.1%} of {len(holds)} audits"
            )
    if by_ride:
        yield f"  of the ride of which it does least often: {min(by_ride):.1%}"


@click.command()
@click.argument("data", type=FOLDER)
@click.option("--truth", required=True, type=FOLDER)
@click.option("--audits", default=20, help="Of each ride.")
@click.option("--wrong", default=0.05, help="Share of answers that are wrong.")
def main(data: Path, truth: Path, audits: int, wrong: float) -> None:
    """Prints how often the intervals of simulated audits cover the truth."""
    drawn = Drawn.of(data, truth)
    found = (known_ride(drawn, video, RecallSettings()) for video in drawn.own_videos())
    rides = [ride for ride in found if ride is not None]
    strata = pl.concat([ride.moments for ride in rides]) if rides else None
    click.echo(f"{len(rides)} rides with pictures, of {len(drawn.own_videos())}")
    if strata is None:
        return
    counted = strata.filter(pl.col("stratum") != DECIDED).group_by("stratum", "truth").len()
    for row in counted.sort("stratum", "truth").iter_rows(named=True):
        truth_ = "" if row["stratum"] == EXPORTED else f", {row['truth']}"
        click.echo(f"  moments {row['stratum']}{truth_}: {row['len']}")
    shares = [share for ride in rides if (share := ride.recall(pl.lit(True))) is not None]
    click.echo(f"true recall of the rides: {min(shares):.2f} to {max(shares):.2f}")
    for share in dict.fromkeys((0.0, wrong)):
        for line in words(rides, audits, share, RecallSettings().clicks):
            click.echo(line)


if __name__ == "__main__":
    main()
