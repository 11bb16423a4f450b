"""Fits what is done to the open pack's vectors: `space.toml` of `models/open_pack`.

    python -m tools.open_pack_space PHOTOS [--groups CSV] [--write FILE]

PHOTOS holds a folder for each source, and in it one photograph of each person, of which the largest
face counts. Prints how close different people are who did not make the space (ten times each half
of them), with the mean alone and with mean and spread, and so for pairs within a group of look where
a CSV with the columns `photo` (its name without the ending) and `group` names some. After a new file: a higher `VERSION` of the
converter, `tools.record_open_pack`, and numbers of its own.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from pathlib import Path

import click
import cv2
import numpy as np
from numpy.typing import NDArray

from identity_pipeline.core.geometry import Box
from identity_pipeline.media.crops import Region, align
from identity_pipeline.models.face_pack import FacePack
from identity_pipeline.models.open_pack import build
from identity_pipeline.settings import load_settings

DAMPED = 20
"""Directions; 15 to 40 came out alike on people that did not make them."""
SHARE = 0.25
"""Largest share of a source, so that none dominates."""
HALVES = 10
QUANTILES = (0.5, 0.9, 0.95, 0.99, 0.999)
Rows = NDArray[np.float64]


def raw_vectors(pictures: list[Path], pack: FacePack) -> tuple[Rows, list[Path]]:
    """(N, 128) vectors before mean and spread, and the picture of each; no face: left out."""
    aligned, seen = [], []
    for path in pictures:
        image = np.asarray(cv2.imread(str(path)), np.uint8)
        found = pack.detect(image)
        if not len(found.boxes):
            click.echo(f"no face: {path}")
            continue
        box = found.boxes[(found.boxes[:, 2:] - found.boxes[:, :2]).prod(axis=1).argmax()]
        (points,) = pack.landmarks([Region(image, 0.0, 0.0, 1.0)], [Box(*map(float, box))])
        aligned.append(align(image, five_points(points[:, :2])))
        seen.append(path)
    model = pack._models["recognition"]
    given = np.concatenate([model.get_feat([face]) for face in aligned])
    return np.linalg.solve(build.spread().astype(float), given.T).T + build.mean(), seen


def five_points(points: NDArray[np.floating]) -> NDArray[np.float32]:
    """Eyes, tip of the nose and corners of the mouth of 68 points."""
    eyes = points[36:42].mean(axis=0), points[42:48].mean(axis=0)
    return np.stack([*eyes, points[30], points[48], points[54]]).astype(np.float32)


def weights_of(sources: list[str]) -> Rows:
    """One vote a person, but no source has more than its share."""
    of = np.array(sources)
    weights = np.ones(len(of))
    for _ in range(50):
        for name in set(sources):
            own, others = weights[of == name].sum(), weights[of != name].sum()
            if own > SHARE * (own + others):
                weights[of == name] *= SHARE * others / ((1 - SHARE) * own)
    return weights / weights.sum()


def fitted(rows: Rows, weights: Rows, damped: int = DAMPED) -> tuple[Rows, Rows, Rows]:
    """The mean (D,), shares that are kept (K,) and unit directions (K, D), the strongest first."""
    weights = weights / weights.sum()
    mean = weights @ rows
    spread = (rows - mean).T @ ((rows - mean) * weights[:, None])
    variance, across = np.linalg.eigh(spread)
    variance, across = variance[::-1], across[:, ::-1].T[:damped]
    across = across * np.sign(across[range(damped), np.abs(across).argmax(axis=1)])[:, None]
    return mean, np.sqrt(variance[damped] / variance[:damped]), across


def cosines(rows: Rows, mean: Rows, kept: Rows, across: Rows) -> Rows:
    """(N, N), in a space."""
    about = rows - mean
    about = about + (about @ across.T * (kept - 1)) @ across
    unit = about / np.linalg.norm(about, axis=1, keepdims=True)
    return unit @ unit.T


def held_out(rows: Rows, weights: Rows, groups: list[str]) -> dict[str, Rows]:
    """Cosines of pairs of people who did not make the space, of all and within each group."""
    told: dict[str, list[Rows]] = defaultdict(list)
    rng = np.random.default_rng(0)
    for _ in range(HALVES):
        order = rng.permutation(len(rows))
        for make, judge in ((order[::2], order[1::2]), (order[1::2], order[::2])):
            mean, kept, across = fitted(rows[make], weights[make])
            for name, shares in (("mean", np.ones(DAMPED)), ("mean and spread", kept)):
                found = cosines(rows[judge], mean, shares, across)
                told[f"{name}, all"].append(found[np.triu_indices(len(judge), 1)])
                for group in sorted(set(groups) - {""}):
                    own = np.array([groups[k] == group for k in judge])
                    within = found[np.ix_(own, own)][np.triu_indices(own.sum(), 1)]
                    told[f"{name}, within {group}"].append(within)
    return {name: np.concatenate(parts) for name, parts in told.items()}


def lines(row: Rows, indent: str) -> str:
    """Numbers of a list, several in a line."""
    told = [f"{value:.7g}" for value in row]
    return ",\n".join(indent + ", ".join(told[i : i + 8]) for i in range(0, len(told), 8)) + ","


@click.command()
@click.argument("photos", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--write", type=click.Path(path_type=Path), help="Writes mean, kept and directions.")
@click.option("--groups", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def main(photos: Path, write: Path | None, groups: Path | None) -> None:
    """Fit the space on the photographs in PHOTOS/SOURCE/."""
    pack = FacePack(load_settings(models={"face_pack": build.NAME, "det_score_min": 0.3}).models)
    rows, seen = raw_vectors(sorted(p for p in photos.glob("*/*") if p.is_file()), pack)
    sources = [path.parent.name for path in seen]
    named: dict[str, str] = {}
    if groups is not None:
        with groups.open(encoding="utf-8", newline="") as file:
            named = {row["photo"]: row["group"] for row in csv.DictReader(file)}
    weights = weights_of(sources)
    click.echo(f"{len(rows)} people of {len(set(sources))} sources")
    of_look = [named.get(path.stem, "") for path in seen]
    for name, found in held_out(rows, weights, of_look).items():
        quantiles = " / ".join(f"{v:.2f}" for v in np.quantile(found, QUANTILES))
        click.echo(
            f"{name}: different people 50/90/95/99/99.9 % {quantiles} ({len(found):,} pairs)"
        )
    mean, kept, across = fitted(rows, weights)
    now = np.concatenate([build.mean(), build.spread().ravel()])
    damped = np.eye(len(mean)) + across.T @ ((kept - 1)[:, None] * across)
    gap = np.abs(np.concatenate([mean, damped.ravel()]) - now).max()
    click.echo(f"largest difference from the space in force: {gap:.4f}")
    if write is not None:
        rows_told = "\n".join(f"  [\n{lines(row, '    ')}\n  ]," for row in across)
        write.write_text(
            f"mean = [\n{lines(mean, '  ')}\n]\nkept = [\n{lines(kept, '  ')}\n]\n"
            f"directions = [\n{rows_told}\n]\n",
            encoding="utf-8",
        )


if __name__ == "__main__":
    main()
