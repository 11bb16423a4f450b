"""Training a head epoch by epoch, with a state that goes on exactly where it stopped.

The same data, settings and state give the same weights, bit for bit, on the CPU (one thread: the
order of sums would otherwise depend on the number of cores). Batches are P x K: P people, K faces
of each. Faces of one track resemble each other; drawing a person's tracks in turn makes most
positives span two videos where there are two.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from identity_pipeline.core.heads.network import (
    AngularProxies,
    ProjectionNetwork,
    head_of,
    semi_hard_triplets,
)
from identity_pipeline.core.heads.projection import OUTPUT, Head
from identity_pipeline.core.heads.training_set import TeachingArrays
from identity_pipeline.core.heads.training_state import Epoch, TrainerState
from identity_pipeline.settings import TrainSettings


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


class HeadTrainer:
    """One training.

    Args:
        data: the rows that teach.
        settings: objective, batches, rate, seed.
        device: of torch: `cpu`, `cuda`.
    """

    def __init__(self, data: TeachingArrays, settings: TrainSettings, device: str = "cpu") -> None:
        self._settings, self._device = settings, torch.device(device)
        self._vectors = torch.from_numpy(data.vectors.copy()).to(self._device)
        self._person = torch.from_numpy(data.person.copy()).to(self._device)
        self._sampler = BatchSampler(
            data.person, data.track, settings.people_per_batch, settings.faces_per_person
        )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(settings.seed)
            self._network = ProjectionNetwork(data.vectors.shape[1]).to(self._device)
            self._proxies = AngularProxies(
                len(data.people), OUTPUT, settings.arcface_margin, settings.arcface_scale
            ).to(self._device)
        self._rng = np.random.default_rng(settings.seed)
        self._optimiser = torch.optim.AdamW(
            self._parameters().values(), lr=settings.rate, weight_decay=settings.weight_decay
        )
        self._epochs: tuple[Epoch, ...] = ()

    @property
    def epochs(self) -> tuple[Epoch, ...]:
        """Those that are done."""
        return self._epochs

    def _parameters(self) -> dict[str, torch.nn.Parameter]:
        named = dict(self._network.named_parameters())
        if self._settings.objective == "arcface":
            named |= {f"loss.{n}": p for n, p in self._proxies.named_parameters()}
        return named

    def run_epoch(self) -> Epoch:
        """One pass over the batches of an epoch."""
        losses, active = [], []
        with _one_thread():
            for rows in self._sampler.epoch(self._rng):
                index = torch.from_numpy(rows).to(self._device)
                loss, share = self._loss(self._vectors[index], self._person[index])
                self._optimiser.zero_grad()
                loss.backward()
                self._optimiser.step()
                losses.append(float(loss.detach()))
                active.append(share)
        done = Epoch(len(self._epochs) + 1, float(np.mean(losses)), float(np.mean(active)))
        self._epochs = (*self._epochs, done)
        return done

    def _loss(self, vectors: torch.Tensor, person: torch.Tensor) -> tuple[torch.Tensor, float]:
        with self._mixed():
            projected = self._network(vectors)
        if self._settings.objective == "arcface":
            return self._proxies(projected, person)
        return semi_hard_triplets(projected, person, self._settings.margin)

    def _mixed(self) -> AbstractContextManager[object]:
        """Half precision on a GPU; bfloat16, which needs no scaling of the loss."""
        on_gpu = self._device.type == "cuda"
        return torch.autocast("cuda", dtype=torch.bfloat16) if on_gpu else nullcontext()

    def head(self) -> Head:
        """The head as trained so far."""
        return head_of(self._network, self._settings.base_share)

    def state(self) -> TrainerState:
        """Everything that `restore` needs."""
        tensors: dict[str, NDArray[Any]] = {}
        for name, parameter in self._parameters().items():
            tensors[f"weights/{name}"] = parameter.detach().cpu().numpy().copy()
            for key, value in self._optimiser.state.get(parameter, {}).items():
                tensors[f"optimiser/{name}/{key}"] = value.detach().cpu().numpy().copy()
        return TrainerState(tensors, dict(self._rng.bit_generator.state), self._epochs)

    def restore(self, state: TrainerState) -> None:
        """Goes on from a state of the same data and settings.

        Raises:
            ValueError: the state is of another network.
        """
        wanted = {f"weights/{name}" for name in self._parameters()}
        if wanted != {name for name in state.tensors if name.startswith("weights/")}:
            raise ValueError("the checkpoint is of another kind of head; start anew")
        for name, parameter in self._parameters().items():
            weights = torch.from_numpy(state.tensors[f"weights/{name}"].copy())
            with torch.no_grad():
                parameter.copy_(weights)
            moments = {
                key.rsplit("/", 1)[1]: torch.from_numpy(array.copy())
                for key, array in state.tensors.items()
                if key.startswith(f"optimiser/{name}/")
            }
            self._optimiser.state[parameter] = {
                key: value if key == "step" else value.to(self._device)
                for key, value in moments.items()
            }
        self._rng.bit_generator.state = state.rng
        self._epochs = state.epochs


@contextmanager
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
