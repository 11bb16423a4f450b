"""What the pictures of known people are worth as references, by their number, and what each adds.

    python -m identity_pipeline_tests.benchmarks.value_curve DATA --judge PACK [--count N]

DATA is a data folder whose people have been named (`identity-pipeline label`, then `recluster`).
Everybody who is known in two rides or photo sets at least is measured as `identity-pipeline worth`
does it; then all of them together. Held out are the rides of the targets: no reference is of the
same ride. It is a proxy: cosines of a recogniser that did not choose, not what a generator makes.
"""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np
from rich.console import Console
from rich.table import Table

from identity_pipeline.core.datasets.worth import COUNTS, MODES, TRIALS, Curve, Mode, Trial
from identity_pipeline.media.worth_plot import AGAINST, PROXY, WORDS
from identity_pipeline.models.hub import ModelHub
from identity_pipeline.settings import load_settings
from identity_pipeline.stages.curation.snapshot import LibrarySnapshot
from identity_pipeline.stages.datasets.worth import (
    Judged,
    judge_of,
    pictures_of,
    worth_of_pictures,
    write_worth,
)
from identity_pipeline.stages.stores import LibraryStores
from identity_pipeline.storage.layout import Layout
from identity_pipeline.storage.video.tables import TableStore

TODAY = "2026-01-01T00:00:00+00:00"
console = Console(width=150)


def curves_of(judged: list[Judged], trial: Trial, mode: Mode) -> dict[str, Curve]:
    """The curves of everybody of whom something can be said, by name."""
    found = {one.name: {c.mode: c for c in one.trials[trial].curves} for one in judged}
    return {name: curves[mode] for name, curves in found.items() if curves}


def at(curve: Curve, count: int | None) -> tuple[float, float]:
    """Best first and at random, of so many references or of all where there are fewer."""
    point = next((p for p in curve.points if p.count == count), curve.all)
    return point.best_first.mean, point.random.mean


def print_curves(judged: list[Judged], trial: Trial, mode: Mode) -> None:
    """A row for each person, and one for all."""
    curves = curves_of(judged, trial, mode)
    if not curves:
        console.print(f"{AGAINST[trial]}, {WORDS[mode]}: nobody has targets with references")
        return
    table = Table(title=f"Similarity {AGAINST[trial]}, {WORDS[mode]}: best first / at random")
    columns = [*map(str, COUNTS), "all"]
    for column in ("person", "pictures", "targets", *columns, "few give 97 %", "held out"):
        table.add_column(column)
    of = {one.name: one for one in judged}
    for name, curve in curves.items():
        told = [" / ".join(f"{v:.3f}" for v in at(curve, n)) for n in (*COUNTS, None)]
        held_out = "-" if curve.held_out is None else f"{curve.held_out:.0%}"
        worth = of[name].trials[trial]
        few = f"{curve.enough} of {worth.pictures}"
        table.add_row(name, str(worth.pictures), str(worth.targets), *told, few, held_out)
    means = [np.mean([at(c, n) for c in curves.values()], axis=0) for n in (*COUNTS, None)]
    table.add_row("mean", "", "", *(f"{a:.3f} / {b:.3f}" for a, b in means), "", "")
    console.print(table)


@click.command()
@click.argument("data", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--judge", required=True, help="Face pack that judges, by name or folder.")
@click.option("--count", type=int, help="Pictures of a person.  [default: datasets.count]")
@click.option("--out", type=click.Path(path_type=Path), help="Where curves are written.")
def main(data: Path, judge: str, count: int | None, out: Path | None) -> None:
    """Print the value curves of the people of the data folder DATA."""
    settings = load_settings(paths={"data": str(data)}, datasets={"judge": judge})
    models = ModelHub(settings.models)
    judging = judge_of(settings, models.face_pack)
    stores = LibraryStores.of(TableStore(Layout(data)))
    library = LibrarySnapshot.open(stores, TODAY, write=False)
    people = library.table("people").filter(library.table("people")["video_count"] > 1)
    judged = []
    for person_id in people["person_id"]:
        pictures = pictures_of(library, person_id, settings, models, count)
        judged.append(worth_of_pictures(pictures, judging, models.face_pack))
        if out is not None:
            write_worth(out / judged[-1].pictures[0].person.slug, judged[-1])
    if not judged:
        raise click.ClickException("nobody is known in two rides; name people first.")
    console.print(f"{PROXY}; judge {judging.space.key}, chosen by {models.face_pack.space.key}")
    for trial in TRIALS:
        for mode in MODES:
            print_curves(judged, trial, mode)


if __name__ == "__main__":
    main()
