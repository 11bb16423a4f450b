"""P x K batches: P people, K faces of each, the faces spread over the person's tracks.

Faces of one track resemble each other; drawing a person's tracks in turn makes most positives span
two videos where there are two.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray


class BatchSampler:
    """Batches of one training set.

    Args:
        person: (N,) number of the person of each face.
        track: (N,) number of its track.
        people_per_batch: P; fewer where there are fewer people.
        faces_per_person: K; a person with fewer faces gives some of them twice.

    Raises:
        ValueError: there are fewer than two people.
    """

    def __init__(
        self,
        person: NDArray[np.int64],
        track: NDArray[np.int64],
        people_per_batch: int,
        faces_per_person: int,
    ) -> None:
        self._tracks: dict[int, list[NDArray[np.int64]]] = {}
        for number in np.unique(person).tolist():
            own = np.flatnonzero(person == number)
            self._tracks[number] = [own[track[own] == t] for t in np.unique(track[own]).tolist()]
        if len(self._tracks) < 2:
            raise ValueError("triplets need at least two people")
        self._people_per_batch = min(people_per_batch, len(self._tracks))
        self._faces_per_person = faces_per_person
        self.batches_per_epoch = max(
            1, round(len(person) / (self._people_per_batch * faces_per_person))
        )

    def epoch(self, rng: np.random.Generator) -> Iterator[NDArray[np.int64]]:
        """The batches of an epoch, each (P * K,) rows; every person comes equally often."""
        people = np.array(sorted(self._tracks))
        deck: list[int] = []
        for _ in range(self.batches_per_epoch):
            chosen: list[int] = []
            while len(chosen) < self._people_per_batch:
                if not deck:
                    deck = rng.permutation(people).tolist()
                fresh = next((p for p in deck if p not in chosen), None)
                if fresh is None:
                    deck = rng.permutation(people).tolist() + deck
                    continue
                deck.remove(fresh)
                chosen.append(fresh)
            yield np.concatenate([self._faces_of(person, rng) for person in chosen])

    def _faces_of(self, person: int, rng: np.random.Generator) -> NDArray[np.int64]:
        tracks = self._tracks[person]
        order = rng.permutation(len(tracks))
        turns = [int(order[i % len(order)]) for i in range(self._faces_per_person)]
        hands = {t: rng.permutation(tracks[t]) for t in dict.fromkeys(turns)}
        taken = dict.fromkeys(hands, 0)
        rows = []
        for turn in turns:
            rows.append(int(hands[turn][taken[turn] % len(hands[turn])]))
            taken[turn] += 1
        return np.array(rows, dtype=np.int64)
