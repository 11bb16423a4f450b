"""Known people who resemble each other so much that they may be one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
import polars as pl

from identity_pipeline.core.vectors import normalise, to_matrix

BLOCK: Final = 2048
"""People compared at once: 10,000 people take blocks of 80 MB; chosen."""


def alike_people(references: pl.DataFrame, least: float) -> list[tuple[str, str, float]]:
    """Pairs of people, each by the mean of their references, at or above a cosine.

    Args:
        references: table `person_references`, of one space.
        least: cosine.

    Returns:
        Two ids, ascending, and the cosine; the most alike first.
    """
    if not references.height:
        return []
    people = references["person_id"].unique().sort().to_list()
    place = {person: n for n, person in enumerate(people)}
    vectors = to_matrix(references["vector"])
    owner = np.array([place[person] for person in references["person_id"]])
    sums = np.zeros((len(people), vectors.shape[1]), dtype=np.float32)
    np.add.at(sums, owner, vectors)
    means = normalise(sums)
    found: list[tuple[str, str, float]] = []
    for start in range(0, len(people), BLOCK):
        cosines = means[start : start + BLOCK] @ means.T
        rows, columns = np.nonzero(cosines >= least)
        for row, column in zip((rows + start).tolist(), columns.tolist(), strict=True):
            if row < column:
                value = round(float(cosines[row - start, column]), 6)
                found.append((people[row], people[column], value))
    return sorted(found, key=lambda pair: (-pair[2], pair[:2]))


def nearest_outside(templates: pl.DataFrame, groups: Mapping[str, int | None]) -> dict[str, float]:
    """Of tracks of nobody, the cosine of the nearest one outside their group and their frames.

    Args:
        templates: rows of `track_templates` of one space, of these tracks alone.
        groups: group of each; null: it is in none.

    Returns:
        Cosine by track; tracks beside which there is none are left out.
    """
    if not templates.height:
        return {}
    keys, videos = templates["track_key"].to_list(), templates["video_id"].to_list()
    vectors = normalise(to_matrix(templates["template"]))
    own = np.array([_group(groups.get(key), n) for n, key in enumerate(keys)])
    ride = np.unique(np.array(videos), return_inverse=True)[1]
    found: dict[str, float] = {}
    for start in range(0, len(keys), BLOCK):
        part = slice(start, start + BLOCK)
        cosines = vectors[part] @ vectors.T
        beside = (own[part][:, None] == own) | (ride[part][:, None] == ride)
        best = np.where(beside, -2.0, cosines).max(axis=1)
        pairs = zip(keys[part], best.tolist(), strict=True)
        found.update({key: round(value, 6) for key, value in pairs if value > -2})
    return found


def _group(number: int | None, row: int) -> int:
    """A number of its own for a track that is in no group."""
    return -1 - row if number is None else number
