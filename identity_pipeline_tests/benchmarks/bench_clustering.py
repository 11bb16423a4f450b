"""Grouping unit vectors with known truth: seconds, peak memory, B-cubed; and whether links lack.

The links are held against all pairs of some vectors, multiplied in float64: which share of those at
or above the floor was found (recall), and whether nothing else was. `--full` adds the size of a
million faces, and what one would call today: `hdbscan.HDBSCAN` and scikit-learn's brute force. Each
case runs in a process of its own. The vectors are people of 1 to 30 templates each in 512
dimensions; the merge floor is that of the settings for the size.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from scipy.stats import norm

from identity_pipeline.core.clustering.grouping import cluster_vectors, merge_far
from identity_pipeline.core.clustering.metrics import cluster_metrics
from identity_pipeline.core.clustering.neighbours import Links, find_links
from identity_pipeline.settings import ClusterSettings
from identity_pipeline_tests.benchmarks.memory import Peaks, peak_mb
from identity_pipeline_tests.benchmarks.reach import Row, as_json
from identity_pipeline_tests.benchmarks.timing import measured
from identity_pipeline_tests.synthetic_people import STRONG, Library, crowd

MODULE = "identity_pipeline_tests.benchmarks.bench_clustering"
OURS = ("hdbscan", "agglomerative", "dbscan")
RIVALS = ("hdbscan.HDBSCAN", "sklearn brute")
LINKS = "links"
SHORT, FULL = "20000", "20000,100000,250000"
LARGE = 250_000
TARGETS = {LARGE: (600.0, 8192.0)}
"""Seconds and MB that grouping so many tracks may take: a million faces, four a track."""
MILLION = 1_000_000
CHECKED = 2000
"""Vectors whose pairs with all others are counted one by one."""
Labels = NDArray[np.integer]


def floor_for(n: int) -> float:
    """The cosine that pairs of different people reach as often as the settings allow at n.

    Cosines of the synthetic people are as good as normal; the rate is too small to be counted.
    """
    other = crowd(np.random.default_rng(7), 3000, STRONG, most=1)
    cosines = (other.vectors @ other.vectors.T)[np.triu_indices(3000, 1)]
    rate = merge_far(n, ClusterSettings())
    return float(cosines.mean() + cosines.std() * norm.isf(rate))


def _runner(method: str, library: Library, floor: float) -> Callable[[], Labels]:
    if method in OURS:
        settings = ClusterSettings.model_validate({"method": method})
        keys = library.keys
        return lambda: cluster_vectors(keys, library.vectors, floor, settings)
    if method == "hdbscan.HDBSCAN":
        from hdbscan import HDBSCAN

        return lambda: HDBSCAN(min_cluster_size=2).fit_predict(library.vectors)
    from sklearn.cluster import HDBSCAN as Brute  # noqa: N811 - two libraries, one name

    brute = Brute(min_cluster_size=2, algorithm="brute")
    return lambda: brute.fit_predict(library.vectors)


def check_links(n: int) -> dict[str, Any]:
    """Finds the links in this process, and counts what lacks of them."""
    floor = floor_for(n)
    vectors = crowd(np.random.default_rng(0), n, STRONG).vectors
    find_links(crowd(np.random.default_rng(1), 5000, STRONG).vectors, floor)  # opens and warms
    Peaks()
    with measured() as took:
        links = find_links(vectors, floor, max_links=ClusterSettings().max_links)
    peak = peak_mb()
    found, wanted = _both(vectors, links, floor)
    return {
        "n": n,
        "floor": floor,
        "links": len(links.left),
        "wall": took.wall,
        "cpu": took.cpu,
        "others": took.others,
        "peak_mb": peak,
        "checked": len(wanted),
        "recall": len(np.intersect1d(found, wanted)) / max(1, len(wanted)),
        "exact": np.array_equal(found, wanted),
    }


def _both(vectors: NDArray[np.float32], links: Links, floor: float) -> tuple[Labels, Labels]:
    """Pairs of the first vectors, as one number each: those found, and those that there are."""
    n = len(vectors)
    some = links.left < CHECKED
    found = links.left[some].astype(np.int64) * n + links.right[some]
    wanted = []
    exact = vectors[:CHECKED].astype(np.float64)
    for start in range(0, n, 8192):
        columns = vectors[start : start + 8192].astype(np.float64)
        # As links are measured: half of what the squared norms lack of one belongs to the cosine.
        off = 1 - (np.sum(exact**2, 1)[:, None] + np.sum(columns**2, 1)) / 2
        left, right = np.nonzero(exact @ columns.T + off >= floor)
        above = left < right + start
        wanted.append(left[above] * n + right[above] + start)
    return np.sort(found), np.sort(np.concatenate(wanted))


def run_case(method: str, n: int) -> dict[str, Any]:
    """One case in this process, after a small one that loads and warms everything."""
    floor = floor_for(n)
    _runner(method, crowd(np.random.default_rng(1), 500, STRONG), floor)()
    library = crowd(np.random.default_rng(0), n, STRONG)
    run = _runner(method, library, floor)
    peaks = Peaks()
    peaks.end("before")
    before = peak_mb()
    with measured() as took:
        labels = run()
    peak = peak_mb()
    truth = library.person.tolist()
    found = cluster_metrics([None if v < 0 else v for v in labels.tolist()], truth)
    return {
        "method": method,
        "n": n,
        "floor": floor if method in OURS else None,
        "wall": took.wall,
        "cpu": took.cpu,
        "others": took.others,
        "peak_mb": peak,
        "above_mb": peak - before,
        "vectors_mb": library.vectors.nbytes / 2**20,
        "precision": found.b3_precision,
        "recall": found.b3_recall,
        "ari": found.ari,
        "groups": found.groups,
        "people": found.people,
    }


def _in_own_process(method: str, n: int) -> dict[str, Any]:
    click.echo(f"... {method} at {n}", err=True)
    command = [sys.executable, "-m", MODULE, "--case", method, "--sizes", str(n)]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=False, text=True)
    if done.returncode:
        raise click.ClickException(f"{method} at {n} failed; its error is above.")
    return json.loads(done.stdout.splitlines()[-1])


def _table(cases: list[dict[str, Any]]) -> Table:
    table = Table(title="Grouping, by size", title_justify="left")
    table.add_column("method")
    for name in ("n", "wall s", "CPU s", "others' cores", "peak MB", "MB above vectors"):
        table.add_column(name, justify="right")
    for name in ("floor", "B3 precision", "B3 recall", "ARI", "groups", "people"):
        table.add_column(name, justify="right")
    for case in cases:
        others, floor = case["others"], case["floor"]
        table.add_row(
            case["method"],
            f"{case['n']:,}",
            f"{case['wall']:.1f}",
            f"{case['cpu']:.1f}",
            "-" if others is None else f"{others:.1f}",
            f"{case['peak_mb']:.0f}",
            f"{case['above_mb']:.0f}",
            "-" if floor is None else f"{floor:.3f}",
            *(f"{case[name]:.4f}" for name in ("precision", "recall", "ari")),
            str(case["groups"]),
            str(case["people"]),
        )
    return table


def _rows(links: list[dict[str, Any]], cases: list[dict[str, Any]]) -> list[Row]:
    """What is to be reached, of the largest size."""
    (seconds, mb), most = TARGETS[LARGE], links[-1]["n"]
    told = most >= LARGE
    smaller = "" if told else f"of {most:,} it says little of {LARGE:,}; --full"
    rows = [
        Row(
            f"{most:,} tracks grouped from nothing, 512-d",
            f"{LARGE:,}: ≤ {seconds:.0f} s, ≤ {mb / 1024:.0f} GB",
            f"{case['wall']:.1f} s ({case['cpu']:.1f} CPU s), {case['peak_mb'] / 1024:.2f} GB",
            (case["wall"] <= seconds and case["peak_mb"] <= mb) if told else None,
            smaller,
        )
        for case in cases
        if case["n"] == most and case["method"] == ClusterSettings().method
    ]
    found, whole = links[-1]["recall"], links[-1]["exact"]
    here = f"{found:.6f} of {links[-1]['checked']:,}{', and nothing else' if whole else ''}"
    return [*rows, Row("linked pairs found", "≥ 0.999", here, found >= 0.999)]


def _links_table(cases: list[dict[str, Any]]) -> Table:
    table = Table(title="Links at or above the floor", title_justify="left")
    for name in ("n", "links", "wall s", "CPU s", "peak MB", "pairs checked", "recall", "exact"):
        table.add_column(name, justify="right")
    for case in cases:
        table.add_row(
            *(f"{case[name]:,}" for name in ("n", "links")),
            *(f"{case[name]:.1f}" for name in ("wall", "cpu")),
            f"{case['peak_mb']:.0f}",
            f"{case['checked']:,}",
            f"{case['recall']:.6f}",
            "yes" if case["exact"] else "NO",
        )
    return table


def slope(sizes: list[int], values: list[float]) -> tuple[float, float]:
    """Exponent of the growth, and the value to expect at a million, by least squares of logs."""
    exponent, offset = np.polyfit(np.log(sizes), np.log(values), 1)
    return float(exponent), float(np.exp(offset + exponent * np.log(MILLION)))


def _verdict(cases: list[dict[str, Any]]) -> list[str]:
    said = []
    for case in cases:
        if case["method"] in OURS and case["n"] in TARGETS:
            seconds, mb = TARGETS[case["n"]]
            met = case["wall"] < seconds and case["peak_mb"] < mb
            others = "" if case["others"] is None else f", others {case['others']:.1f} cores"
            said.append(
                f"{case['method']} at {case['n']:,}: {case['wall']:.1f} s on the clock, "
                f"{case['cpu']:.1f} CPU s{others}, {case['peak_mb']:.0f} MB "
                f"(target {seconds:.0f} s and {mb:.0f} MB: {'met' if met else 'MISSED'})."
            )
    for method in (*OURS, *RIVALS):
        # Small sizes are all overhead: the slope is taken from 5,000 on.
        large = [c for c in cases if c["method"] == method and c["n"] >= 5000]
        if len({c["n"] for c in large}) < 2:
            continue
        sizes = [c["n"] for c in large]
        exponent, seconds = slope(sizes, [c["cpu"] for c in large])
        growth, mb = slope(sizes, [max(c["above_mb"], 1.0) for c in large])
        squared = large[-1]["cpu"] * (MILLION / sizes[-1]) ** 2
        said.append(
            f"{method}: CPU seconds grow with n^{exponent:.2f}, memory with n^{growth:.2f} "
            f"({min(sizes):,} to {max(sizes):,}); by that a million would take "
            f"{seconds / 3600:.1f} CPU hours and {mb / 1024:.1f} GB above its vectors, and "
            f"{squared / 3600:.1f} CPU hours by the square that the product follows in the end."
        )
    return said


def _sizes(text: str) -> list[int]:
    return sorted(int(part) for part in text.split(",") if part)


@click.command(help=(__doc__ or "").split("\n\n")[0])
@click.option("--full", is_flag=True, help=f"Sizes {FULL}, and what one would call today.")
@click.option("--sizes", help=f"Numbers.  [default: {SHORT}]")
@click.option("--methods", default="agglomerative", show_default=True, help="Ours.")
@click.option("--compare", help="Sizes for the others.  [default: none; full: 1000,10000]")
@click.option("--json", "json_file", type=Path, help="Also write the figures to this file.")
@click.option("--case", hidden=True, help="Run one case in this process.")
def main(
    full: bool,
    sizes: str | None,
    methods: str,
    compare: str | None,
    json_file: Path | None,
    case: str | None,
) -> None:
    """Measures and prints."""
    if case:
        run = check_links if case == LINKS else partial(run_case, case)
        print(json.dumps(run(int(sizes or SHORT))))
        return
    of_ours = _sizes(sizes or (FULL if full else SHORT))
    of_others = _sizes(("1000,10000" if full else "") if compare is None else compare)
    links = [_in_own_process(LINKS, n) for n in of_ours]
    cases = [_in_own_process(method, n) for n in of_ours for method in methods.split(",")]
    cases += [_in_own_process(method, n) for n in of_others for method in RIVALS]
    console = Console(width=max(150, Console().width))
    console.print(_links_table(links))
    console.print(_table(cases))
    for line in _verdict(cases):
        console.print(line)
    if json_file:
        json_file.write_text(
            json.dumps(
                {"links": links, "grouping": cases, **as_json(_rows(links, cases))}, indent=1
            )
        )


if __name__ == "__main__":
    main()
