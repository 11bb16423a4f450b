"""The answers in the ledger as verdicts on a person, a rider of a ride, a ride, a photo set.

What belongs here: whose answers count for whom. What does not: what an answer allows
(`core.privacy.consent`), and reading answers from a file (`stages.curation.consent_files`).

A grant counts where humans confirmed who it is. A refusal counts also where only the machine says
who it is, for to be wrong there shows somebody less, and never somebody who said no.

No asset of a video is made of the ledger by Dagster's lineage: like decisions on pictures, verdicts
are an input beside it, which is in the cache key (`stages.specs.cache_key`) once consent is
required, and in none before.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property, lru_cache
from typing import Any, Final

from identity_pipeline.core.privacy.consent import (
    NOT_TRACKED,
    NOT_TRACKED_SENTENCE,
    NOT_TRACKED_WORDS,
    Said,
    Verdict,
    judge,
    together,
)
from identity_pipeline.ledger import subjects as ids
from identity_pipeline.ledger.events import AGAINST, CONSENT_SCOPES, ConsentScope
from identity_pipeline.ledger.state import Consent, LibraryState, Target
from identity_pipeline.settings import ConsentSettings, Settings
from identity_pipeline.stages.curation.settling import ASSETS, settle_ledger
from identity_pipeline.stages.stores import LibraryStores
from identity_pipeline.storage.files.hashing import sha256_of_value
from identity_pipeline.storage.files.small_files import DamagedFileError
from identity_pipeline.storage.video.tables import MissingTableError, TableStore

_UNWRITTEN: Final = "1970-01-01T00:00:00+00:00"
"""Of a look at the ledger that notes nothing."""
TEMPLATES: Final = "track_templates"


def today() -> str:
    """The date by which grants end, in UTC."""
    return datetime.now(UTC).date().isoformat()


@dataclass(frozen=True)
class Consents:
    """All answers in force on one day.

    Attributes:
        state: of the ledger.
        settings: of consent.
        day: ISO date.
    """

    state: LibraryState
    settings: ConsentSettings
    day: str

    @property
    def tracked(self) -> bool:
        """Whether consent is required at all."""
        return self.settings.required

    def of_person(self, person_id: str, scope: ConsentScope) -> Verdict:
        """The verdict on a person by what they answered themselves, without their visits."""
        return self._judged(self._of_person(person_id), (), scope)

    def of_visit(
        self,
        video_id: str,
        seat: int | None,
        scope: ConsentScope,
        person_id: str | None = None,
        matched: Collection[str] = (),
        copies: Collection[str] = (),
    ) -> Verdict:
        """The verdict on somebody in a ride or a photo set.

        Args:
            video_id: the ride or photo set.
            seat: the rider from the left; None where that is not known: then what any rider of it
                refused counts against them.
            scope: for what.
            person_id: who humans say it is.
            matched: who else the machine says it is: their refusals count, and no grant of theirs.
            copies: other videos of the same ride, of which the same holds.
        """
        if not self.tracked:
            return NOT_TRACKED
        own = [*self._of_seat(video_id, seat)]
        own += self._of_person(person_id) if person_id else ()
        against = [target for who in matched for target in self._of_person(who)]
        against += [target for name in copies for target in self._of_seat(name, seat)]
        if seat is None:
            for name in (video_id, *copies):
                against += self._of_video.get(name, ())
        return self._judged(own, against, scope)

    def of_stranger(self, scope: ConsentScope) -> Verdict:
        """The verdict on somebody about whom nobody could be asked: a bystander."""
        return self._judged((), (), scope)

    def _of_seat(self, video_id: str, seat: int | None) -> Iterator[Target]:
        """What was answered about a rider of a ride, alone or with all others."""
        for target in self._of_video.get(video_id, ()):
            if target.seat in (None, seat):
                yield target

    def _judged(
        self, own: Iterable[Target], against: Iterable[Target], scope: ConsentScope
    ) -> Verdict:
        """The verdict by some targets, and by what others say against it."""
        own, against = tuple(own), tuple(against)
        no = [one for one in self._answers(against, scope) if one.answer in AGAINST]
        said = [*self._answers(own, scope), *no]
        minors = [one.minor for one in self._answers(own)]
        minors += [True for one in self._answers(against) if one.minor]
        return judge(map(_said, said), minors, self.settings, self.day)

    def _answers(
        self, targets: Iterable[Target], scope: ConsentScope | None = None
    ) -> list[Consent]:
        """What was answered by some, for one scope or for whatever scope."""
        by_scope = [self.state.consents[target].items() for target in targets]
        return [one for told in by_scope for known, one in told if scope in (None, known)]

    def _of_person(self, person_id: str) -> tuple[Target, ...]:
        """The targets of a person, and of all who turned out to be them."""
        if person_id not in self.state.people:
            return ()
        return self._of_people.get(self.state.survivor(person_id), ())

    @cached_property
    def _of_people(self) -> Mapping[str, tuple[Target, ...]]:
        found: dict[str, tuple[Target, ...]] = {}
        for target in self.state.consents:
            if target.kind == "person" and target.id in self.state.people:
                who = self.state.survivor(target.id)
                found[who] = (*found.get(who, ()), target)
        return found

    @cached_property
    def _of_video(self) -> Mapping[str, tuple[Target, ...]]:
        found: dict[str, tuple[Target, ...]] = {}
        for target in self.state.consents:
            if target.kind == "video":
                found[target.id] = (*found.get(target.id, ()), target)
        return found


def _said(consent: Consent) -> Said:
    return Said(consent.answer, consent.event_id, consent.until, consent.minor)


@dataclass(frozen=True)
class Asked:
    """Whom consent is asked of: answers, tables, and who the machine says is who.

    Attributes:
        stores: of the data folder.
        consents: the answers.
    """

    stores: LibraryStores
    consents: Consents

    @classmethod
    def now(cls, stores: LibraryStores, settings: Settings, day: str | None = None) -> Asked:
        """As ledger and tables stand; nothing is written."""
        policy = settings.consent.model_dump_json()
        return cls(stores, _consents(stores, _version(stores), policy, day or today()))

    @classmethod
    def of(
        cls,
        stores: LibraryStores,
        state: LibraryState,
        settings: Settings,
        day: str | None = None,
    ) -> Asked:
        """By a state of the ledger, in terms of the present tracks."""
        return cls(stores, Consents(state, settings.consent, day or today()))

    def of_riders(self, video_id: str, scope: ConsentScope = "export") -> dict[int, Verdict]:
        """The verdict on each rider of a ride, by seat; none before its riders are known."""
        seats = seats_of(self.stores.tables, video_id)
        people, matched = self._people(video_id, seats), self._matched(video_id, seats)
        found = {}
        for seat in sorted(set(seats.values())):
            who: Iterable[str | None] = sorted(people.get(seat, ())) or (None,)
            found[seat] = together(
                self.consents.of_visit(
                    video_id, seat, scope, one, matched.get(seat, ()), self._copies(video_id)
                )
                for one in who
            )
        return found

    def of_ride(self, video_id: str, scope: ConsentScope = "export") -> Verdict:
        """The verdict on a ride of which nobody knows any more who sits where.

        Whatever anybody refused who was ever seen in it counts, by humans or by the machine.
        """
        people = {
            person_id
            for subject, person_id in self.consents.state.assigned.items()
            if ids.parse(subject).video_id == video_id
        }
        in_force = _in_force(self.stores)
        matched = {who for _, who in (in_force.people.get(video_id, ()) if in_force else ())}
        copies = self._copies(video_id)
        return together(
            self.consents.of_visit(video_id, None, scope, one, matched, copies)
            for one in sorted(people) or (None,)
        )

    def of_tracks(
        self, person_of: Mapping[str, str], scope: ConsentScope
    ) -> Iterator[tuple[str, Verdict]]:
        """The verdict on each of some tracks: by the visit and the person who humans say it is.

        Args:
            person_of: person of each track.
            scope: for what.
        """
        seats: dict[str, dict[int, int]] = {}
        for key, person_id in sorted(person_of.items()):
            _, video_id, number, lost = ids.parse(key)
            if not self.consents.tracked:
                yield key, NOT_TRACKED
                continue
            if video_id not in seats:
                seats[video_id] = seats_of(self.stores.tables, video_id)
            seat = None if lost else seats[video_id].get(int(number))
            copies = self._copies(video_id)
            yield key, self.consents.of_visit(video_id, seat, scope, person_id, (), copies)

    def withheld(self, person_of: Mapping[str, str], scope: ConsentScope) -> frozenset[str]:
        """The tracks among some of which a scope is not allowed."""
        if not self.consents.tracked:
            return frozenset()
        return frozenset(k for k, one in self.of_tracks(person_of, scope) if not one.allowed)

    def _people(self, video_id: str, seats: Mapping[int, int]) -> dict[int, set[str]]:
        """Who humans say sits in each seat."""
        found: dict[int, set[str]] = {}
        of_face: dict[str, int] | None = None
        for subject, person_id in self.consents.state.assigned.items():
            kind, video, local_id, lost = ids.parse(subject)
            if lost or video != video_id:
                continue
            if kind == "face":
                if of_face is None:
                    of_face = _tracks_of_faces(self.stores.tables, video_id)
                track = of_face.get(local_id)
            else:
                track = int(local_id)
            if track is not None and track in seats:
                found.setdefault(seats[track], set()).add(person_id)
        return found

    def _copies(self, video_id: str) -> frozenset[str]:
        """The other videos of the same ride, as far as the library in force knows them."""
        counts = self._copy_of.get(video_id, video_id)
        same = {counts, *(video for video, other in self._copy_of.items() if other == counts)}
        return frozenset(same - {video_id})

    @cached_property
    def _copy_of(self) -> Mapping[str, str]:
        return in_force.copy_of if (in_force := _in_force(self.stores)) else {}

    def _matched(self, video_id: str, seats: Mapping[int, int]) -> dict[int, set[str]]:
        """Who the library in force says sits in each seat, by itself."""
        in_force, noted = _in_force(self.stores), self.stores.tables.noted(TEMPLATES, video_id)
        if in_force is None or noted is None:
            return {}
        if in_force.versions.get(video_id) != noted.data_version:
            return {}  # of other tracks than there are now
        found: dict[int, set[str]] = {}
        for track, person_id in in_force.people.get(video_id, ()):
            not_them = (ids.track(video_id, track), person_id) in self.consents.state.turned_down
            if track in seats and not not_them:
                found.setdefault(seats[track], set()).add(person_id)
        return found


@dataclass(frozen=True)
class _InForce:
    """What the library in force says, without opening it for each of many videos.

    Attributes:
        versions: data version of the templates of each video that it was computed of.
        people: track and person of each known track, by video.
        copy_of: the video that counts, by copy.
    """

    versions: Mapping[str, str]
    people: Mapping[str, Sequence[tuple[int, str]]]
    copy_of: Mapping[str, str]


def _in_force(stores: LibraryStores) -> _InForce | None:
    name = stores.generations.in_force()
    if name is None:
        return None
    folder = stores.generations.root / name
    return _read_in_force(stores, name, folder.stat().st_mtime_ns if folder.is_dir() else 0)


@lru_cache(maxsize=2)
def _read_in_force(stores: LibraryStores, name: str, changed: int) -> _InForce | None:
    del name, changed  # they say whether it is another one
    snapshot = stores.generations.find()
    if snapshot is None:
        return None
    with snapshot:
        rows = snapshot.table("person_assignments").drop_nulls("person_id")
        copies = snapshot.table("video_copies").select("video_id", "copy_of")
        versions = dict(snapshot.generation.versions)
    people: dict[str, list[tuple[int, str]]] = {}
    for video_id, track, person_id in rows.select(*_PLACED).iter_rows():
        people.setdefault(video_id, []).append((track, person_id))
    return _InForce(versions, people, dict(copies.iter_rows()))


_PLACED: Final = ("video_id", "track_id", "person_id")


def _version(stores: LibraryStores) -> tuple[int, ...]:
    """Changes with the ledger, and with the tables by which its tracks are found again."""
    layout = stores.layout
    paths = [layout.ledger, *(layout.tables / asset for asset in ASSETS)]
    there = [path.stat() for path in paths if path.exists()]
    return tuple(part for one in there for part in (one.st_ino, one.st_size, one.st_mtime_ns))


@lru_cache(maxsize=2)
def _consents(stores: LibraryStores, version: tuple[int, ...], policy: str, day: str) -> Consents:
    """The answers, for which many videos ask one after the other."""
    del version  # it says whether they are others
    settings = ConsentSettings.model_validate_json(policy)
    return Consents(settle_ledger(stores, _UNWRITTEN, write=False).state, settings, day)


def seats_of(store: TableStore, video_id: str) -> dict[int, int]:
    """The seat of each track of a rider, from the left; none where nobody knows who rides."""
    try:
        riders = store.read("riders", video_id, ("track_id", "person_id"))
    except (DamagedFileError, MissingTableError):  # made anew before anything is made of it
        return {}
    return dict(riders.drop_nulls("person_id").iter_rows())


def _tracks_of_faces(store: TableStore, video_id: str) -> dict[str, int]:
    try:
        tracks = store.read("face_tracks", video_id, ("face_id", "track_id"))
    except (DamagedFileError, MissingTableError):
        return {}
    return dict(tracks.drop_nulls("track_id").iter_rows())


def unprofiled(stores: LibraryStores, state: LibraryState, settings: Settings) -> dict[str, str]:
    """Why people may not have a profile, in words; nobody while consent is not required."""
    if not settings.consent.required:
        return {}
    asked, found = Asked.of(stores, state, settings), dict[str, str]()
    for person_id, subjects in state.members.items():
        tracks = {s: person_id for s in subjects if ids.parse(s).kind == "track"}
        told = [verdict for _, verdict in asked.of_tracks(tracks, "profile")]
        if told and not any(one.allowed for one in told):
            found[person_id] = f"none: {told[0].reason}"
    return found


def consent_note(settings: Settings) -> str:
    """Whether consent is asked for, in a sentence."""
    if not settings.consent.required:
        return NOT_TRACKED_SENTENCE
    told = settings.consent
    return f"Consent is required (silence: {told.unknown}, minors: {told.minors})."


def short_words(asked: Consents, person_id: str) -> str:
    """What a person answered themselves, for a cell of a list."""
    said = {scope: _SHORT[asked.of_person(person_id, scope).code] for scope in CONSENT_SCOPES}
    if len(set(said.values())) == 1:
        return next(iter(said.values()))
    return ", ".join(f"{scope} {word}" for scope, word in said.items())


_SHORT: Final[Mapping[str, str]] = {
    "not_tracked": "not tracked",
    "granted": "granted",
    "allowed": "not asked",
    "refused": "refused",
    "withdrawn": "withdrawn",
    "minor": "minor",
    "age_unknown": "age not said",
    "ended": "ended",
    "unknown": "not asked",
}


def person_words(state: LibraryState, settings: Settings, person_id: str) -> str:
    """What a person answered themselves and what follows, in a sentence."""
    if not settings.consent.required:
        return NOT_TRACKED_SENTENCE
    asked = Consents(state, settings.consent, today())
    told = [f"{scope}: {asked.of_person(person_id, scope).reason}" for scope in CONSENT_SCOPES]
    return f"By their own answers: {'; '.join(told)}."


def rider_verdicts(
    stores: LibraryStores, settings: Settings, video_id: str, scope: ConsentScope = "export"
) -> dict[int, Verdict] | None:
    """The verdict on each rider of a ride today; None while consent is not required."""
    if not settings.consent.required:
        return None
    return Asked.now(stores, settings).of_riders(video_id, scope)


def videos_answered(stores: LibraryStores, settings: Settings) -> dict[str, str]:
    """A digest of the answers about each ride or its people; none while consent is not required.

    It changes with the day on which a grant ends, too. No table of a ride is read.
    """
    if not settings.consent.required:
        return {}
    asked = Asked.now(stores, settings)
    state, by_video = asked.consents.state, dict[str, list[Any]]()
    videos_of = _videos_of_people(stores, state)
    for target, answers in state.consents.items():
        told = [
            [scope, *_said(one), one.until is None or one.until >= asked.consents.day]
            for scope, one in answers.items()
        ]
        who = target.id if target.kind == "video" else _survivor(state, target.id)
        for video_id in [who] if target.kind == "video" else sorted(videos_of.get(who, ())):
            by_video.setdefault(video_id, []).append([*target, told])
    return {video_id: sha256_of_value(told) for video_id, told in sorted(by_video.items())}


def _videos_of_people(stores: LibraryStores, state: LibraryState) -> dict[str, set[str]]:
    """The rides in which humans or the library in force see each person."""
    found: dict[str, set[str]] = {}
    for subject, person_id in state.assigned.items():
        found.setdefault(person_id, set()).add(ids.parse(subject).video_id)
    in_force = _in_force(stores)
    for video_id, known in (in_force.people if in_force else {}).items():
        for _, person_id in known:
            found.setdefault(_survivor(state, person_id), set()).add(video_id)
    return found


def _survivor(state: LibraryState, person_id: str) -> str:
    return state.survivor(person_id) if person_id in state.people else person_id


def consent_key(verdicts: Mapping[int, Verdict] | None) -> dict[str, Any] | None:
    """What tells the verdicts on riders from others: see `stages.specs.cache_key.key_parts`."""
    if verdicts is None:
        return None
    return {str(seat): verdict_json(one) for seat, one in sorted(verdicts.items())}


def verdict_json(verdict: Verdict) -> dict[str, Any]:
    """A verdict as a manifest has it: ids of events, and no word of what was said."""
    return {
        "allowed": verdict.allowed,
        "code": verdict.code,
        "reason": verdict.reason,
        "evidence": list(verdict.evidence),
    }


UNTRACKED_JSON: Final[Mapping[str, Any]] = {"tracked": False, "reason": NOT_TRACKED_WORDS}
"""What a manifest says of consent while it is not required."""


def consent_sentences(verdicts: Mapping[int, Verdict] | None) -> tuple[str, ...]:
    """What the page of a ride's export says of consent."""
    if verdicts is None:
        return (NOT_TRACKED_SENTENCE,)
    return tuple(f"person_{seat}: {one.reason}." for seat, one in sorted(verdicts.items()))


def shown_consents(verdicts: Mapping[int, Verdict] | None) -> dict[str, Any]:
    """What the manifest of a ride's export says of consent."""
    key = consent_key(verdicts)
    if key is None:
        return dict(UNTRACKED_JSON)
    return {"tracked": True, "scopes": ["export"], "riders": key}
