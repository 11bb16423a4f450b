"""References of a person: exemplars and spherical centres, of human-confirmed tracks only.

An exemplar is a real template. A centre is the direction of the mean of some templates, never
centred. For n unit vectors with mean pairwise cosine s that mean has the length
sqrt(s + (1 - s) / n), and cosines to the centre are larger than those to its members by one over
it; so a centre is scored by cosine times that length, which is the mean cosine to its members, and
one threshold fits both.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from identity_pipeline.core.matching.templates import template_matrix
from identity_pipeline.core.tracks.stability import medoid
from identity_pipeline.core.vectors import Matrix, normalise
from identity_pipeline.settings import MatchSettings
from identity_pipeline.tables import TABLES

PERSON_REFERENCES: Final = TABLES["person_references"]
ITERATIONS: Final = 50


@dataclass(frozen=True)
class Centres:
    """Spherical centres.

    Attributes:
        vectors: (k, D) unit vectors.
        strengths: (k,) length of the mean of each one's members.
        labels: (N,) the centre of each vector.
    """

    vectors: Matrix
    strengths: NDArray[np.float64]
    labels: NDArray[np.int64]


def choose_exemplars(
    keys: list[str],
    vectors: Matrix,
    qualities: NDArray[np.floating],
    pinned: Collection[str],
    settings: MatchSettings,
) -> list[str]:
    """Keys of the exemplars, in the order of choice: diverse, of the best quality.

    Pinned ones come first and are never dropped, nor do they use up a place. The others are chosen
    greedily by w * quality + (1 - w) * (1 - largest cosine to those chosen); ties go to the
    smaller key.

    Args:
        keys: N track keys.
        vectors: (N, D) templates.
        qualities: (N,) in [0, 1].
        pinned: keys to keep; others than those given are ignored.
        settings: the number and the weight w.
    """
    order = sorted(range(len(keys)), key=lambda i: keys[i])
    chosen = [i for i in order if keys[i] in pinned]
    weight = settings.exemplar_quality_weight
    for _ in range(settings.exemplars_max):
        rest = [i for i in order if i not in chosen]
        if not rest:
            break
        novelty = 1.0 - (vectors[rest] @ vectors[chosen].T).max(axis=1) if chosen else 1.0
        value = weight * np.asarray(qualities, dtype=np.float64)[rest] + (1.0 - weight) * novelty
        chosen.append(rest[int(np.argmax(np.round(value, 9)))])
    return [keys[i] for i in chosen]


def spherical_centres(vectors: Matrix, settings: MatchSettings) -> Centres:
    """At most `centres_max` directions that represent (N, D) unit vectors, N >= 1.

    The number is the smallest k such that one more would raise the mean cosine of the vectors to
    their own centre by less than `centre_min_gain`, or leave a centre fewer than
    `centre_min_members` vectors. Deterministic: starts at the medoid, then farthest first.
    """
    best = _cluster(vectors, 1)
    fit = _fit(vectors, best)
    for k in range(2, min(settings.centres_max, len(vectors)) + 1):
        more = _cluster(vectors, k)
        sizes = np.bincount(more.labels, minlength=k)
        gain = _fit(vectors, more) - fit
        if sizes.min() < settings.centre_min_members or gain < settings.centre_min_gain:
            break
        best, fit = more, fit + gain
    return best


def _fit(vectors: Matrix, centres: Centres) -> float:
    own = np.einsum("ij,ij->i", vectors, centres.vectors[centres.labels])
    return float(own.astype(np.float64).mean())


def _cluster(vectors: Matrix, k: int) -> Centres:
    starts = [medoid(vectors)]
    while len(starts) < k:
        nearest = (vectors @ vectors[starts].T).max(axis=1)
        starts.append(int(np.argmin(np.round(nearest, 6))))
    centres = vectors[starts]
    labels = np.full(len(vectors), -1, dtype=np.int64)
    for _ in range(ITERATIONS):
        new = np.argmax(np.round(vectors @ centres.T, 6), axis=1)
        if np.array_equal(new, labels):
            break
        labels = new
        means = [_mean(vectors, labels, i, centres[i]) for i in range(k)]
        centres = normalise(np.stack(means))
    means = np.stack([_mean(vectors, labels, i, centres[i]) for i in range(k)])
    return Centres(centres, np.minimum(np.linalg.norm(means, axis=1), 1.0), labels)


def _mean(
    vectors: Matrix, labels: NDArray[np.int64], i: int, before: NDArray[np.float32]
) -> NDArray[np.float64]:
    members = vectors[labels == i].astype(np.float64)
    mean = members.mean(axis=0) if len(members) else np.zeros(vectors.shape[1])
    # Members that cancel out have no direction; the centre stays where it was.
    return mean if np.linalg.norm(mean) > 1e-6 else before.astype(np.float64)


def person_references(
    templates: pl.DataFrame,
    confirmed: Mapping[str, str],
    settings: MatchSettings,
    pinned: Collection[str] = (),
) -> pl.DataFrame:
    """The table `PERSON_REFERENCES`: exemplars, and centres where there are more templates.

    Args:
        templates: table `track_templates`, of one space.
        confirmed: the person of each human-confirmed track. Nothing else becomes a reference.
        settings: numbers of exemplars and centres.
        pinned: track keys that a curator wants kept as exemplars.

    Raises:
        SpaceMismatchError: the templates are of more than one space.
    """
    own = templates.filter(pl.col("track_key").is_in(sorted(confirmed))).sort("track_key")
    matrix = template_matrix(own)
    people = [confirmed[key] for key in own["track_key"].to_list()]
    own = own.select("track_key", "quality", "space")
    rows: list[dict[str, Any]] = []
    for person in sorted(set(people)):
        members = [i for i, p in enumerate(people) if p == person]
        rows += _references(person, own[members], matrix[members], pinned, settings)
    return pl.DataFrame(rows, schema=PERSON_REFERENCES)


def _references(
    person: str,
    tracks: pl.DataFrame,
    vectors: Matrix,
    pinned: Collection[str],
    settings: MatchSettings,
) -> list[dict[str, Any]]:
    keys = tracks["track_key"].to_list()
    qualities = tracks["quality"].to_numpy()
    exemplars = choose_exemplars(keys, vectors, qualities, pinned, settings)
    space = tracks["space"][0]
    rows: list[dict[str, Any]] = [
        {
            "person_id": person,
            "reference": key,
            "kind": "exemplar",
            "pinned": key in pinned,
            "track_keys": [key],
            "strength": 1.0,
            "quality": float(qualities[keys.index(key)]),
            "space": space,
            "vector": vectors[keys.index(key)].tolist(),
        }
        for key in exemplars
    ]
    if len(exemplars) == len(keys):
        return rows  # a centre's score, a mean, could never exceed the best exemplar's
    centres = spherical_centres(vectors, settings)
    for i, vector in enumerate(centres.vectors):
        members = np.flatnonzero(centres.labels == i)
        rows.append(
            {
                "person_id": person,
                "reference": f"centre:{i}",
                "kind": "centre",
                "pinned": False,
                "track_keys": [keys[j] for j in members],
                "strength": float(centres.strengths[i]),
                "quality": float(qualities[members].mean()),
                "space": space,
                "vector": vector.tolist(),
            }
        )
    return rows
