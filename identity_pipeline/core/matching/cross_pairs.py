"""Pairs of tracks of different videos, for calibration: labelled ones, and the cohort.

Human-confirmed tracks of one person in two videos are `genuine`, of two people `impostor`. Pairs
of which nothing is known are the `cohort`: most are of two people, for riders come back less often
than not, so a robust fit to them tells how strangers compare.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from identity_pipeline.core.clustering.constraints import Pair
from identity_pipeline.core.clustering.shared_frames import shared_frame_pairs
from identity_pipeline.core.matching.calibration_pairs import (
    BLOCK,
    PAIRS,
    Scores,
    cosines,
    sampled,
    spread,
)
from identity_pipeline.core.matching.templates import in_order, template_matrix
from identity_pipeline.core.vectors import Matrix, check_unit, same_space, to_matrix
from identity_pipeline.settings import MatchSettings

TRACKS_COMPARED: Final = 2000
"""Tracks of a kind that enter the pairs at most: two million pairs are more than are used."""


def pairs_across(
    templates: pl.DataFrame,
    samples: pl.DataFrame,
    person_of: Mapping[str, str],
    settings: MatchSettings,
    *,
    cohort: bool = True,
    beside: Collection[Pair] | None = None,
) -> pl.DataFrame:
    """Pairs of tracks that do not share a frame.

    Args:
        templates: table `track_templates` of all videos, of one space.
        samples: table `SAMPLES` of the same tracks.
        person_of: the person of each human-confirmed track; machine assignments have no place here.
        settings: how many pairs are taken.
        cohort: also pairs of which nothing is known.
        beside: pairs of tracks that share a frame; None: found in `templates`.

    Returns:
        The table `PAIRS`: `labelled` (genuine across videos, impostor), and `cohort` (different
        videos, at least one track unlabelled). Face against face at equal places of the samples,
        each sample against the other's template, template against template.

    Raises:
        SpaceMismatchError: templates and samples are of more than one space.
    """
    keys = tracks_compared(templates["track_key"].to_list(), person_of, cohort=cohort)
    ordered = in_order(templates).filter(pl.col("track_key").is_in(sorted({*keys[0], *keys[1]})))
    if ordered.height < 2:
        return pl.DataFrame(schema=PAIRS)
    if samples.height:
        same_space(*samples["space"].unique().to_list(), ordered["space"][0])
    matrix = template_matrix(ordered)
    if beside is None:
        beside = shared_frame_pairs(ordered)
    faces = _stacked(ordered["track_key"].to_list(), samples, matrix.shape[1], settings)
    parts: list[pl.DataFrame] = []
    for (kind, source), pairs in _kinds(ordered, *keys, person_of, beside).items():
        if not len(pairs):
            continue
        chosen = spread(pairs, settings.track_pairs_max)
        scores = {"template": (chosen, _of(matrix, chosen))}
        # The finer levels have several scores for a pair of tracks.
        few = spread(chosen, max(1, settings.track_pairs_max // settings.samples_per_track))
        scores |= _finer(few, faces, matrix)
        parts += [_named(level, kind, source, *scores[level], ordered) for level in scores]
    if not parts:
        return pl.DataFrame(schema=PAIRS)
    return pl.concat(parts).select(pl.lit(ordered["space"][0]).alias("space"), pl.all())


def tracks_compared(
    keys: Sequence[str], person_of: Mapping[str, str], *, cohort: bool = True
) -> tuple[list[str], list[str]]:
    """Which of the tracks with these keys enter the pairs: labelled ones, and those of the cohort.

    What is said of a track changes nothing of whether it is in the cohort's sample, nor does
    another track, but where it is the last that there was room for.
    """
    labelled = sampled([key for key in keys if key in person_of], TRACKS_COMPARED)
    return labelled, sampled(keys, TRACKS_COMPARED) if cohort else []


def _of(matrix: Matrix, pairs: NDArray[np.int64]) -> Scores:
    blocks = [pairs[i : i + BLOCK] for i in range(0, len(pairs), BLOCK)]
    return np.concatenate([cosines(matrix[block[:, 0]], matrix[block[:, 1]]) for block in blocks])


def _stacked(
    keys: list[str], samples: pl.DataFrame, dimension: int, settings: MatchSettings
) -> NDArray[np.float32]:
    """The samples as (tracks, places, D), not a number where a track has fewer."""
    faces = np.full((len(keys), settings.samples_per_track, dimension), np.nan, dtype=np.float32)
    row_of = {key: row for row, key in enumerate(keys)}
    for (key,), group in samples.group_by("track_key", maintain_order=True):
        row = row_of.get(str(key))
        if row is not None:
            own = check_unit(to_matrix(group["e_id"]), "e_id")[: settings.samples_per_track]
            faces[row, : len(own)] = own
    return faces


def _kinds(
    ordered: pl.DataFrame,
    labelled: list[str],
    cohort: list[str],
    person_of: Mapping[str, str],
    beside: Collection[Pair],
) -> dict[tuple[str, str], NDArray[np.int64]]:
    """Rows (a, b) of each kind of pair, a < b."""
    keys = ordered["track_key"].to_list()
    number = {person: i for i, person in enumerate(sorted(set(person_of.values())))}
    person = np.array([number[person_of[key]] if key in person_of else -1 for key in keys])
    video = ordered["video_id"].rank("dense").to_numpy().astype(np.int64)
    row_of = {key: row for row, key in enumerate(keys)}

    a, b = _all_pairs(np.sort([row_of[key] for key in cohort]))
    unknown = (video[a] != video[b]) & ((person[a] < 0) | (person[b] < 0))
    strangers = np.stack([a[unknown], b[unknown]], axis=1)

    a, b = _all_pairs(np.sort([row_of[key] for key in labelled]))
    same = person[a] == person[b]
    across = video[a] != video[b]
    shared = [(row_of[x], row_of[y]) for x, y in beside if x in row_of and y in row_of]
    one, other = np.array(shared, dtype=np.int64).reshape(-1, 2).T
    free = ~np.isin(a * len(keys) + b, one * len(keys) + other)
    genuine, impostor = same & across, ~same & free
    return {
        ("genuine", "labelled"): np.stack([a[genuine], b[genuine]], axis=1),
        ("impostor", "labelled"): np.stack([a[impostor], b[impostor]], axis=1),
        ("cohort", "cohort"): strangers,
    }


def _all_pairs(rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    i, j = np.triu_indices(len(rows), k=1)
    return rows.astype(np.int64)[i], rows.astype(np.int64)[j]


def _finer(
    pairs: NDArray[np.int64], faces: NDArray[np.float32], matrix: Matrix
) -> dict[str, tuple[NDArray[np.int64], Scores]]:
    found: dict[str, list[tuple[NDArray[np.int64], Scores]]] = {"face": [], "probe": []}
    left, right = pairs[:, 0], pairs[:, 1]
    for place in range(faces.shape[1]):
        one, other = faces[left, place], faces[right, place]
        for level, scores in (
            ("face", cosines(one, other)),
            ("probe", cosines(one, matrix[right])),
            ("probe", cosines(other, matrix[left])),
        ):
            there = np.isfinite(scores)
            found[level].append((pairs[there], scores[there]))
    return {
        level: (np.concatenate([p for p, _ in parts]), np.concatenate([s for _, s in parts]))
        for level, parts in found.items()
    }


def _named(
    level: str,
    kind: str,
    source: str,
    pairs: NDArray[np.int64],
    scores: Scores,
    ordered: pl.DataFrame,
) -> pl.DataFrame:
    keys, videos = ordered["track_key"], ordered["video_id"]
    left, right = pairs[:, 0].tolist(), pairs[:, 1].tolist()
    return pl.DataFrame(
        {
            "left": keys[left],
            "right": keys[right],
            "left_video": videos[left],
            "right_video": videos[right],
            "score": scores,
        }
    ).select(
        pl.lit(level).alias("level"),
        pl.lit(kind).alias("kind"),
        pl.lit(source).alias("source"),
        pl.all(),
    )
