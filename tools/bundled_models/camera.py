r"""Rides that one camera filmed: one route, one car, known angles, and changes from known rides on.

Belongs here: the plan of such a library, its command line. Does not belong here: how a ride is
drawn, a library with a shared cast (`library`).

    python -m tools.bundled_models.camera --facekit ARRAYS --camera 3 --rides 40 --yaw 12 --pitch -8 \
        --change bump@30:40,25,6,-3 --out FOLDER

Changes, each from the ride of that number on (the first is 0):
    bump@30:X,Y,YAW,PITCH  the camera is knocked: px to the right and down (of 1280 x 720), degrees
    lens@30:SIGMA          the lens gets dirty: px of blur
    exposure@30:GAIN       so many times the light
    foreign@30             this ride alone is one of another track
A run that was stopped goes on where it was.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

from tools.bundled_models.choreography import person_name
from tools.bundled_models.course import Mount, RidePlan, tunnel_of
from tools.bundled_models.library import missing, render, write_document
from tools.bundled_models.traits import traits_of

FIRST_SEED = 700_000  # nobody of the demo, of the networks' training, or of other libraries
VALUES = {"bump": 4, "lens": 1, "exposure": 1, "foreign": 0}
"""Numbers that a change takes."""
FOREIGN = 1_000_003
"""What is added to a camera's seed for the track of another ride, until its tunnel comes elsewhere."""
Change = tuple[str, int, tuple[float, ...]]


def change_of(text: str) -> Change:
    """Reads `bump@30:40,25,6,-3`.

    Raises:
        ValueError: it is none, in a sentence.
    """
    kind, _, rest = text.partition("@")
    at, _, values = rest.partition(":")
    try:
        numbers = tuple(float(v) for v in values.split(",") if v)
        if len(numbers) == VALUES[kind]:
            return kind, int(at), numbers
    except (KeyError, ValueError):
        pass
    known = ", ".join(f"{name} ({count} numbers)" for name, count in VALUES.items())
    raise ValueError(f"{text!r} is no change. It is KIND@RIDE:NUMBERS; kinds: {known}.")


def mount_at(mount: Mount, changes: list[Change], ride: int) -> Mount:
    """How the camera is mounted in a ride, after all changes up to it."""
    for kind, at, values in sorted(changes, key=lambda change: change[1]):
        if kind == "foreign" and at == ride:
            others = count(mount.seed + FOREIGN, FOREIGN)
            other = next(seed for seed in others if tunnel_of(seed) != tunnel_of(mount.seed))
            mount = replace(mount, seed=other)
        elif at > ride:
            break
        elif kind == "bump":
            across, down, yaw, pitch = values
            shift = (mount.shift[0] + round(across), mount.shift[1] + round(down))
            mount = replace(mount, shift=shift, yaw=mount.yaw + yaw, pitch=mount.pitch + pitch)
        elif kind == "lens":
            mount = replace(mount, lens=values[0])
        elif kind == "exposure":
            mount = replace(mount, gain=values[0])
    return mount


def plan_camera(
    mount: Mount, rides: int, changes: list[Change], seconds: float, fps: int, spread: float
) -> list[RidePlan]:
    """The rides: who sits where, with staff beside the car in every second one.

    Three seatings take turns: a child in front, front and back; two in front and one behind; four.

    Args:
        mount: of the first ride.
        rides: how many.
        changes: see `change_of`.
        seconds: of a ride at the usual pace.
        fps: of the videos.
        spread: how much slower and faster trains are, and half of it the stretches of one ride.

    Raises:
        ValueError: no ride is asked for, or a size of which the same plan gives other bytes.
    """
    if rides < 1:
        raise ValueError("A library has at least one ride.")
    if any(side % 8 for side in mount.size):
        raise ValueError("Width and height are multiples of 8, or the bytes differ every time.")
    rng = np.random.default_rng([mount.seed, 60])
    people = range(
        FIRST_SEED + 1000 * (mount.seed % 100), FIRST_SEED + 1000 * (mount.seed % 100) + 400
    )
    children = [s for s in people if traits_of(s).child]
    grown = [s for s in people if not traits_of(s).child]
    plans = []
    for number in range(rides):
        seats = ((0, 1, 2), (0, 1, 3), (0, 1, 2, 3))[number % 3]
        riders = [int(s) for s in rng.choice(grown, len(seats), replace=False)]
        if number % 3 == 0:
            riders[int(rng.integers(2))] = int(rng.choice(children))
        pace = float(np.exp(rng.uniform(-spread, spread)))
        wait = float(rng.uniform(0.5, 2.0)) if rng.random() < 0.15 else 0.0
        cut = float(rng.uniform(0.2, 0.6)) if rng.random() < 0.1 else 0.0
        plans.append(
            RidePlan(
                f"cam{mount.seed}_{number:03d}", tuple(riders), int(rng.integers(1 << 30)),
                round(seconds * pace + wait, 2), fps,
                mount=mount_at(mount, changes, number), seats=seats,
                staff=int(rng.choice(grown)) if number % 2 else None,
                pace=pace, wobble=spread / 2, wait_s=wait, cut_s=(cut, cut),
            )
        )  # fmt: skip
    return plans


def document(plans: list[RidePlan], changes: list[Change]) -> dict[str, Any]:
    """What `cast.json` holds: the known zero, the changes, and of each ride who sits where."""
    first = plans[0].mount
    assert first is not None
    return {
        "camera": f"cam{first.seed}",
        "yaw": first.yaw,
        "pitch": first.pitch,
        "changes": [{"kind": kind, "ride": at, "values": list(v)} for kind, at, v in changes],
        "rides": [
            {"name": p.name, "riders": [person_name(s) for s in p.riders], "seats": list(p.seats),
             "staff": None if p.staff is None else f"staff_{p.staff}", "seconds": p.seconds,
             "fps": p.fps, "seed": p.seed, "pace": round(p.pace, 4), "wait_s": round(p.wait_s, 3),
             "cut_s": [round(c, 3) for c in p.cut_s]}
            for p in plans
        ],
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--facekit", type=Path, required=True, help="the arrays, ict_facekit.npz")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--camera", type=int, default=0, help="seed of route, scenery and framing")
    parser.add_argument("--rides", type=int, default=22, help="a camera is known from 20 on")
    parser.add_argument(
        "--yaw", type=float, default=0.0, help="degrees aside; > 0: noses to the right"
    )
    parser.add_argument("--pitch", type=float, default=0.0, help="degrees; > 0: noses up")
    parser.add_argument("--change", action="append", default=[], metavar="KIND@RIDE:NUMBERS")
    parser.add_argument("--pace", type=float, default=0.15, help="how unlike the trains' pace is")
    parser.add_argument("--seconds", type=float, default=12.0, help="of a ride at the usual pace")
    parser.add_argument("--fps", type=int, default=10, help="the pipeline looks at 10 a second")
    parser.add_argument("--size", type=int, nargs=2, default=(640, 360), metavar=("W", "H"))
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    given = parser.parse_args()
    size = (given.size[0], given.size[1])
    try:
        changes = [change_of(text) for text in given.change]
        mount = Mount(given.camera, given.yaw, given.pitch, size=size)
        plans = plan_camera(mount, given.rides, changes, given.seconds, given.fps, given.pace)
        write_document(document(plans, changes), given.out)
    except (ValueError, FileExistsError) as error:
        sys.exit(str(error))
    left, started = missing(plans, given.out), time.monotonic()
    for done, plan in enumerate(render(given.facekit, left, given.out, given.jobs), 1):
        spent = (time.monotonic() - started) / done
        rest = spent * (len(left) - done) / 60
        told = f"{len(plans) - len(left) + done}/{len(plans)} {plan.name}"
        print(f"{told}: {spent:.0f} s a ride, {rest:.0f} min left", flush=True)
    print(f"{len(plans)} rides in {given.out}", flush=True)


if __name__ == "__main__":
    main()
