"""How well the course of a ride and its recall are told, on rides and audits whose truth is known.

    python -m identity_pipeline_tests.benchmarks.ride_model [--rides 60] [--audits 60]

No picture is drawn: tables are made up (`identity_pipeline_tests/core/ride/rides.py`), so what is
printed judges the method, and no camera. It prints, of rides that the template was not made of, how
far frames are from where their phase is shown, how near the rides' own and another ride's costs are
to the limit, what laying a video takes; and how often the interval of the recall covers the truth.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import defaultdict
from itertools import product
from pathlib import Path

import numpy as np

from identity_pipeline.core.recall.audit import allocate, choose
from identity_pipeline.core.recall.estimate import recall_of
from identity_pipeline.core.recall.strata import LEFT_OUT
from identity_pipeline.core.ride.course import course_of
from identity_pipeline.core.ride.frame_phases import frame_phases
from identity_pipeline.core.ride.naming import name_phases
from identity_pipeline.core.ride.template import NoTemplate, build_template, follow
from identity_pipeline.settings import RecallSettings, RideSettings
from identity_pipeline_tests.core.ride.rides import OTHER_TRACK, any_train, ride, seconds_off
from identity_pipeline_tests.core.test_recall import answers_of, population

S = RideSettings()
REACH_S = 0.5
SIZES = ((60, 40, 20, 100), (100, 20, 10, 30), (10, 5, 3, 20))
MISSED = (
    *((0, 0, 0, 0), (0.02, 0.05, 0.1, 0.02), (0.05, 0.1, 0.3, 0.05), (0, 0, 0, 0.2)),
    *((0, 0, 0.4, 0), (0, 0.03, 0, 0), (0.3, 0.3, 0.3, 0.3)),
)
SHOWN = ((0.6, 0.1, 0.1, 0.05), (0.4, 0, 0, 0))


def phases(rides: int) -> dict[str, object]:
    """Figures of the course of a ride."""
    began = time.process_time()
    courses = {f"ride-{n}": course_of(ride(any_train(n), n).frames, S.step_s) for n in range(20)}
    made = time.process_time()
    template = build_template(courses, S, 20)
    if isinstance(template, NoTemplate):
        raise SystemExit(template.sentence)
    built = time.process_time()
    named = name_phases(template, S)
    worst: defaultdict[str, list[float]] = defaultdict(list)
    right, within, nearness, spent, untold = [], [], [], [], 0
    for seed in range(1000, 1000 + rides):
        video = ride(any_train(seed), seed)
        start = time.process_time()
        followed = follow(course_of(video.frames, S.step_s), template)
        found = frame_phases(video.frames, followed, named, S.step_s)["phase"].to_list()
        spent.append(time.process_time() - start)
        nearness.append(followed.nearness)
        untold += followed.same_ride is None
        right.append(np.mean(np.array(found) == np.array(video.phases)))
        off = seconds_off(found, video.phases)
        within.append(max(s for name, s in off.items() if name != "brake") <= REACH_S)
        for name, seconds in off.items():
            worst[name].append(seconds)
    others = [
        follow(
            course_of(ride(any_train(n), n, track=OTHER_TRACK, course=3).frames, S.step_s), template
        ).nearness
        for n in range(20)
    ]
    return {
        "rides": rides,
        "frames with the right phase": float(np.mean(right)),
        "seconds off, worst, by phase": {k: max(v) for k, v in sorted(worst.items())},
        "rides within 0.5 s but for braking": float(np.mean(within)),
        "own rides taken for another's": int(np.sum(np.array(nearness) > 1)),
        "own rides of which nothing is told": untold,
        "own rides, nearest to the limit (1)": max(nearness),
        "another ride, nearest to the limit (1)": min(others),
        "CPU s to make the template": built - made,
        "CPU s for the tables": made - began,
        "CPU ms a video": 1000 * float(np.median(spent)),
    }


def recalls(audits: int, all_clicks: list[int]) -> dict[str, object]:
    """How often the interval covers the truth, and how wide it is, by clicks."""
    shares: dict[str, object] = {}
    for clicks in all_clicks:
        covered, widths = [], []
        for sizes, missed, shown, exported in product(SIZES, MISSED, SHOWN, (20, 60)):
            strata = dict(zip(LEFT_OUT, sizes, strict=True))
            moments = population(*((0, s, n) for s, n in strata.items()), exported=exported)
            wanted = allocate({(0, s): n for s, n in strata.items()}, RecallSettings(clicks=clicks))
            rng = np.random.default_rng([clicks, exported, *sizes])
            hits = 0
            for audit in range(audits):
                truth: list[str] = []
                for n, lacks, has in zip(sizes, missed, shown, strict=True):
                    counts = [round(n * lacks), round(n * has)]
                    kinds = np.repeat(["missed", "shown", "unusable"], [*counts, n - sum(counts)])
                    truth += rng.permutation(kinds).tolist()
                asked = choose(moments, f"{audit}", wanted)["moment"]
                found = recall_of(moments, answers_of(*((0, n, truth[n]) for n in asked)))
                usable = exported + truth.count("missed") + truth.count("shown")
                true = 1 - truth.count("missed") / usable
                low, high = found.low or 0.0, found.high or 0.0
                hits += low - 1e-9 <= true <= high + 1e-9
                widths.append(high - low)
            covered.append(hits / audits)
        shares[f"{clicks} clicks"] = {
            "settings": len(covered),
            "least coverage": min(covered),
            "mean coverage": float(np.mean(covered)),
            "mean width": float(np.mean(widths)),
        }
    return shares


def main() -> None:
    """Prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rides", type=int, default=60)
    parser.add_argument("--audits", type=int, default=60)
    parser.add_argument("--clicks", type=int, nargs="+", default=[12, 20, 40])
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    figures: dict[str, object] = {}
    if given.rides:
        figures["phases"] = phases(given.rides)
    if given.audits:
        figures["recall"] = recalls(given.audits, given.clicks)
    print(json.dumps(figures, indent=1))
    if given.json:
        given.json.write_text(json.dumps(figures), encoding="utf-8")


if __name__ == "__main__":
    main()
