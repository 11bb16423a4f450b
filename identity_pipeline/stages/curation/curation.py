"""A curator's decisions: what was typed becomes a ledger command with its anchors and its facts.

Every function plans or carries out one decision; it either holds as a whole or not at all. What a
decision may do is for `ledger`; what the words mean, for `targets`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import polars as pl

from identity_pipeline.core.clustering.shared_frames import shared_frame_pairs
from identity_pipeline.ledger import commands
from identity_pipeline.ledger import events as ev
from identity_pipeline.ledger import subjects as ids
from identity_pipeline.ledger.commands import Planned, Stamp
from identity_pipeline.ledger.concurrency import Head, decided_on
from identity_pipeline.ledger.effects import Effect, Facts
from identity_pipeline.ledger.errors import RefusedError
from identity_pipeline.ledger.replay import History
from identity_pipeline.stages.curation.consent_files import Answered
from identity_pipeline.stages.curation.pictures import PictureDecisions, anchors_of_faces
from identity_pipeline.stages.curation.snapshot import (
    CurationError,
    LibrarySnapshot,
    SuggestionRow,
    video_of,
)
from identity_pipeline.stages.curation.targets import find_person, find_targets

Decide = Callable[[History, Stamp], Planned]


@dataclass
class Curator(PictureDecisions):
    """Somebody who decides.

    Attributes:
        library: follows their decisions, also those that are only tried.
        actor: who.
        now: ISO time with a zone.
        reason: in their words.
        dry_run: plan only; nothing is written.
        head: of the ledger that they looked at when they decided; None for the one of `library`.
            What they decided since themselves does not hinder them.
    """

    library: LibrarySnapshot
    actor: str
    now: str
    reason: str = ""
    dry_run: bool = False
    head: Head | None = None
    _own: set[str] = field(default_factory=set)

    def person(self, word: str) -> str:
        """Whom a word means; raises as `targets.find_person` does."""
        return find_person(self.library, word)

    def tracks(self, words: Sequence[str], *, confirmed: bool = False) -> tuple[str, ...]:
        """The subjects that words mean; raises as `targets.find_targets` does."""
        return find_targets(self.library, words, confirmed=confirmed).subjects

    def decide(
        self,
        command: Decide,
        subjects: Iterable[str] = (),
        towards: str | None = None,
        videos: Iterable[str] = (),
    ) -> Planned:
        """Carries out one decision, or only plans it.

        Args:
            command: of `ledger.commands`, all but its history and stamp filled in.
            subjects: those it names.
            towards: the person who gets them; None for a new one or nobody.
            videos: more videos in which tracks may change their person.

        Raises:
            LedgerError: the ledger refuses it.
            ChangedMeanwhileError: somebody else decided on it since `head`.
        """
        chosen = sorted(set(subjects))
        stamp = Stamp(
            self.actor,
            self.now,
            self.reason,
            anchors_of(self.library, chosen),
            facts_of(self.library, chosen, towards, videos),
        )
        known = len(self.library.history.events)

        def build(history: History) -> Planned:
            if any(isinstance(event, ev.Renumbered) for event in history.events[known:]):
                raise RefusedError("Videos were processed anew meanwhile; repeat the command.")
            return command(history, stamp)

        ledger = self.library.stores.ledger
        decided = decided_on(build, self.head, self._own) if self.head else build
        if self.dry_run:
            planned = decided(self.library.history)
        else:
            planned = ledger.commit(decided, self.library.history)
        self._own.add(planned.event.id)
        self.library = self.library.after(planned.history)
        return planned

    def name(self, name: str, subjects: Iterable[str], *, same_name: bool = False) -> Planned:
        """Makes a new person of tracks."""
        chosen = tracks_only(subjects)
        return self.decide(
            lambda h, s: commands.name(h, s, name, chosen, same_name=same_name), chosen
        )

    def confirm(
        self, person_id: str, subjects: Iterable[str], origin: ev.Origin = "human"
    ) -> Planned:
        """Gives tracks that are nobody's to a person."""
        chosen = tracks_only(subjects)
        return self.decide(
            lambda h, s: commands.confirm(h, s, person_id, chosen, origin=origin), chosen, person_id
        )

    def confirm_machine(self, subjects: Iterable[str]) -> list[Planned]:
        """Confirms what the machine says of tracks, one decision for each person.

        Raises:
            CurationError: the machine says nothing of one of them.
        """
        return [
            self.confirm(person, keys)
            for person, keys in self.by_machine(subjects, "--person says whose they are").items()
        ]

    def by_machine(self, subjects: Iterable[str], advice: str) -> dict[str, list[str]]:
        """Tracks by the person who has them, or who the machine says or suggests.

        Raises:
            CurationError: there is nobody for one of them.
        """
        groups: dict[str, list[str]] = {}
        for subject in sorted(set(subjects)):
            row = self.library.assignments.get(subject)
            person = self.library.state.assigned.get(subject) or (row and row["person_id"])
            if person is None or person not in self.library.state.people:
                raise CurationError(f"nobody is suggested for {subject}; {advice}.")
            groups.setdefault(self.library.state.survivor(person), []).append(subject)
        return dict(sorted(groups.items()))

    def reject(self, person_id: str, subjects: Iterable[str]) -> Planned:
        """Says that tracks are not a person."""
        chosen = sorted(set(subjects))
        planned = self.decide(lambda h, s: commands.reject(h, s, person_id, chosen), chosen)
        rows = {key: self.library.assignments.get(key) for key in chosen}
        leaving = [
            key
            for key, row in rows.items()
            if row
            and row["origin"] == "auto"
            and row["person_id"] is not None
            and self.library.survivor(row["person_id"]) == person_id
        ]
        if not leaving:
            return planned
        # The ledger does not know what the machine assigned, so it does not tell of it.
        tracks = "track leaves" if len(leaving) == 1 else "tracks leave"
        note = (
            f"{len(leaving)} {tracks} person {self.library.called(person_id)} at the next recluster"
        )
        effect = Effect(planned.effect.shifts, (*planned.effect.notes, note))
        return replace(planned, effect=effect)

    def merge(self, person_id: str, into: str) -> Planned:
        """Says that a person is another one."""
        members = self.library.state.members.get(person_id, ())
        return self.decide(
            lambda h, s: commands.merge(h, s, person_id, into),
            towards=into,
            videos=map(video_of, members),
        )

    def split(
        self, person_id: str, subjects: Iterable[str], name: str | None, same_name: bool = False
    ) -> Planned:
        """Makes a new person of some of a person's tracks."""
        chosen = tracks_only(subjects)
        return self.decide(
            lambda h, s: commands.split(
                h, s, person_id, chosen, new_name=name, same_name=same_name
            ),
            chosen,
        )

    def move(self, person_id: str, to: str, subjects: Iterable[str]) -> Planned:
        """Gives tracks of a person to another one."""
        chosen = tracks_only(subjects)
        return self.decide(lambda h, s: commands.move(h, s, person_id, to, chosen), chosen, to)

    def owner(self, subjects: Iterable[str]) -> str:
        """The one person whom humans gave all these tracks to.

        Raises:
            CurationError: there is none, or more than one.
        """
        people = {self.library.state.assigned.get(subject) for subject in subjects}
        if len(people) != 1 or (person := people.pop()) is None:
            raise CurationError("these are not the confirmed tracks of one person; give --from.")
        return person

    def accept(self, suggestion: SuggestionRow) -> Planned:
        """Accepts a suggestion."""
        person = self._suggested(suggestion)
        return self.confirm(person, [suggestion["track_key"]], "suggestion_accepted")

    def decline(self, suggestion: SuggestionRow) -> Planned:
        """Declines a suggestion; it may come back when its score has risen."""
        person, subject = self._suggested(suggestion), suggestion["track_key"]
        return self.turn_down(person, [subject], suggestion["score"])

    def turn_down(self, person_id: str, tracks: Iterable[str], evidence: float) -> Planned:
        """Says that tracks that resemble a person so much at most are not them; see `decline`."""
        chosen = tracks_only(tracks)
        return self.decide(
            lambda h, s: commands.decline(h, s, person_id, chosen, evidence=evidence), chosen
        )

    def _suggested(self, suggestion: SuggestionRow) -> str:
        person = suggestion["person_id"]
        outdated = self.library.outdated([video_of(suggestion["track_key"])])
        if person not in self.library.state.people or outdated:
            raise CurationError(
                f"suggestion {suggestion['suggestion_id']} is out of date; run "
                "`identity-pipeline recluster` first."
            )
        return self.library.state.survivor(person)

    def not_a_face(self, subjects: Iterable[str]) -> Planned:
        """Says that subjects are no faces."""
        chosen = sorted(set(subjects))
        return self.decide(lambda h, s: commands.not_a_face(h, s, chosen), chosen)

    def ignore(self, subjects: Iterable[str]) -> Planned:
        """Says that nobody wants to know who subjects are."""
        chosen = sorted(set(subjects))
        return self.decide(lambda h, s: commands.ignore(h, s, chosen), chosen)

    def rename(self, person_id: str, name: str, *, same_name: bool = False) -> Planned:
        """Gives a person another name."""
        return self.decide(lambda h, s: commands.rename(h, s, person_id, name, same_name=same_name))

    def hide(self, person_id: str, *, hidden: bool) -> Planned:
        """Leaves a person out of lists, or lists them again."""
        command = commands.hide if hidden else commands.unhide
        return self.decide(lambda h, s: command(h, s, person_id))

    def show_by(self, person_id: str, track: str, face: str | None) -> Planned:
        """Makes a track, or one face of it, the picture of a person."""
        return self.decide(lambda h, s: commands.set_cover(h, s, person_id, track, face), [track])

    def consent(self, answer: Answered) -> Planned:
        """Notes what somebody answered when asked for consent."""
        return self.decide(lambda h, s: _noted(h, s, answer))

    def consents(self, answers: Sequence[Answered]) -> list[Planned]:
        """Notes several answers, all or none; those that are known already are left out."""
        history = self.library.history
        new = [answer for answer in answers if not answer.is_known(history)]
        if self.dry_run or not new:
            return [self.consent(answer) for answer in new]
        stamp = Stamp(self.actor, self.now, self.reason)
        planned = self.library.stores.ledger.commit_all(
            [partial(_noted, stamp=stamp, answer=answer) for answer in new], history
        )
        self._own.update(one.event.id for one in planned)
        self.library = self.library.after(planned[-1].history)
        return planned

    def undo(self, event: ev.Event) -> Planned:
        """Takes an event back; undoing an undo brings its event back."""
        stamp = Stamp(self.actor, self.now, self.reason)
        tried = commands.undo(self.library.history, stamp, event.id)
        moved = {subject for shift in tried.effect.shifts for subject in shift.subjects}
        return self.decide(
            lambda h, s: commands.undo(h, s, event.id), videos=map(video_of, sorted(moved))
        )


def _noted(history: History, stamp: Stamp, answer: Answered) -> Planned:
    said = {name: getattr(answer, name) for name in ("until", "minor", "evidence", "by")}
    return commands.record_consent(
        history, stamp, answer.target, answer.answer, answer.scopes, **said
    )


def tracks_only(subjects: Iterable[str]) -> list[str]:
    """The subjects, sorted, after checking that each is a track.

    Raises:
        CurationError: one is a face that is in no track.
    """
    chosen = sorted(set(subjects))
    for subject in chosen:
        if ids.parse(subject).kind == "face":
            raise CurationError(
                f"{subject} is in no track, so it cannot be anybody; name a face of a track."
            )
    return chosen


def anchors_of(library: LibrarySnapshot, subjects: Iterable[str]) -> list[ev.Anchor]:
    """One face of each subject by which it is found again; none for subjects that are not there."""
    several = set(subjects)
    faces = {subject for subject in several if ids.parse(subject).kind == "face"}
    found, chosen = anchors_of_faces(library, faces), sorted(several - faces)
    best = {
        row["track_key"]: (row["best_frame"], row["box"])
        for row in library.templates(map(video_of, chosen)).iter_rows(named=True)
    }
    for subject in chosen:
        where = best.get(subject) or _largest_face(library, subject)
        if where is not None:
            x1, y1, x2, y2 = where[1]
            found.append(ev.Anchor(subject=subject, frame_idx=where[0], box=(x1, y1, x2, y2)))
    return found


def _largest_face(library: LibrarySnapshot, subject: str) -> tuple[int, list[float]] | None:
    """Frame and box of the largest face of a track without a template."""
    _, video_id, local_id, lost = ids.parse(subject)
    names = ("face_detections", "face_tracks")
    outputs = library.stores.tables.outputs
    if lost or not all(outputs.has(name, video_id) for name in names):
        return None
    faces, tracks = (library.stores.tables.read(name, video_id) for name in names)
    wanted = tracks.filter(pl.col("track_id") == int(local_id))["face_id"].to_list()
    area = (pl.col("x2") - pl.col("x1")) * (pl.col("y2") - pl.col("y1"))
    own = faces.filter(pl.col("face_id").is_in(wanted)).sort(
        area, "face_id", descending=[True, False]
    )
    if not own.height:
        return None
    row = own.row(0, named=True)
    return row["frame_idx"], [row[name] for name in ("x1", "y1", "x2", "y2")]


def facts_of(
    library: LibrarySnapshot,
    subjects: Iterable[str],
    towards: str | None,
    videos: Iterable[str] = (),
) -> Facts:
    """What the tables know about a decision's subjects.

    Args:
        library: as it is now.
        subjects: the subjects.
        towards: the person who gets them; a track is disputed where the machine says, or suggests,
            somebody else.
        videos: further videos.
    """
    chosen = set(subjects)
    templates = library.templates({*map(video_of, chosen), *videos})
    known = sorted({*templates["track_key"].to_list(), *chosen})
    rows = [(key, row) for key in known if (row := library.assignments.get(key)) is not None]
    disputed = {
        key
        for key, row in rows
        if key in chosen
        and row["person_id"] is not None
        and row["origin"] in (None, "auto")
        and library.survivor(row["person_id"]) != towards
    }
    return Facts(
        faces=dict(templates.select("track_key", "face_count").iter_rows()),
        places={key: library.place(key) for key, _ in rows},
        disputed=frozenset(disputed),
        seen_together=frozenset(shared_frame_pairs(templates)),
    )
