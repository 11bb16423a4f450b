"""A curator who knows the truth: names people on the command line, errs once, and takes it back."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from identity_pipeline.stages.library.statistics import true_people
from identity_pipeline.stages.stores import LibraryStores
from identity_pipeline.storage.library.generations import Generations
from identity_pipeline_tests.benchmarks.operated import Deployment

EVENT: Final = re.compile(r"^#(\d+) ", re.MULTILINE)


@dataclass
class Curator:
    """Names tracks by the truth files of a folder.

    Attributes:
        named: the true name of each track that was labelled so.
        events: numbers of the decisions that the commands told.
        undone: how many of them take another back.
        refused: commands that were not accepted, and why.
    """

    deployment: Deployment
    truth: Path
    named: dict[str, str] = field(default_factory=dict)
    events: list[int] = field(default_factory=list)
    undone: int = 0
    refused: list[str] = field(default_factory=list)

    def sit(self, until: int) -> int:
        """Names clusters, then single tracks, until so many tracks have names; returns how many."""
        before = len(self.named)
        for name, targets, keys in self._open():
            if len(self.named) >= until:
                break
            if self._label(name, targets):
                self.named |= dict.fromkeys(keys, name)
        return len(self.named) - before

    def err(self) -> bool:
        """Gives a track to somebody else and takes it back; whether there was a track to err on."""
        for name, _, keys in self._open():
            ride = keys[0].split(":")[1]
            beside = {who for key, who in self.named.items() if key.split(":")[1] == ride}
            others = sorted(set(self.named.values()) - beside - {name})
            if others and self._label(others[0], [_short(keys[0])]):
                self._decide("undo", "last")
                self.undone += 1
                return True
        return False

    def _open(self) -> Iterator[tuple[str, list[str], list[str]]]:
        """(true name, what to type, its tracks) of tracks without a name, the largest groups first.

        A group of several people is taken apart.
        """
        store = self.deployment.store
        if Generations(store.layout).current() is None:  # no video is done yet
            return
        truth, _ = true_people(LibraryStores.of(store), self.truth)
        table = Generations(store.layout).open().table("person_assignments")
        left = {key for key in table["track_key"] if key in truth and key not in self.named}
        clusters = json.loads(self.deployment.command("clusters", "--json"))
        for row in clusters:
            keys = [key for key in row["tracks"] if key in left]
            if keys and len({truth.get(key) for key in row["tracks"]}) == 1:
                left -= set(keys)
                yield truth[keys[0]], ["cluster", str(row["cluster_id"])], keys
        by_person: dict[str, list[str]] = {}
        for key in sorted(left):
            by_person.setdefault(truth[key], []).append(key)
        for name, keys in by_person.items():
            yield name, [_short(key) for key in keys], keys

    def _label(self, name: str, targets: list[str]) -> bool:
        known = "--person" if name in self.named.values() else "--name"
        return self._decide("label", *targets, known, name, "--as", "curator")

    def _decide(self, *arguments: str) -> bool:
        try:
            said = self.deployment.command(*arguments)
        except subprocess.CalledProcessError as error:
            self.refused.append(f"{' '.join(arguments)}: {error.stderr.strip()[-300:]}")
            return False
        self.events += [int(number) for number in EVENT.findall(said)]
        return True


def _short(key: str) -> str:
    return key.removeprefix("track:")
