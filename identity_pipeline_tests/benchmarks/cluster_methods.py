"""Which way of grouping suits a theme park's library, where most people have few tracks.

Synthetic libraries (60 videos, 45 people with one to five tracks, two pairs of look-alikes) in
spaces of several separations. The merge floor is read at some false-accept rates from libraries
of other people, look-alikes included. Precision comes first: of what reaches 0.99, recall decides.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import click
import numpy as np
from hdbscan import HDBSCAN
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from identity_pipeline.core.clustering.grouping import cluster_vectors
from identity_pipeline.core.clustering.metrics import cluster_metrics
from identity_pipeline.settings import ClusterSettings
from identity_pipeline_tests.synthetic_people import STRONG, WEAK, Library, Space, park

SPACES = {
    "ArcFace-like": STRONG,
    "weak, better templates": Space(same=0.55, different=0.09, spread=0.10),
    "weak": WEAK,
}
METHODS: dict[str, dict[str, object]] = {
    "agglomerative": {"method": "agglomerative"},
    "hdbscan eom": {"method": "hdbscan"},
    "hdbscan leaf": {"method": "hdbscan", "hdbscan_selection": "leaf"},
    "dbscan": {"method": "dbscan"},
}
PLAIN = "hdbscan.HDBSCAN"
"""The library itself on all pairs, without a floor: two tracks make a cluster."""
PRECISION = 0.99


@dataclass(frozen=True)
class Result:
    """Means over libraries of one space, rate and method."""

    space: str
    rate: float | None
    floor: float | None
    found: float | None
    method: str
    precision: float
    worst: float
    recall: float
    surplus: float
    merged_in_frame: int


def _cosines(libraries: list[Library]) -> tuple[np.ndarray, np.ndarray]:
    same, different = [], []
    for library in libraries:
        cosines = library.vectors @ library.vectors.T
        i, j = np.triu_indices(len(cosines), 1)
        one = library.person[i] == library.person[j]
        same.append(cosines[i, j][one])
        different.append(cosines[i, j][~one])
    return np.concatenate(same), np.concatenate(different)


def _measured(
    libraries: list[Library], label: Callable[[Library], NDArray[np.integer]]
) -> np.ndarray:
    rows = []
    for library in libraries:
        labels = label(library)
        found = cluster_metrics(
            [None if v < 0 else v for v in labels.tolist()], library.person.tolist()
        )
        together = sum(bool(labels[i] == labels[j] >= 0) for i, j in library.apart)
        surplus = found.groups + found.noise - found.people
        rows.append((found.b3_precision, found.b3_recall, surplus, together))
    return np.array(rows, dtype=np.float64)


def _ours(library: Library, floor: float, settings: ClusterSettings) -> NDArray[np.integer]:
    apart = library.apart_keys
    return cluster_vectors(library.keys, library.vectors, floor, settings, apart=apart)


def _plain(library: Library) -> NDArray[np.integer]:
    return HDBSCAN(min_cluster_size=2, min_samples=1).fit_predict(library.vectors)


def results(libraries: int, rates: list[float]) -> Iterator[Result]:
    """All combinations; progress on the error stream."""
    for name, space in SPACES.items():
        click.echo(f"... {name}", err=True)
        seen = [park(np.random.default_rng([1, k]), space) for k in range(libraries)]
        held = [park(np.random.default_rng([2, k]), space) for k in range(libraries)]
        same, different = _cosines(seen)
        yield _result(name, None, None, None, PLAIN, _measured(held, _plain))
        for rate in rates:
            floor = float(np.quantile(different, 1 - rate))
            share = float((same >= floor).mean())
            for method, values in METHODS.items():
                settings = ClusterSettings.model_validate(values)
                label = partial(_ours, floor=floor, settings=settings)
                yield _result(name, rate, floor, share, method, _measured(held, label))


def _result(
    space: str,
    rate: float | None,
    floor: float | None,
    found: float | None,
    method: str,
    measured: np.ndarray,
) -> Result:
    precision, recall, surplus, together = measured.T
    return Result(
        space, rate, floor, found, method, float(precision.mean()), float(precision.min()),
        float(recall.mean()), float(surplus.mean()), int(together.sum()),
    )  # fmt: skip


def _table(found: list[Result]) -> Table:
    table = Table(title="B-cubed of grouping, means over libraries", title_justify="left")
    for name in ("space", "method"):
        table.add_column(name)
    for name in ("FAR", "floor", "pairs above it", "precision", "worst", "recall"):
        table.add_column(name, justify="right")
    table.add_column("groups - people", justify="right")
    table.add_column("one-frame pairs merged", justify="right")
    for r in found:
        table.add_row(
            r.space, r.method, "-" if r.rate is None else f"{r.rate:g}", _shown(r.floor),
            _shown(r.found),
            f"{r.precision:.4f}", f"{r.worst:.3f}", f"{r.recall:.4f}", f"{r.surplus:+.1f}",
            str(r.merged_in_frame),
        )  # fmt: skip
    return table


def _shown(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def best(found: list[Result]) -> list[str]:
    """Method and rate that reach the precision in every space, most recall first."""
    sums: dict[tuple[str, float | None], list[Result]] = {}
    for r in found:
        sums.setdefault((r.method, r.rate), []).append(r)
    good = [
        (float(np.mean([r.recall for r in rows])), key)
        for key, rows in sums.items()
        if min(r.precision for r in rows) >= PRECISION
    ]
    return [
        f"{method}{'' if rate is None else f' at FAR {rate:g}'}: mean recall {recall:.4f}"
        for recall, (method, rate) in sorted(good, key=lambda found: -found[0])
    ]


@click.command(help=(__doc__ or "").split("\n\n")[0])
@click.option("--libraries", default=30, show_default=True, help="Libraries per space.")
@click.option("--rates", default="3e-3,1e-3,5e-4,3e-4,2e-4,1e-4", show_default=True, help="FARs.")
def main(libraries: int, rates: str) -> None:
    """Measures and prints."""
    found = list(results(libraries, [float(rate) for rate in rates.split(",")]))
    console = Console(width=max(150, Console().width))
    console.print(_table(found))
    console.print(f"Precision >= {PRECISION} in every space, most recall first:")
    for line in best(found):
        console.print(f"  {line}")


if __name__ == "__main__":
    main()
