"""Decisions as functions: each builds its event, checks it against the history, tells its effect.

A command writes nothing. `LedgerStore.commit` runs it under the lock and appends its event;
`LedgerStore.preview` runs it on what is there and appends nothing (`--dry-run`). What an event may
do to a state is checked in `working`; here are the questions to whoever decides: is the name taken,
does anything change, are two of these seen in one frame.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from pydantic import ValidationError

from identity_pipeline.ledger import events as ev
from identity_pipeline.ledger import subjects as ids
from identity_pipeline.ledger.effects import Effect, Facts, effect_of
from identity_pipeline.ledger.errors import NameTakenError, NoChangeError, RefusedError
from identity_pipeline.ledger.replay import History
from identity_pipeline.ledger.state import LibraryState, Target


def new_uuid() -> str:
    """A random UUID."""
    return str(uuid4())


@dataclass(frozen=True)
class Stamp:
    """Who decides, when and why.

    Attributes:
        actor: who.
        time: ISO 8601 with a time zone.
        reason: in their words.
        anchors: a face of each subject; may leave out subjects that the ledger already knows.
        facts: what the tables know.
        new_id: makes UUIDs.
    """

    actor: str
    time: str
    reason: str = ""
    anchors: Iterable[ev.Anchor] = ()
    facts: Facts = field(default_factory=Facts)
    new_id: Callable[[], str] = new_uuid


@dataclass(frozen=True)
class Planned:
    """A decision that fits the history, and what it does.

    Attributes:
        event: to append.
        effect: what changes.
        history: with the event.
    """

    event: ev.Event
    effect: Effect
    history: History

    @property
    def state(self) -> LibraryState:
        """The state after the event."""
        return self.history.state


Command = Callable[[History], Planned]
"""What the store takes: decides on the history that it finds under the lock."""


def name(
    history: History,
    stamp: Stamp,
    new_name: str,
    subjects: Iterable[str],
    *,
    same_name: bool = False,
) -> Planned:
    """Makes a new person of subjects that are nobody's yet.

    Raises:
        NameTakenError: another person bears the name and `same_name` is not given.
        RefusedError: the ledger contradicts it.
    """
    _check_name(history.state, new_name, None, same_name)
    details = {"person_id": stamp.new_id(), "name": new_name, "same_name": same_name}
    return _plan(history, stamp, "name", subjects=subjects, **details)


def rename(
    history: History, stamp: Stamp, person_id: str, new_name: str, *, same_name: bool = False
) -> Planned:
    """Gives a person another name. Raises as `name` does."""
    _check_name(history.state, new_name, person_id, same_name)
    details = {"person_id": person_id, "name": new_name, "same_name": same_name}
    return _plan(history, stamp, "rename", **details)


def confirm(
    history: History,
    stamp: Stamp,
    person_id: str,
    subjects: Iterable[str],
    *,
    origin: ev.Origin = "human",
) -> Planned:
    """Says that subjects belong to a person; an accepted suggestion says so by its `origin`.

    Raises:
        RefusedError: a subject is another person's (use `move`), was rejected from this one, was
            split apart from one of theirs, or was set aside.
    """
    return _plan(history, stamp, "confirm", person_id=person_id, subjects=subjects, origin=origin)


def reject(history: History, stamp: Stamp, person_id: str, subjects: Iterable[str]) -> Planned:
    """Says that subjects do not belong to a person, for ever; takes them off that person."""
    return _plan(history, stamp, "reject", person_id=person_id, subjects=subjects)


def decline(
    history: History, stamp: Stamp, person_id: str, subjects: Iterable[str], *, evidence: float
) -> Planned:
    """Declines a suggestion made at a score of `evidence`; weaker than `reject`."""
    details = {"person_id": person_id, "evidence": evidence}
    return _plan(history, stamp, "suggestion_rejected", subjects=subjects, **details)


def merge(history: History, stamp: Stamp, person_id: str, into: str) -> Planned:
    """Says that a person is another one, who keeps their name.

    Raises:
        RefusedError: they are the same already, or a rejection or a split stands between them.
    """
    return _plan(history, stamp, "merge", person_id=person_id, into=into)


def split(
    history: History,
    stamp: Stamp,
    person_id: str,
    subjects: Iterable[str],
    *,
    new_name: str | None = None,
    same_name: bool = False,
) -> Planned:
    """Makes a new person of some of a person's subjects, never to be one with the rest again.

    Raises:
        NameTakenError: as for `name`.
        RefusedError: nothing would be left of the person, or a subject is not theirs.
    """
    chosen = tuple(subjects)
    if new_name is not None:
        _check_name(history.state, new_name, None, same_name)
    mine = history.state.members.get(person_id, ())
    if mine and set(mine) <= set(chosen):
        raise RefusedError(
            f"That is all of {history.state.display(person_id)}; use `rename` instead of a split."
        )
    details = {"person_id": person_id, "new_person_id": stamp.new_id(), "new_name": new_name}
    return _plan(history, stamp, "split", subjects=chosen, same_name=same_name, **details)


def move(
    history: History, stamp: Stamp, person_id: str, to: str, subjects: Iterable[str]
) -> Planned:
    """Gives subjects of a person to another one; a rejection from that one must be undone first."""
    return _plan(history, stamp, "move", person_id=person_id, to=to, subjects=subjects)


def hide(history: History, stamp: Stamp, person_id: str) -> Planned:
    """Leaves a person out of lists."""
    return _plan(history, stamp, "hide", person_id=person_id)


def unhide(history: History, stamp: Stamp, person_id: str) -> Planned:
    """Lists a person again."""
    return _plan(history, stamp, "unhide", person_id=person_id)


def not_a_face(history: History, stamp: Stamp, subjects: Iterable[str]) -> Planned:
    """Says that subjects are no faces."""
    return _plan(history, stamp, "not_a_face", subjects=subjects)


def ignore(history: History, stamp: Stamp, subjects: Iterable[str]) -> Planned:
    """Says that nobody wants to know about subjects."""
    return _plan(history, stamp, "ignore", subjects=subjects)


def set_cover(
    history: History, stamp: Stamp, person_id: str, subject: str, face_id: str | None = None
) -> Planned:
    """Chooses the picture of a person: a confirmed subject of theirs, and which face of it."""
    details = {"person_id": person_id, "face_id": face_id}
    return _plan(history, stamp, "set_cover", subjects=[subject], **details)


def accept_pictures(history: History, stamp: Stamp, faces: Iterable[str]) -> Planned:
    """Says that faces are good pictures, which are in their sets."""
    return _plan(history, stamp, "picture_accept", subjects=faces)


def reject_pictures(
    history: History, stamp: Stamp, faces: Iterable[str], fault: ev.Fault
) -> Planned:
    """Says that faces are bad pictures, which are in no set again."""
    return _plan(history, stamp, "picture_reject", subjects=faces, fault=fault)


def anchor_picture(
    history: History, stamp: Stamp, face: str, instead_of: str | None = None
) -> Planned:
    """Says that a face is the better anchor; the one that it is instead of is none meanwhile.

    Raises:
        NoChangeError: it is the newest chosen anchor of its video, instead of the same face.
    """
    pictures, seen_in = history.state.pictures, ids.parse(face).video_id
    chosen = [
        (p.anchor, f) for f, p in pictures.items() if p.anchor and ids.parse(f).video_id == seen_in
    ]
    if max(chosen, default=(0, ""))[1] == face and pictures[face].instead_of == instead_of:
        raise NoChangeError(f"Nothing would change: {face} is the chosen anchor already.")
    return _plan(history, stamp, "picture_anchor", subjects=[face], instead_of=instead_of)


def bin_pictures(
    history: History, stamp: Stamp, faces: Iterable[str], bins: Mapping[ev.Axis, str]
) -> Planned:
    """Says into which bins faces belong; of axes that are not given nothing is decided."""
    return _plan(history, stamp, "picture_bins", subjects=faces, bins=dict(bins))


def order_pictures(
    history: History, stamp: Stamp, faces: Iterable[str], scope: ev.Scope
) -> Planned:
    """Says in which order faces stand in the sets that they are in.

    Raises:
        NoChangeError: that was their order already.
    """
    chosen = tuple(faces)
    known = [p and p.places.get(scope) for p in map(history.state.pictures.get, chosen)]
    rides = {ids.parse(face).video_id for face in chosen}
    pictures = history.state.pictures.items()
    own = (p for face, p in pictures if scope in p.places and ids.parse(face).video_id in rides)
    newest = max((picture.places[scope][0] for picture in own), default=0)
    if known == [(newest, place) for place in range(len(known))]:
        raise NoChangeError("Nothing would change: this is their order already.")
    return _plan(history, stamp, "picture_order", subjects=chosen, scope=scope)


def record_consent(
    history: History,
    stamp: Stamp,
    target: Target,
    answer: ev.Answer,
    scopes: Iterable[ev.ConsentScope],
    **said: Any,
) -> Planned:
    """Notes what somebody answered when asked for consent.

    Args:
        history: all events so far.
        stamp: who notes it.
        target: whom it is about.
        answer: what they said.
        scopes: for what.
        said: `until`, `minor`, `evidence`, `by` of `events.ConsentRecorded`.

    Raises:
        RefusedError: there is no such person, or the ride was forgotten.
    """
    about = {"person_id": target.id} if target.kind == "person" else {"video_id": target.id}
    details = {**about, "seat": target.seat, "answer": answer, "scopes": tuple(scopes), **said}
    return _plan(history, stamp, "consent", **details)


def forget(
    history: History,
    stamp: Stamp,
    person_ids: Iterable[str],
    videos: Iterable[str] = (),
    subjects: Iterable[str] = (),
) -> Planned:
    """Forgets people, whole rides or photo sets, and tracks; it can never be undone.

    Whoever was merged into one of the people goes with them, and so do all tracks and faces that
    decisions name and that are theirs or of the rides.

    Args:
        history: all events so far.
        stamp: who does that.
        person_ids: people in force.
        videos: rides and photo sets that go as a whole.
        subjects: further tracks and faces, such as those that the machine matched.

    Raises:
        RefusedError: there is no such person.
        NoChangeError: all of it is forgotten already.
    """
    state, whole = history.state, frozenset(videos)
    people = {*person_ids}
    if strange := sorted(people - state.people.keys() - state.forgotten.people):
        raise RefusedError(f"There is no person {strange[0]}; list them with `people`.")
    people |= {p for p in state.people if state.survivor(p) in people}
    own = {subject for subject, person_id in state.assigned.items() if person_id in people}
    known = {
        name for name in history.position.named if name.startswith(("track:", "face:", "lost:"))
    }
    of_rides = {name for name in known if ids.parse(name).video_id in whole}
    return _plan(
        history,
        stamp,
        "forget",
        person_ids=tuple(people),
        videos=tuple(whole),
        subjects=(*subjects, *own, *of_rides),
    )


def undo(history: History, stamp: Stamp, event_id: str) -> Planned:
    """Takes an event back, or brings an undone one back by undoing its undo.

    Raises:
        DanglingError: later events need it; it lists them.
        NoChangeError: it is already undone.
    """
    return _plan(history, stamp, "undo", event_id=event_id)


def renumber(
    history: History, stamp: Stamp, renames: Mapping[str, str], not_found: Iterable[str]
) -> Planned:
    """Notes that videos were processed anew, so that subjects have other ids; no decision changes.

    Args:
        history: all events so far.
        stamp: who runs it.
        renames: old → present subjects (`anchors.resolve(history.anchors, faces).found`).
        not_found: subjects that are kept as lost (of the same resolution).

    Raises:
        NoChangeError: every subject is where it was.
    """
    pairs = tuple(sorted((old, new) for old, new in renames.items() if old != new))
    missing = tuple(sorted(s for s in set(not_found) if not ids.parse(s).lost))
    if not pairs and not missing:
        raise NoChangeError("Every subject is still where it was; nothing to renumber.")
    details = {"kind": "renumber", "renames": pairs, "not_found": missing}
    event = _build(history, stamp, details)
    longer = history.after(event)
    lost = _lost(longer.state) - _lost(history.state)
    unmatched = {ids.lost(subject, event.seq) for subject in missing}
    notes = (
        f"{len({old for old, _ in pairs} & history.state.subjects)} subjects have other ids now",
        f"{len(lost & unmatched)} are not found again and are kept as lost",
        f"{len(lost - unmatched)} contradict another one of the same track and are kept as lost",
    )
    return Planned(event, Effect((), notes), longer)


def _lost(state: LibraryState) -> set[str]:
    return {subject for subject in state.subjects if ids.parse(subject).lost}


def _plan(history: History, stamp: Stamp, kind: str, **details: Any) -> Planned:
    event = _build(history, stamp, {"kind": kind, **details})
    longer = history.after(event)
    before, after = history.state, longer.state
    if not isinstance(event, ev.Undone) and before == after:
        raise NoChangeError(f"Nothing would change: this {kind.replace('_', ' ')} already holds.")
    _check_seen_together(before, after, stamp.facts)
    return Planned(event, effect_of(before, after, stamp.facts), longer)


def _build(history: History, stamp: Stamp, details: dict[str, Any]) -> ev.Event:
    head = {"id": stamp.new_id(), "seq": history.next_seq, "time": stamp.time}
    fields = {**details, **head, "actor": stamp.actor, "reason": stamp.reason}
    if "subjects" in fields and details["kind"] != "forget":  # nobody is to find those again
        fields |= _anchored(history, stamp, details)
    try:
        return ev.parse(fields)
    except ValidationError as error:
        raise RefusedError(ev.why_invalid(error)) from error


def _anchored(history: History, stamp: Stamp, details: dict[str, Any]) -> dict[str, Any]:
    """The subjects of a decision, and a face of each."""
    given = tuple(details["subjects"])
    subjects = given if details["kind"] == "picture_order" else tuple(sorted(set(given)))
    if not subjects:
        raise RefusedError(f"No subject is given to {details['kind'].replace('_', ' ')}.")
    named = {*subjects, details.get("instead_of")} - {None}
    anchors = {anchor.subject: anchor for anchor in stamp.anchors}
    known = [
        anchors[s] if s in anchors else history.anchors[s][0]
        for s in sorted(named)
        if s in anchors or s in history.anchors
    ]
    return {"subjects": subjects, "anchors": known}


def _check_name(state: LibraryState, wanted: str, person_id: str | None, same_name: bool) -> None:
    try:
        bearers = [bearer for bearer in state.named(ev.clean_name(wanted)) if bearer != person_id]
    except ValueError as error:
        raise RefusedError(f"{error}.".capitalize()) from error
    if bearers and not same_name:
        raise NameTakenError(wanted, bearers)


def _check_seen_together(before: LibraryState, after: LibraryState, facts: Facts) -> None:
    for one, other in sorted(facts.seen_together):
        person_id = after.assigned.get(one)
        together = person_id is not None and person_id == after.assigned.get(other)
        was = before.assigned.get(one)
        if together and not (was is not None and was == before.assigned.get(other)):
            raise RefusedError(
                f"{one} and {other} are seen in one frame, so they cannot both be "
                f"{after.display(after.assigned[one])}; leave one of them out."
            )
