"""How well the model of a camera finds what is known of made-up cameras, and how rarely it errs.

    python -m identity_pipeline_tests.benchmarks.camera_truth [--cameras N] [--videos N] [--json F]
    python -m identity_pipeline_tests.benchmarks.camera_truth --picture FILE.svg

Cameras are rows of tables with truth (`core.camera.park`), no pictures: what this says is of the
statistics alone. A minute of one core with the defaults; more cameras and videos make it sharper.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from pathlib import Path

import numpy as np

from identity_pipeline.core.camera.seating import seat_tracks
from identity_pipeline.core.camera.seats import SEAT, find_seats
from identity_pipeline.core.camera.watch import judge
from identity_pipeline.media.watch_figure import watch_svg
from identity_pipeline.settings import CameraSettings
from identity_pipeline_tests.core.camera.park import ASPECT, Park, sightings, versions_of, videos_of
from identity_pipeline_tests.core.camera.test_pose_zero import camera, votes, zeros_of
from identity_pipeline_tests.core.camera.test_seats import CAMERAS, nearest, order_of, seats_in
from identity_pipeline_tests.core.camera.test_watch import changed, film, rows

S = CameraSettings()
Figures = dict[str, object]


def pose_zero(cameras: int, videos: int) -> Figures:
    """Errors in degrees, and how often no zero holds."""
    off: dict[str, list[float]] = {"yaw": [], "pitch": []}
    none = Counter[str]()
    for seed in range(cameras):
        rng = np.random.default_rng([seed, 3])
        true = {"yaw": rng.uniform(-15, 15), "pitch": rng.uniform(-12, 3)}
        found = camera(zeros_of(votes(seed, videos, **true)))
        for axis, at in true.items():
            if found[axis] is None:
                none[axis] += 1
            else:
                off[axis].append(abs(found[axis] - at))
    return {
        f"{axis}, {videos} videos": {
            "cameras": cameras,
            "none holds": none[axis],
            "within 1.5 degrees": round(float(np.mean(np.array(each) <= 1.5)), 3) if each else None,
            "largest error": round(max(each), 2) if each else None,
        }
        for axis, each in off.items()
    }


def seats(cameras: int, videos: int) -> Figures:
    """Riders of new videos: in the right seat, in none, in a wrong one; staff in a seat."""
    told, known = Counter[str](), 0
    for seed in range(cameras):
        park = Park(**{**CAMERAS[seed % len(CAMERAS)], "seed": 100 + seed})  # pyright: ignore
        places, _ = videos_of(park, videos)
        table = find_seats(places, order_of(places), ASPECT, S)
        known += bool((table["kind"] == SEAT).any())
        true = {
            row["place"]: nearest(park, row["x"], row["y"], np.exp(row["log_size"]))
            for row in seats_in(table).iter_rows(named=True)
        }
        for k in range(30):
            new, truth = park.video(f"new{k}")
            seated = seat_tracks(new, table, ASPECT, S) if table.height else None
            for track, seat in truth.items():
                got = None
                if seated is not None:
                    got = dict(seated.select("track_id", "seat").iter_rows())[track]
                told[_said(seat, None if got is None else true[got])] += 1
    return {f"seats, {videos} videos": {"cameras": cameras, "known": known, **told}}


def _said(true: int | None, got: int | None) -> str:
    if true is None:
        return "no rider, in no seat" if got is None else "no rider, in a seat"
    return "in no seat" if got is None else "right" if got == true else "wrong"


def quiet(cameras: int, videos: int) -> Figures:
    """Alarms of cameras that do not change."""
    alarms, unlike = 0, 0
    for seed in range(cameras):
        films = rows(film(1000 + seed, videos))
        start = 0
        for k in range(videos):
            verdict = judge(films[start : k + 1], S)
            unlike += bool(verdict.unlike)
            if verdict.changes:
                alarms, start = alarms + 1, start + verdict.changes[0].since
    return {"no change": {"videos": cameras * videos, "alarms": alarms, "unlike": unlike}}


def changes(cameras: int) -> Figures:
    """After how many videos a change is told, and how far off its first video is."""
    found: Figures = {}
    for kind in ("bumped", "lens", "exposure"):
        late, off, missed = [], [], 0
        for seed in range(cameras):
            columns = film(2000 + seed, 110)
            changed(kind, columns, 60)
            films = rows(columns)
            for k in range(60, len(films)):
                verdict = judge(films[: k + 1], S)
                if verdict.changes:
                    late.append(k - 59)
                    off.append(abs(verdict.changes[0].since - 60))
                    break
            else:
                missed += 1
        found[kind] = {
            "cameras": cameras,
            "missed": missed,
            "told after, median": float(np.median(late)) if late else None,
            "told after, at most": max(late, default=None),
            "first video off by, at most": max(off, default=None),
        }
    return found


def picture(target: Path) -> None:
    """What `like_its_camera` shows of a made-up camera that is bumped at its 41st video."""
    before, after = versions_of(sightings(60, "bumped", 40), S)
    loud = [change.figure for change in after.causes]
    target.write_text(watch_svg(after.before, after.first, loud), encoding="utf-8")
    for change in after.causes:
        print(f"{after.noticed}: {change.sentence}, since {after.first}")
    print(f"version {before.number}: {len(before.videos)} videos")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cameras", type=int, default=14)
    parser.add_argument("--videos", type=int, default=150)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--picture", type=Path)
    said = parser.parse_args()
    if said.picture:
        picture(said.picture)
        return
    told: Figures = {}
    for videos in (20, 40, 80):
        told |= pose_zero(2 * said.cameras, videos) | seats(said.cameras, videos)
    told |= quiet(max(1, said.cameras // 2), said.videos) | changes(max(1, said.cameras // 2))
    for name, figures in told.items():
        print(f"{name}: {figures}")
    if said.json:
        said.json.write_text(json.dumps(told, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
