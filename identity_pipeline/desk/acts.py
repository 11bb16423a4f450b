"""What any page may decide about tracks: the acts that several rooms share.

`subject` is a track or face of the ledger, as often as there are; `person` an id. What an act may
do to the ledger is for `stages.curation`; here are only the fields of its form.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from identity_pipeline.desk.deciding import Act, Form
from identity_pipeline.ledger import subjects as ids
from identity_pipeline.ledger.commands import Planned
from identity_pipeline.ledger.events import clean_name
from identity_pipeline.stages.curation.curation import Curator
from identity_pipeline.stages.curation.snapshot import CurationError
from identity_pipeline.stages.curation.targets import find_event


def subjects_of(form: Form) -> tuple[str, ...]:
    """The tracks and faces of a form: those that are selected, else all of the `whole` shown.

    A field may hold several, with spaces between them.

    Raises:
        CurationError: there is none, or one is no subject.
    """
    given = form.all("subject") or form.all("whole")
    found = tuple(dict.fromkeys(word for field in given for word in field.split()))
    if not found:
        raise CurationError("nothing is selected; select what you mean first.")
    for subject in found:
        ids.parse(subject)
    return found


def person_of(curator: Curator, form: Form, field: str = "person") -> str:
    """The person in force whom a field names by id.

    Raises:
        CurationError: nobody has that id.
    """
    given = form.one(field)
    if given not in curator.library.state.people:
        raise CurationError("that person is no more; reload the page.")
    return curator.library.state.survivor(given)


def _name(curator: Curator, form: Form) -> Iterator[Planned]:
    """Gives tracks to whoever bears the name, or to a new person of that name."""
    tracks, name = subjects_of(form), clean_name(form.one("name"))
    bearers = curator.library.state.named(name)
    if form.get("to"):
        bearers = (person_of(curator, form, "to"),)
    if len(bearers) > 1:
        raise CurationError(f"{len(bearers)} people are called {name}; choose one from the list.")
    if bearers and not form.get("same_name"):
        yield from given_to(curator, bearers[0], tracks)
    else:
        yield curator.name(name, tracks, same_name=bool(bearers))


def _confirm(curator: Curator, form: Form) -> Iterator[Planned]:
    yield from given_to(curator, person_of(curator, form), subjects_of(form))


def given_to(curator: Curator, person_id: str, tracks: Iterable[str]) -> Iterator[Planned]:
    """Gives tracks to a person, whoever has them now; each former owner is one decision.

    What the machine suggested as this person counts as an accepted suggestion.
    """
    state, pending = curator.library.state, _suggested(curator, person_id)
    owners: dict[str | None, list[str]] = {}
    for track in tracks:
        owners.setdefault(state.assigned.get(track), []).append(track)
    owners.pop(person_id, None)
    if not owners:
        raise CurationError(f"they are {state.display(person_id)} already.")
    for owner, own in sorted(owners.items(), key=lambda item: item[0] or ""):
        if owner is not None:
            yield curator.move(owner, person_id, own)
            continue
        accepted = set(own) <= pending
        yield curator.confirm(person_id, own, "suggestion_accepted" if accepted else "human")


def _suggested(curator: Curator, person_id: str) -> set[str]:
    """Tracks of which the generation in force asks whether they are a person."""
    rows = curator.library.table("suggestions").filter(state="pending")
    pairs = rows.select("track_key", "person_id").iter_rows()
    return {track for track, who in pairs if curator.library.survivor(who) == person_id}


def _decline(curator: Curator, form: Form) -> Iterator[Planned]:
    """Not this person, as far as one can tell: they come back when a score has risen above all.

    Raises:
        CurationError: nothing was measured of one of them, so nothing could rise.
    """
    tracks = subjects_of(form)
    rows = [curator.library.assignments.get(track) for track in tracks]
    scores = [row["score"] for row in rows if row and row["score"] is not None]
    if len(scores) < len(tracks):
        raise CurationError("nothing was measured of them; say that they are never this person.")
    yield curator.turn_down(person_of(curator, form), tracks, max(scores))


def _reject(curator: Curator, form: Form) -> Iterator[Planned]:
    """Never this person."""
    yield curator.reject(person_of(curator, form), subjects_of(form))


def _not_a_face(curator: Curator, form: Form) -> Iterator[Planned]:
    yield curator.not_a_face(subjects_of(form))


def _ignore(curator: Curator, form: Form) -> Iterator[Planned]:
    yield curator.ignore(subjects_of(form))


def _undo(curator: Curator, form: Form) -> Iterator[Planned]:
    """Takes the decisions of one act back, the last first."""
    form.one("event")
    for event in form.all("event"):
        yield curator.undo(find_event(curator.library, event))


SHARED: Mapping[str, Act] = {
    "name": _name,
    "confirm": _confirm,
    "decline": _decline,
    "reject": _reject,
    "not-a-face": _not_a_face,
    "ignore": _ignore,
    "undo": _undo,
}
