"""A library of rendered rides with a shared cast: many people, most of them in several rides.

Belongs here: rendering a plan of `cast` ride by ride, resuming, progress. Does not belong here: the
plan itself, or how a ride is drawn.
Run `python -m tools.bundled_models.library --facekit ARRAYS --out FOLDER --rides 64 --seed 0`.
A run that was stopped goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import cv2

from tools.bundled_models import facekit, ride
from tools.bundled_models.cast import Cast, plan_library, seats_of
from tools.bundled_models.course import RidePlan


def write_cast(cast: Cast, folder: Path) -> None:
    """Write `cast.json`; see `write_document`."""
    write_document(cast.document(), folder)


def write_document(document: dict[str, Any], folder: Path) -> None:
    """Write `cast.json`.

    Raises:
        FileExistsError: the folder holds the rides of another plan.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path, text = folder / "cast.json", json.dumps(document, indent=1)
    if path.exists() and path.read_text(encoding="utf-8") != text:
        raise FileExistsError(
            f"{folder} holds another plan; give its options again or another folder."
        )
    beside = path.with_suffix(".part")
    beside.write_text(text, encoding="utf-8")
    beside.rename(path)


def missing(plans: Sequence[RidePlan], folder: Path) -> list[RidePlan]:
    """The rides of a plan that are not whole yet."""
    return [p for p in plans if not all(f.exists() for f in ride.files_of(p, folder))]


def _render(arrays: Path, plan: RidePlan, folder: Path) -> RidePlan:
    cv2.setNumThreads(1)
    ride.write(facekit.load(arrays), plan, folder)
    return plan


def render(arrays: Path, plans: list[RidePlan], folder: Path, jobs: int = 1) -> Iterator[RidePlan]:
    """Render rides, and give each back when it is whole."""
    if jobs == 1:
        yield from (_render(arrays, plan, folder) for plan in plans)
        return
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        waiting = [pool.submit(_render, arrays, plan, folder) for plan in plans]
        yield from (done.result() for done in as_completed(waiting))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--facekit", type=Path, required=True, help="the arrays, ict_facekit.npz")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--rides", type=int, default=64)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--fps", type=int, default=10, help="the pipeline looks at 10 a second")
    parser.add_argument("--seconds", type=float, default=9.0)
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    arguments = parser.parse_args()
    try:
        cast = plan_library(arguments.rides, arguments.seed, arguments.fps, arguments.seconds)
        write_cast(cast, arguments.out)
    except (ValueError, FileExistsError) as error:
        sys.exit(str(error))
    plans, started = missing(cast.rides, arguments.out), time.monotonic()
    total, skipped = len(cast.rides), len(cast.rides) - len(plans)
    for done, plan in enumerate(render(arguments.facekit, plans, arguments.out, arguments.jobs), 1):
        spent = time.monotonic() - started
        left = spent / done * (len(plans) - done) / 60
        who = ", ".join(f"{s} {seat}" for s, seat in zip(plan.riders, seats_of(plan), strict=True))
        print(
            f"{skipped + done}/{total} {plan.name} ({who}): {spent / done:.0f} s a ride, {left:.0f} min left",
            flush=True,
        )
    print(f"{total} rides of {len(cast.people)} people in {arguments.out}", flush=True)


if __name__ == "__main__":
    main()
