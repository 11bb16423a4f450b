"""What exported sets show, read from the folders alone: how far apart, how large, how light.

    python -m identity_pipeline_tests.benchmarks.export_quality DATA [OTHER_DATA ...]

Of each data folder one row a rider and one for all: images by set, the closest two of the rider in
time and how many pairs of them are closer than `selection.min_gap_s` (a pair picture counts for
both riders), challenge images by kind, images whose short side reaches `export.min_side_px`, and
coverage and anchor images on which the face itself is dark. Only the pictures and the metadata
of them are read, so that folders of two versions are compared by the same measure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

import click
import cv2
from rich.console import Console
from rich.table import Table

from identity_pipeline.settings import Settings
from identity_pipeline_tests.exports import described_images

S = Settings.model_construct()
DARK = S.buckets.dark_below
"""Mean luma of a face from which it is not dark."""


class Picture(NamedTuple):
    """One rider's face of an exported image."""

    rider: str
    set_name: str
    kind: str | None
    at_ms: float
    short_side: int
    luma: float


class Counts(NamedTuple):
    """What is printed of some pictures."""

    sets: Counter[str]
    kinds: Counter[str]
    closest_s: float | None
    too_close: int
    large: int
    dark: Counter[str]

    def cells(self) -> tuple[str, ...]:
        """As text."""
        total = sum(self.sets.values())
        names = ("anchor", "coverage", "challenge", "pair")
        return (
            " / ".join(str(self.sets[name]) for name in names),
            "-" if self.closest_s is None else f"{self.closest_s:.2f}",
            str(self.too_close),
            ", ".join(f"{kind} {n}" for kind, n in sorted(self.kinds.items())) or "-",
            f"{self.large} of {total}",
            f"{self.dark['anchor']} / {self.dark['coverage']}",
        )


def pictures_of(export: Path) -> Iterator[Picture]:
    """Every face of every image of an export."""
    for path, meta in described_images(export):
        image = cv2.imread(str(path))
        if image is None:
            raise click.ClickException(f"{path} is missing")
        for member in meta.get("members", [meta]):
            yield Picture(
                rider=f"{export.parent.name} person_{member['person_id']}",
                set_name=str(meta["type"]),
                kind=member.get("kind"),
                at_ms=float(member["timestamp_ms"]),
                short_side=min(image.shape[:2]),
                luma=_luma(image, meta["crop_box"], member["face_bbox"]),
            )


def _luma(image: Any, crop: Sequence[float], face: Sequence[float]) -> float:
    """Mean luma of the face, whose box is in pixels of the source."""
    x1, y1, x2, y2 = (
        max(0, round(v - o)) for v, o in zip(face, (*crop[:2], *crop[:2]), strict=True)
    )
    return float(cv2.cvtColor(image[y1:y2, x1:x2], cv2.COLOR_BGR2GRAY).mean())


def counts_of(pictures: Sequence[Picture]) -> Counts:
    """The figures of one rider, or of all; distances are between images of one rider."""
    gaps = [gap for own in _by_rider(pictures).values() for gap in _gaps(own)]
    return Counts(
        sets=Counter(p.set_name for p in pictures),
        kinds=Counter(p.kind for p in pictures if p.kind),
        closest_s=min(gaps, default=None),
        too_close=sum(gap < S.selection.min_gap_s - 1e-9 for gap in gaps),
        large=sum(p.short_side >= S.export.min_side_px for p in pictures),
        dark=Counter(p.set_name for p in pictures if p.luma < DARK),
    )


def _by_rider(pictures: Sequence[Picture]) -> dict[str, list[Picture]]:
    found: dict[str, list[Picture]] = {}
    for picture in pictures:
        found.setdefault(picture.rider, []).append(picture)
    return found


def _gaps(pictures: Sequence[Picture]) -> list[float]:
    """Seconds between every two images of a rider."""
    return [abs(b.at_ms - a.at_ms) / 1000 for a, b in combinations(pictures, 2)]


@click.command()
@click.argument("data", nargs=-1, required=True, type=click.Path(exists=True, file_okay=False))
def main(data: tuple[str, ...]) -> None:
    """Print what the exports of each data folder DATA show."""
    for folder in data:
        exports = sorted(Path(folder).glob("output/*/identity_builder"))
        pictures = [picture for export in exports for picture in pictures_of(export)]
        table = Table(title=f"Exports of {len(exports)} videos in {Path(folder).name}")
        for column in (
            *("rider", "anchor / coverage / challenge / pair", "closest, s"),
            *("closer than the gap", "challenge by kind"),
            *(f">= {S.export.min_side_px} px", "dark anchor / coverage"),
        ):
            table.add_column(column)
        for rider, own in _by_rider(pictures).items():
            table.add_row(rider, *counts_of(own).cells())
        table.add_section()
        table.add_row("all", *counts_of(pictures).cells())
        Console(width=170).print(table)


if __name__ == "__main__":
    main()
