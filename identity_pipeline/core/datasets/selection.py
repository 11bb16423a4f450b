"""One order of a person's pictures over all rides and photo sets, the best first.

Who takes the first n of it gets a good set of n: that is what the order is for. It is made picture
by picture, and every prefix keeps to the same rules:

- **Roles.** The first is the best portrait, and nobody talks or shouts in the first three. Of n
  pictures at least `datasets.anchor_share` are portraits, each from the look and then the ride of
  which there are fewest so far, and at most `datasets.challenge_share` show a difficulty
  (`core.imagesets.challenge`, and closed eyes). All others are coverage. Of somebody of whom there
  are difficulties alone, such as three photographs in the dark, those are shown.
- **Coverage** raises most the value of what is shown (`core.imagesets.coverage`: bins of pose and
  expression, and that everything looks like some picture), plus how evenly pictures lie over rides,
  looks, poses, expressions and light: the mean over these five of the sum over their bins of
  sqrt(sum of the pictures' scores in the bin). Both are monotone and submodular (a concave function
  of a modular one: Lin and Bilmes 2011, A class of submodular functions for document
  summarization), so a ride that has given much is asked last, and none is left out.
- **Looks** (`core.datasets.looks`) are never starved: of n pictures each look has at least half of
  its equal share, rounded down, while it has any that may be chosen.
- **Humans** come first: their order (`human_place`), then the anchors that they chose, the newest
  first. What they accepted is ruled out by nothing, and what they chose an anchor instead of is no
  portrait. What they rejected is in no pool.
- **Light.** A face that the strict gate finds too dark or too bright has no place.
- **Distance.** Within a ride pictures keep `selection.min_gap_s`; within all of them no two look
  the same (`selection.near_duplicate_cos`, `selection.near_duplicate_look`). Beside a picture of
  its bucket one has to be `selection.second_picture_min` as good as the best there.

What belongs here: the order, and why a picture is not in it. What does not: which rides are a
person's (`stages.datasets.sources`), and what a consumer refuses (`stages.datasets.checks`).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from identity_pipeline.core.datasets.looks import looks_of
from identity_pipeline.core.imagesets.challenge import KINDS, challenge_kind
from identity_pipeline.core.imagesets.coverage import Shown, Value
from identity_pipeline.core.imagesets.decided import ACCEPTED
from identity_pipeline.core.imagesets.faces import (
    Face,
    faces_of,
    is_accepted,
    is_covered,
    likeness,
    person_views,
    weighed,
)
from identity_pipeline.core.imagesets.novelty import Views, farthest_of, novelty
from identity_pipeline.core.imagesets.portrait import anchor_eligible, is_portrait
from identity_pipeline.settings import DatasetSettings, SelectionSettings

ANCHOR, COVERAGE, CHALLENGE = "anchor", "coverage", "challenge"
CALM: Final = ("neutral", "smile")
NO_LIGHT: Final = frozenset({"too_dark", "too_bright"})
"""Faults of the strict gate with which a picture shows little of anybody: a ride keeps it as a
difficulty, nobody who trains on it or is shown it as a reference gains by it."""
EYES_CLOSED: Final = "eyes_closed"
"""A kind of challenge here: of a whole person few pictures with closed eyes are wanted, while the
coverage of a ride shows what the ride shows."""
CONSIDERED: Final = 1500
"""So many pictures at most are weighed against each other, of each source its best in turn; chosen:
it bounds time and memory, and is what sixty rides bring."""
CALM_FIRST: Final = 3
"""So many places are for closed mouths and smiles, where there are such; chosen: who takes one to
three references wants to know the person, not the expression."""
STARVED: Final = 0.5
"""The share of its equal share that a look is given at least; chosen."""
KEPT: Final = 2
"""Sources that everybody keeps to train on, where one is held out."""
BALANCED: Final = ("source_id", "variant", "yaw_bin", "expression_bin", "lighting_bin")
"""What pictures are to lie evenly over."""
HUMAN_LEAD: Final = 10.0
"""More than any picture is worth, where so many are weighed at most."""
DIGITS: Final = 9
"""Gains that differ by less are equal, and the earlier row wins."""

SCHEMA: Final = {
    "source_id": pl.String,
    "face_id": pl.String,
    "rank": pl.Int64,  # from 1, the best first; null: not in the order
    "role": pl.String,  # anchor, coverage, challenge; null outside the order
    "kind": pl.String,  # of difficulty; null of an ordinary picture
    "variant": pl.String,  # the look; null where looks were not told apart
    "gain": pl.Float64,  # of the value when it was chosen
    "novelty": pl.Float64,  # to the pictures before it; null outside the order
    "reason": pl.String,  # why it is where it is, or why it is not in the order
    "rival_source_id": pl.String,  # the picture that stood in its way
    "rival_face_id": pl.String,
}
"""Of the order: a row for each picture of the pool."""


def ordered(
    pool: pl.DataFrame, selection: SelectionSettings, datasets: DatasetSettings, most: int
) -> pl.DataFrame:
    """All pictures of a person with their place in the order, or the reason why they have none.

    Args:
        pool: rows of `candidates` of one person that stand as candidates, their vectors of one
            space, with `source_id`, and `recency`: 0 of the oldest source, 1 of the newest, null
            where no date is known. In any order.
        selection: distances, and what a portrait and a difficulty is.
        datasets: shares, weights, and from when two looks are two.
        most: so many places are given at most.

    Returns:
        `SCHEMA`: those in the order by rank, then the others by source and face.
    """
    if not pool.height:
        return pl.DataFrame(schema=SCHEMA)
    looks = looks_of(pool, datasets.look_margin)
    table = _prepared(pool, looks, selection, datasets)
    considered = table.filter("considered").drop("considered")
    chosen = _Order.of(considered, selection, datasets).made(most)
    places = zip(table.filter("considered")["at"].to_list(), chosen, strict=True)
    by_row = dict(places)
    rows = [
        {**dict.fromkeys(SCHEMA), "variant": looks.get(source), "reason": "outranked"}
        | {"source_id": source, "face_id": face, "kind": kind}
        | by_row.get(at, {})
        for at, source, face, kind in table.select("at", "source_id", "face_id", "kind").iter_rows()
    ]
    made = pl.DataFrame(rows, schema=SCHEMA, orient="row")
    return made.sort("rank", "source_id", "face_id", nulls_last=True)


def _prepared(
    pool: pl.DataFrame,
    looks: Mapping[str, str],
    selection: SelectionSettings,
    datasets: DatasetSettings,
) -> pl.DataFrame:
    """The pool in one stable order, with everything that is asked of a row."""
    # A source is what a score is relative to: its light and its rider. It takes the rider's place.
    own = pool["source_id"].rank("dense").cast(pl.Int64)
    newer = pl.col("recency").fill_null(0.0) * datasets.newest_bonus
    kind = (
        pl.when(pl.col("expression_bin") == EYES_CLOSED)
        .then(pl.lit(EYES_CLOSED))
        .otherwise(challenge_kind(selection))
    )
    faces = pool.with_columns(person_id=own, bonus=pl.col("bonus").fill_null(0.0) + newer)
    passed_over = (pl.col("anchor_place") == 0).fill_null(False)
    # What humans chose is always among those that are weighed.
    by_human = pl.any_horizontal(
        pl.col("human_place").is_not_null(),
        (pl.col("decided") == ACCEPTED).fill_null(False),
    )
    worth = pl.col("picture") + pl.when(by_human).then(HUMAN_LEAD).otherwise(0.0)
    best = worth.rank("ordinal", descending=True).over("source_id")
    return (
        weighed(faces)
        .sort("source_id", "frame_idx", "face_id")
        .with_columns(
            kind=kind,
            eligible=anchor_eligible(selection) & ~passed_over,
            portrait=is_portrait(selection) & ~passed_over,
            portrait_worth=pl.coalesce("portrait_score", "quality_score") + pl.col("bonus"),
            variant=pl.col("source_id").replace_strict(looks, default=None, return_dtype=pl.String),
            turn=best,
        )
        .with_row_index("at")
        .with_columns(
            considered=pl.struct("turn", "source_id").rank("ordinal") <= CONSIDERED,
        )
        .drop("turn")
    )


_TOLD: Final = (
    *("source_id", "kind", "variant", "eligible", "portrait", "portrait_worth", "strict_fails"),
    *("anchor_place", "human_place"),
)
"""Columns beside those of a `Face`."""


class _Pick(NamedTuple):
    role: str
    reason: str
    gain: float


@dataclass
class _Order:
    """The order as it grows; rows are positions in the table."""

    table: Sequence[Face]
    views: Views
    told: Sequence[Mapping[str, Any]]
    value: Value
    groups: Sequence[NDArray[np.float64]]
    alike: NDArray[np.bool_]
    near: NDArray[np.bool_]
    selection: SelectionSettings
    datasets: DatasetSettings
    open: set[int]
    out: dict[int, tuple[str, int | None]]
    chosen: list[int] = field(default_factory=list)
    picks: dict[int, _Pick] = field(default_factory=dict)
    new: dict[int, float] = field(default_factory=dict)

    @classmethod
    def of(
        cls, faces: pl.DataFrame, selection: SelectionSettings, datasets: DatasetSettings
    ) -> _Order:
        """Before the first picture."""
        table, views = faces_of(faces), person_views(faces)
        rows = faces.select(_TOLD).to_dicts()
        limit = likeness(selection)
        alike = (views.face @ views.face.T > limit.vision) | (
            views.look @ views.look.T > limit.look
        )
        source, at = faces["source_id"].to_numpy(), faces["timestamp_ms"].to_numpy()
        near = (source[:, None] == source) & (np.abs(at[:, None] - at) < selection.min_gap_s * 1000)
        barred = (_barred(face, row, selection) for face, row in zip(table, rows, strict=True))
        out: dict[int, tuple[str, int | None]] = {
            n: (why, None) for n, why in enumerate(barred) if why is not None
        }
        return cls(
            table,
            views,
            rows,
            Value.of(table, views, selection),
            [_one_hot(faces[name]) for name in BALANCED],
            alike,
            near,
            selection,
            datasets,
            set(range(len(table))) - out.keys(),
            out,
        )

    def made(self, most: int) -> list[dict[str, Any]]:
        """Grows it, and says of each row of the table what became of it."""
        shown = self._begun(most)
        while self.open and len(self.chosen) < most:
            gains = self.gains(self.value.gains(shown))
            found = self.next(gains) or self._accepted(gains)
            if found is None:
                break
            row, pick = found
            self.take(row, pick)
            shown = self.value.with_face(shown, row)
        for row in self.open:
            enough = self.told[row]["kind"] is not None and len(self.chosen) < most
            self.out[row] = ("enough_difficulties" if enough else "not_needed", None)
        return [self._told(row) for row in range(len(self.table))]

    def _begun(self, most: int) -> Shown:
        """Takes what humans put first; what is shown with that."""
        shown = self.value.shown([])
        for row in self.first()[:most]:
            if row in self.open:
                gains = self.gains(self.value.gains(shown))
                self.take(*self._pick(row, self._role(row), "chosen_by_a_human", gains))
                shown = self.value.with_face(shown, row)
        return shown

    def first(self) -> list[int]:
        """What humans put first: in their order, then the anchors that they chose."""
        places = [
            ((told["human_place"] is None, told["human_place"] or told["anchor_place"]), row)
            for row, told in enumerate(self.told)
            if told["human_place"] or told["anchor_place"]
        ]
        return [row for _, row in sorted(places)]

    def _accepted(self, gains: NDArray[np.float64]) -> tuple[int, _Pick] | None:
        """What humans accepted and no share has a place for: it comes last."""
        left = [row for row in sorted(self.open) if is_accepted(self.table[row])]
        if not left:
            return None
        row = left[int(np.argmax(gains[left]))]
        return self._pick(row, self._role(row), "chosen_by_a_human", gains)

    def _role(self, row: int) -> str:
        told = self.told[row]
        if told["portrait"] or (told["anchor_place"] or 0) > 0:
            return ANCHOR
        return CHALLENGE if self._hard(row) else COVERAGE

    def gains(self, of_value: NDArray[np.float64]) -> NDArray[np.float64]:
        """(N,) by how much each picture raises value and balance."""
        picture = self.value.picture
        total = np.zeros(len(picture))
        for group in self.groups:
            held = (group[self.chosen] * picture[self.chosen, None]).sum(axis=0)
            more = np.sqrt(held + picture[:, None]) - np.sqrt(held)
            total += (more * group).sum(axis=1)
        balance = self.datasets.balance_weight * total / len(self.groups)
        return np.round(of_value + balance, DIGITS)

    def next(self, gains: NDArray[np.float64]) -> tuple[int, _Pick] | None:
        """The picture that comes next; None where none may."""
        have = Counter(self.picks[row].role for row in self.chosen)
        place, shares = len(self.chosen) + 1, self.datasets
        ordinary = self._ordinary(place)
        plain = self._not_starved(ordinary)
        portraits = self._portraits(plain) or self._portraits(ordinary)
        if portraits and have[ANCHOR] < math.ceil(shares.anchor_share * place - 1e-9):
            return self._pick(self._portrait(portraits), ANCHOR, "best_portrait", gains)
        due = have[CHALLENGE] < math.floor(shares.challenge_share * place + 1e-9)
        due = due or all(self._hard(row) for row in range(len(self.table)))
        hard = self._challenge() if due else None
        if hard is not None:
            return self._pick(hard, CHALLENGE, "farthest", gains)
        if not plain:
            return None
        return self._pick(plain[int(np.argmax(gains[plain]))], COVERAGE, "shows_most", gains)

    @staticmethod
    def _pick(row: int, role: str, reason: str, gains: NDArray[np.float64]) -> tuple[int, _Pick]:
        return row, _Pick(role, reason, float(gains[row]))

    def _ordinary(self, place: int) -> list[int]:
        """Pictures without a difficulty that may have a place: calm ones at first."""
        ordinary = [row for row in sorted(self.open) if not self._hard(row)]
        calm = [row for row in ordinary if self.table[row]["expression_bin"] in CALM]
        return calm or ordinary if place <= CALM_FIRST else ordinary

    def _portraits(self, plain: list[int]) -> list[int]:
        """Those that are portraits; for the first place the nearest to one that there is."""
        portraits = [row for row in plain if self.told[row]["portrait"]]
        if self.chosen or portraits:
            return portraits
        return [row for row in plain if self.told[row]["eligible"]] or plain

    def _hard(self, row: int) -> bool:
        return self.told[row]["kind"] is not None

    def _not_starved(self, rows: list[int]) -> list[int]:
        """Those of the looks that have too little so far, where there are such.

        Each look is given its share as many places early as there are others, which may be due at
        the same place.
        """
        looks = sorted({str(row["variant"]) for row in self.told})
        share = math.floor(STARVED * (len(self.chosen) + len(looks)) / len(looks))
        have = Counter(str(self.told[row]["variant"]) for row in self.chosen)
        starved = [row for row in rows if have[str(self.told[row]["variant"])] < share]
        return starved or rows

    def _portrait(self, rows: Sequence[int]) -> int:
        """Of the looks, then the sources, with the fewest portraits so far the best one.

        One that is much worse than the best one left does not stand for its look.
        """
        anchors = [row for row in self.chosen if self.picks[row].role == ANCHOR]
        looks = Counter(self.told[row]["variant"] for row in anchors)
        sources = Counter(self.told[row]["source_id"] for row in anchors)
        least = self.selection.second_picture_min * max(self._worth(row) for row in rows)

        def before(row: int) -> tuple[int, int, float, int]:
            told = self.told[row]
            return looks[told["variant"]], sources[told["source_id"]], -self._worth(row), row

        return min((row for row in rows if self._worth(row) >= least), key=before)

    def _worth(self, row: int) -> float:
        return round(float(self.told[row]["portrait_worth"]), DIGITS)

    def _challenge(self) -> int | None:
        """Of the kind with the fewest so far, rarest first, the farthest from all before."""
        have = Counter(self.told[row]["kind"] for row in self.chosen)
        pools: dict[str, list[int]] = {}
        for row in sorted(self.open, key=lambda r: (-self.table[r]["picture"], r)):
            if self._hard(row):
                pools.setdefault(self.told[row]["kind"], []).append(row)
        if not pools:
            return None
        order = (*KINDS, EYES_CLOSED)
        kind = min(pools, key=lambda k: (have[k], len(pools[k]), order.index(k)))
        found = farthest_of(self.views, pools[kind], self.chosen)
        return found[0] if found else None

    def take(self, row: int, pick: _Pick) -> None:
        """Gives a picture the next place, and rules out what it forbids."""
        self.new[row] = novelty(self.views, row, self.chosen)
        self.picks[row] = pick
        self.open.discard(row)
        self.chosen.append(row)
        for other in sorted(self.open):
            reason = self._obstacle(other, row)
            if reason:
                self.open.discard(other)
                self.out[other] = (reason, row)

    def _obstacle(self, row: int, latest: int) -> str | None:
        if is_accepted(self.table[row]):
            return None
        if self.alike[row, latest]:
            return "near_duplicate"
        if self.near[row, latest]:
            return "too_close_in_time"
        mine, other = self.table[row], self.table[latest]
        same = mine["bucket_key"] is not None and mine["bucket_key"] == other["bucket_key"]
        least = self.selection.second_picture_min * other["picture"]
        same_look = self.told[row]["variant"] == self.told[latest]["variant"]
        worse = same and same_look and mine["picture"] < least and not self._hard(row)
        return "beaten_in_bucket" if worse else None

    def _told(self, row: int) -> dict[str, Any]:
        if row in self.picks:
            pick = self.picks[row]
            return {
                "rank": self.chosen.index(row) + 1,
                "role": pick.role,
                "gain": pick.gain,
                "novelty": self.new[row],
                "reason": pick.reason,
            }
        reason, rival = self.out[row]
        if rival is None:
            return {"reason": reason}
        return {
            "reason": reason,
            "rival_source_id": self.told[rival]["source_id"],
            "rival_face_id": self.table[rival]["face_id"],
        }


def _barred(face: Face, told: Mapping[str, Any], settings: SelectionSettings) -> str | None:
    """Why a picture has no place whatever else is chosen."""
    if is_accepted(face):
        return None
    if NO_LIGHT.intersection(told["strict_fails"] or ()):
        return "no_light"
    if told["kind"] in (None, EYES_CLOSED):
        return "covered" if is_covered(face, settings) else None
    sure = face["stable_score"]
    return None if sure is not None and sure >= settings.challenge_stable_min else "not_surely_them"


def _one_hot(column: pl.Series) -> NDArray[np.float64]:
    """(N, B) which bin each row is in; null is in none."""
    names = sorted(column.drop_nulls().unique().to_list())
    values = column.to_list()
    return np.array([[float(value == name) for name in names] for value in values]).reshape(
        len(values), len(names)
    )


def validation_sources(pictures: Mapping[str, Mapping[str, int]], share: float) -> frozenset[str]:
    """The sources that are held out for validation: whole ones, those with the fewest pictures.

    A ride of two people is held out for both or for neither. Nobody gives one who has fewer than
    three, and everybody keeps two to train on.

    Args:
        pictures: how many of each person and source are exported.
        share: of all pictures, that may be held out; 0: none.

    Returns:
        Where there may be any, at least one, and more as long as they hold no more than the share.
    """
    if share <= 0:
        return frozenset()
    counts: Counter[str] = Counter()
    for own in pictures.values():
        counts.update(own)
    held, taken = 0, set[str]()
    for name in sorted(counts, key=lambda name: (counts[name], name)):
        whose = [own.keys() for own in pictures.values() if name in own]
        held += counts[name]
        if taken and held > share * counts.total():
            break
        if all(len(own - taken) >= KEPT + 1 for own in whose):
            taken.add(name)
        else:
            held -= counts[name]
    return frozenset(taken)
