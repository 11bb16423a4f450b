"""The watched folder `data/photos/{name}/`: what lies in it is taken in as that person's.

What belongs here: which files are finished, what is taken in, and the decision that the folder
stands for. What does not: when it is looked at, and asking for runs (`defs.automation`).

Whoever lays pictures into a folder of a name decides who they are, so the event says that the
folder did. What was refused, or decided and taken back, is not decided again: it waits for a
person, who has the command.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Final

from identity_pipeline.errors import IdentityPipelineError, printable
from identity_pipeline.ledger import events as ev
from identity_pipeline.settings import Settings
from identity_pipeline.stages.curation.curation import Curator
from identity_pipeline.stages.curation.snapshot import LibrarySnapshot
from identity_pipeline.stages.photos import enrolling
from identity_pipeline.stages.photos.reading import is_measured, take_in
from identity_pipeline.stages.stores import LibraryStores
from identity_pipeline.storage.files import atomic, small_files
from identity_pipeline.storage.files.hashing import sha256_of_value
from identity_pipeline.storage.layout import Layout
from identity_pipeline.storage.video.known_files import stamps_of

BY: Final = "folder photos/"
"""How the actor of a decision begins that a folder stands for."""


@dataclass(frozen=True)
class Seen:
    """What one look tells the next of a folder.

    Attributes:
        stamp: of its files at the last look; they are finished when it is still the same.
        done: the stamp with which they were taken in.
        sets: that its pictures are in.
        settled: sets of these of which nothing more happens by itself: decided, or left to people.
        told: what was said of it, so that it is said once.
    """

    stamp: str = ""
    done: str = ""
    sets: tuple[str, ...] = ()
    settled: tuple[str, ...] = ()
    told: tuple[str, ...] = ()


Memory = Mapping[str, Seen]
"""Of each folder, by its name as it is printed."""


def remembered(cursor: str | None) -> dict[str, Seen]:
    """Of a sensor's cursor; an unknown form remembers nothing, which only costs a look."""
    try:
        return small_files.parse((cursor or "{}").encode(), dict[str, Seen])
    except ValueError:
        return {}


def as_cursor(memory: Memory) -> str:
    """As a cursor."""
    return json.dumps({name: asdict(seen) for name, seen in memory.items()}, sort_keys=True)


@dataclass
class Look:
    """One look at all folders.

    Attributes:
        stores: of the data folder.
        settings: in force.
        now: ISO time with a zone.
        memory: for the next look.
        unmeasured: sets whose steps are to run.
        said: new sentences.
        decided: how many sets became somebody's.
        changing: folders whose files still change.
    """

    stores: LibraryStores
    settings: Settings
    now: str
    memory: dict[str, Seen] = field(default_factory=dict)
    unmeasured: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    decided: int = 0
    changing: int = 0

    def at(self, before: Memory) -> Look:
        """Looks at every folder, one after the other; what is wrong with one holds up no other."""
        for name, files in folders(self.stores.layout).items():
            seen = before.get(printable(name), Seen())
            # A name that is not UTF-8 has no hash, and must not keep the other folders waiting.
            stamp = sha256_of_value({ascii(p): list(s) for p, s in stamps_of(files).items()})
            if stamp != seen.stamp:
                self.changing += 1
                self.memory[printable(name)] = replace(seen, stamp=stamp)
                continue
            self.memory[printable(name)] = self._settled(name, files, seen)
        return self

    def _settled(self, name: str, files: list[Path], seen: Seen) -> Seen:
        """A folder whose files no longer change."""
        try:
            if seen.done != seen.stamp:
                seen = self._taken_in(name, files, seen)
            for set_id in seen.sets:
                if set_id not in seen.settled:
                    seen = self._brought_on(name, set_id, seen)
        except (IdentityPipelineError, OSError) as error:
            seen = self._tell(name, seen, str(error))
        return seen

    def _taken_in(self, name: str, files: list[Path], seen: Seen) -> Seen:
        """The new contents of a folder as one more set."""
        person = enrolling.whom(self._library(), name)
        taken = take_in(self.stores.photos, person.name, files, self.settings, self.now[:10])
        there = {one.set_id for one in taken.not_taken if one.set_id is not None}
        if taken.photo_set is not None:
            there.add(taken.photo_set.set_id)
        for one in taken.not_taken:
            if not one.is_there:
                seen = self._tell(name, seen, f"{one.path.name}: {one.sentence}")
        # What was one too many for this set is taken in at the next look.
        whole = all(one.code != "too_many" for one in taken.not_taken)
        done = seen.stamp if whole else ""
        return replace(seen, done=done, sets=tuple(sorted({*seen.sets, *there})))

    def _brought_on(self, name: str, set_id: str, seen: Seen) -> Seen:
        """The next thing that is to be done with a set: measuring it, or deciding who it is."""
        photo_set = self.stores.photos.get(set_id)
        if photo_set is None:
            return replace(seen, sets=tuple(one for one in seen.sets if one != set_id))
        if not is_measured(self.stores.tables, set_id):
            self.unmeasured.append(set_id)
            return seen
        library = self._library()
        if enrolling.was_decided(library, set_id):
            return self._looked_after(name, set_id, seen, library)
        person = enrolling.whom(library, name)
        if ev.name_key(photo_set.name) not in map(ev.name_key, (name, person.name)):
            sentence = f"{set_id} was taken in as {photo_set.name!r}, so it is not decided here."
            return replace(self._tell(name, seen, sentence), settled=(*seen.settled, set_id))
        for one in enrolling.refused_pictures(self.stores.tables, set_id):
            seen = self._tell(name, seen, f"{one.name}: {one.sentence}")
        try:
            enrolling.check(library, self.settings, photo_set, person)
        except enrolling.NotEnrolledError as error:
            seen = self._tell(name, seen, str(error))
            return replace(seen, settled=(*seen.settled, set_id))
        planned = enrolling.decide(Curator(library, f"{BY}{name}", self.now), photo_set, person)
        self.decided += 1
        return self._tell(name, seen, f"#{planned.event.seq} {planned.effect}")

    def _looked_after(self, name: str, set_id: str, seen: Seen, library: LibrarySnapshot) -> Seen:
        """A set that was decided; somebody else's pictures in a folder are told."""
        owner = enrolling.owner_of(library, set_id)
        if owner is not None and owner != enrolling.whom(library, name).person_id:
            sentence = f"pictures of it were taken in for {library.called(owner)} (set {set_id})."
            seen = self._tell(name, seen, sentence)
        return replace(seen, settled=(*seen.settled, set_id))

    def _tell(self, name: str, seen: Seen, sentence: str) -> Seen:
        """Says something once, and not at every look."""
        sentence = printable(sentence)
        if sentence in seen.told:
            return seen
        self.said.append(f"photos/{printable(name)}: {sentence}")
        return replace(seen, told=(*seen.told, sentence))

    def _library(self) -> LibrarySnapshot:
        return LibrarySnapshot.open(self.stores, self.now, write=True)


def folders(layout: Layout) -> dict[str, list[Path]]:
    """The folders of people by name, with the pictures in each; hidden and temporary ones are none.

    Links that lead out of the folder are left out.
    """
    if not layout.photos.is_dir():
        return {}
    found = {}
    for folder in sorted(layout.photos.iterdir()):
        if not folder.name.startswith(".") and folder.is_dir() and not folder.is_symlink():
            found[folder.name] = list(_pictures(folder))
    return {name: files for name, files in found.items() if files}


def _pictures(folder: Path) -> Iterator[Path]:
    for path in enrolling.pictures_of(folder):
        if not atomic.is_temporary(path) and path.resolve().is_relative_to(folder.resolve()):
            yield path
