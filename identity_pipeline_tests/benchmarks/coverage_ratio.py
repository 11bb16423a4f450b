"""How near the greedy choice of coverage comes to the best set there is.

    python -m identity_pipeline_tests.benchmarks.coverage_ratio [DATA]

Tries every allowed set of small choices: random ones with few rules and with all of them, and, of
the data folder DATA, parts of what each rider shows. The best set keeps caps, gap and likeness but
need not be new within a bucket, so that the true ratio is no worse than what is printed.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl

from identity_pipeline.core.imagesets.faces import no_coverage
from identity_pipeline.settings import SelectionSettings
from identity_pipeline.storage.layout import Layout
from identity_pipeline.storage.video.tables import TableStore
from identity_pipeline_tests.core.small_choices import Choice, random_choice

COUNT, SEEDS = 9, 50
ALIKE = {
    **{"near_duplicate_cos": 1.0, "near_duplicate_look": 1.0, "novelty_min": 0.0},
    "second_picture_min": 0.0,
}
RULES = {
    "caps (bound 1/2)": SelectionSettings(**ALIKE, min_gap_s=0.0),
    "caps and gap (bound 1/4)": SelectionSettings(**ALIKE),
    "all rules (no bound)": SelectionSettings(),
}


def main() -> None:
    """Prints the smallest and the mean ratio of each kind."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", nargs="?", type=Path)
    data = parser.parse_args().data
    for name, settings in RULES.items():
        choices = (
            random_choice(np.random.default_rng(seed), COUNT, settings) for seed in range(SEEDS)
        )
        report(f"random, {name}", choices)
    if data is not None:
        for name, settings in RULES.items():
            report(f"{data}, {name}", of_folder(data, settings))


def report(name: str, choices: Iterator[Choice]) -> None:
    """Prints the ratio of greedy to the best set."""
    ratios = []
    for choice in choices:
        best = choice.best()
        ratios.append(choice.value(choice.greedy()) / best if best else 1.0)
    if ratios:
        low, mean = min(ratios), sum(ratios) / len(ratios)
        optimal = sum(ratio > 1 - 1e-9 for ratio in ratios)
        print(
            f"{name}: at least {low:.3f} of the best value, {mean:.3f} in the mean; the best set "
            f"in {optimal} of {len(ratios)} choices"
        )


def of_folder(data: Path, settings: SelectionSettings) -> Iterator[Choice]:
    """Each rider's candidates in parts of `COUNT` that may be chosen, in time order."""
    store = TableStore(Layout(data))
    for path in sorted((data / "tables" / "candidates").glob("*.parquet")):
        table = store.read("candidates", path.stem).filter(pl.col("standing") == "candidate")
        for _, faces in table.sort("person_id", "frame_idx").group_by(
            "person_id", maintain_order=True
        ):
            rows = faces.to_dicts()
            plain = faces.filter(
                pl.Series([no_coverage(row, settings) is None for row in rows], dtype=pl.Boolean)  # type: ignore[arg-type]
            )
            for start in range(0, plain.height, COUNT):
                yield Choice.of(plain[start : start + COUNT], settings)


if __name__ == "__main__":
    main()
