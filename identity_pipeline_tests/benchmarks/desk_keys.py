"""How many keys and how long it takes to name all riders of the demo at the desk, in a browser.

::

    make demo
    python -m identity_pipeline_tests.benchmarks.desk_keys --data data/demo

A real Chromium at a real desk, on a copy of that data folder in which nobody is named. The keys are
counted, and what the pages take between them is measured: from the key that decides until the next
question is shown. How long a person would take is an estimate by the keystroke-level model of Card,
Moran and Newell (1980): 0.28 s a key for an average typist, 1.35 s to make up one's mind, once
before each name.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from identity_pipeline_tests.desk.browsing import (
    Keyboard,
    RunningDesk,
    Visitors,
    chromium,
    copy_library,
    settled,
)

NAMES = ("Ada", "Ben", "Bo")
KEY_S, MIND_S = 0.28, 1.35


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="data folder of the demo")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, chromium() as browser:
        desk = RunningDesk(copy_library(given.data, Path(folder) / "data")).start()
        visitors = Visitors(browser)
        try:
            measure(desk, visitors)
        finally:
            visitors.close()
            desk.stop()
        assert not visitors.troubles, visitors.troubles


def measure(desk: RunningDesk, visitors: Visitors) -> None:
    assert not desk.decisions(), "somebody is named there already"
    page = visitors.visit(desk, "Kim", "/review")
    page.wait_for_load_state("networkidle")
    keys, begun = Keyboard(page), time.perf_counter()
    for name in NAMES:
        keys.decide("n", name)
    pages_s = time.perf_counter() - begun
    named = sum(desk.names().values())
    settled(page)
    followed_s = time.perf_counter() - begun
    person_s = keys.pressed * KEY_S + len(NAMES) * MIND_S + pages_s
    print(f"riders named           {len(NAMES)}, in {named} tracks of 3 rides (rendered)")
    print(f"keys                   {keys.pressed}, of them {sum(map(len, NAMES))} letters of names")
    print(f"pages                  {pages_s:.1f} s in all")
    print(f"library up to date     {followed_s:.1f} s after the first key")
    print(f"a person, estimated    {person_s:.0f} s")


if __name__ == "__main__":
    main()
