"""The room People: everybody, one person, and what is changed about people as a whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, Final, cast
from urllib.parse import urlencode

import polars as pl
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from identity_pipeline.core.review.words import likeness_in_words
from identity_pipeline.desk.access import curator_of
from identity_pipeline.desk.acts import given_to, person_of, subjects_of
from identity_pipeline.desk.deciding import Act, AskFirstError, Form
from identity_pipeline.desk.pages import desk_of, library_of, page, seen_by
from identity_pipeline.desk.state import now
from identity_pipeline.errors import IdentityPipelineError
from identity_pipeline.ledger import subjects as ids
from identity_pipeline.ledger.commands import Planned
from identity_pipeline.ledger.errors import NameTakenError
from identity_pipeline.stages.curation.consents import Consents, person_words, short_words, today
from identity_pipeline.stages.curation.curation import Curator
from identity_pipeline.stages.curation.snapshot import CurationError, LibrarySnapshot
from identity_pipeline.stages.desk import people as listed
from identity_pipeline.stages.desk.decided import decisions_about, negatives_of
from identity_pipeline.stages.desk.people import GIVING
from identity_pipeline.stages.desk.questions import bars_of
from identity_pipeline.stages.desk.regrouping import merge_preview, more_like, split_preview

PARTS: Final = 4
"""Parts into which tracks can be sorted on the page of a split; chosen: one key each."""


def _everybody(request: Request) -> listed.Everybody:
    """Who is known, computed once for each library."""
    library, held = library_of(request), request.app.state
    seen: listed.Everybody | None = getattr(held, "everybody", None)
    if seen is None or seen.library is not library:
        seen = held.everybody = listed.Everybody(library)
    return seen


def _number(request: Request, field: str) -> int:
    """A number of the query, from 1; 1 where there is none."""
    given = request.query_params.get(field, "")
    return max(1, int(given)) if given.isascii() and given.isdigit() and len(given) < 9 else 1


def _list(request: Request) -> Response:
    query = request.query_params
    q, hidden = query.get("q", "").strip(), query.get("hidden") == "1"
    given = query.get("order")
    order = cast("listed.Order", given if given in listed.ORDERS else "name")
    everybody = _everybody(request)
    shown = listed.shown_people(
        everybody.people, q, order, hidden=hidden, page=_number(request, "page")
    )
    exported = listed.exported_of(everybody, (str(row["person_id"]) for row in shown.rows))

    asked = Consents(everybody.library.state, desk_of(request).settings.consent, today())

    def with_page(number: int) -> str:
        told = {"q": q, "order": order, "hidden": "1" if hidden else "", "page": str(number)}
        return "/people?" + urlencode({name: value for name, value in told.items() if value})

    return page(
        request,
        "people.html.j2",
        consent_of=partial(short_words, asked),
        room="people",
        shown=shown,
        exported=exported,
        q=q,
        order=order,
        only_hidden=hidden,
        with_page=with_page,
    )


def _suggest(request: Request) -> Response:
    """Whom a part of a name may mean: `[{"id", "name", "cover", "rides", "tracks"}]`.

    `cover` is the address of a picture; `but` in the query leaves one person out.
    """
    query, at = request.query_params, seen_by(request).head.partition(":")[0]
    rows = listed.suggested_people(
        _everybody(request).people, query.get("q", ""), query.get("but", "")
    )
    return JSONResponse(
        [
            {
                "id": row["person_id"],
                "name": row["called"],
                "cover": f"/img/person/{row['person_id']}.jpg?px=96&at={at}",
                "rides": row["rides"],
                "tracks": row["tracks"],
            }
            for row in rows
        ]
    )


def _found(
    show: Callable[[Request, LibrarySnapshot, str], Response],
) -> Callable[[Request], Response]:
    """The function of a route about one person in force; who was merged leads to who stayed."""

    def answer(request: Request) -> Response:
        given, library = request.path_params["person_id"], library_of(request)
        try:
            person_id = listed.find_person(library, given)
            if person_id != given:
                rest = request.url.path.removeprefix(f"/people/{given}")
                return RedirectResponse(f"/people/{person_id}{rest}", 303)
            return show(request, library, person_id)
        except IdentityPipelineError as error:
            return page(request, "person_absent.html.j2", status=404, room="people", why=str(error))

    return answer


def _page(request: Request, template: str, person_id: str, **told: Any) -> Response:
    """A page about one person, with what the pieces of all of them need."""
    desk = desk_of(request)
    library = library_of(request)
    bars = bars_of(library, desk.settings)
    shared = {
        "room": "people",
        "person_id": person_id,
        "called": library.state.display(person_id),
        "here_path": f"/people/{person_id}",
        "alike": lambda score: likeness_in_words(score, bars),
        "who_is": library.called,
        "clock": _clock,
        "bars": bars,
        "consent": person_words(library.state, desk.settings, person_id),
    }
    return page(request, template, **{**shared, **told})


def _clock(ms: float | None) -> str:
    """A moment of a ride; empty where it is not known."""
    if ms is None:
        return ""
    minutes, seconds = divmod(int(ms // 1000), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"


def _person(request: Request, library: LibrarySnapshot, person_id: str) -> Response:
    older, everybody = _number(request, "older"), _everybody(request)
    negatives, negative_count = negatives_of(library, person_id)
    return _page(
        request,
        "person.html.j2",
        person_id,
        person=listed.one_person(everybody, person_id, _number(request, "page")),
        row=everybody.people.row(by_predicate=pl.col("person_id") == person_id, named=True),
        exported=listed.exported_of(everybody, [person_id])[person_id],
        negatives=negatives,
        negative_count=negative_count,
        decisions=decisions_about(library, person_id, older),
        older=older,
        profile=listed.profile_figures(library, person_id),
        datasets=listed.datasets_of(library, person_id),
    )


def _rename(request: Request, library: LibrarySnapshot, person_id: str) -> Response:
    """Asks what a taken name means."""
    name = request.query_params.get("name", "")
    bearers = [who for who in library.state.named(name) if who != person_id]
    rows = _everybody(request).people.filter(pl.col("person_id").is_in(bearers)).to_dicts()
    return _page(request, "person_rename.html.j2", person_id, name=name, rows=rows)


def _merge(request: Request, library: LibrarySnapshot, person_id: str) -> Response:
    """What a merge would do; whom with is asked first."""
    query, desk = request.query_params, desk_of(request)
    into = query.get("into") or _typed(library, query.get("who", ""))
    if into is None:
        return _page(request, "person_merge_with.html.j2", person_id)
    into = listed.find_person(library, into)
    if into == person_id:
        raise CurationError("That is the same person already.")
    trying = Curator(library, curator_of(request) or "nobody", now(), dry_run=True)
    bars = bars_of(library, desk.settings)
    told = merge_preview(library, person_id, into, bars, trying)
    return _page(request, "person_merge.html.j2", person_id, into=into, told=told, tiles=told.pairs)


def _typed(library: LibrarySnapshot, word: str) -> str | None:
    """Whom a typed name means; null where nothing was typed."""
    return Curator(library, "nobody", now(), dry_run=True).person(word) if word.strip() else None


def _split(request: Request, library: LibrarySnapshot, person_id: str) -> Response:
    told = split_preview(library, person_id, _number(request, "way"))
    return _page(request, "person_split.html.j2", person_id, told=told, way=told.way, most=PARTS)


def _more(request: Request, library: LibrarySnapshot, person_id: str) -> Response:
    found = more_like(library, person_id, desk_of(request).settings)
    return _page(request, "person_more.html.j2", person_id, found=found)


ROUTES = (
    Route("/people", _list),
    Route("/people/suggest", _suggest),
    Route("/people/{person_id}", _found(_person)),
    Route("/people/{person_id}/rename", _found(_rename)),
    Route("/people/{person_id}/merge", _found(_merge)),
    Route("/people/{person_id}/split", _found(_split)),
    Route("/people/{person_id}/more", _found(_more)),
)


def _renamed(curator: Curator, form: Form) -> Iterator[Planned]:
    person, name = person_of(curator, form), form.one("name")
    try:
        yield curator.rename(person, name, same_name=form.get("same_name") is not None)
    except NameTakenError as error:
        query = urlencode({"name": name})
        raise AskFirstError(f"/people/{person}/rename?{query}") from error


def _hide(curator: Curator, form: Form) -> Iterator[Planned]:
    yield curator.hide(person_of(curator, form), hidden=True)


def _unhide(curator: Curator, form: Form) -> Iterator[Planned]:
    yield curator.hide(person_of(curator, form), hidden=False)


def _cover(curator: Curator, form: Form) -> Iterator[Planned]:
    """The picture of a person: `cover` is a track, and a face of it after a blank."""
    subject, _, face = form.one("cover").partition(" ")
    ids.parse(subject)
    yield curator.show_by(person_of(curator, form), subject, face or None)


def _merged(curator: Curator, form: Form) -> Iterator[Planned]:
    yield curator.merge(person_of(curator, form), person_of(curator, form, "into"))


def _moved(curator: Curator, form: Form) -> Iterator[Planned]:
    """Gives tracks to somebody: the one who was chosen, or whom the typed name means."""
    tracks = subjects_of(form)
    to = person_of(curator, form, "to") if form.get("to") else curator.person(form.one("who"))
    yield from given_to(curator, to, tracks)


def _taken_back(curator: Curator, form: Form) -> Iterator[Planned]:
    """Undoes the decisions by which tracks are somebody's.

    Raises:
        CurationError: nobody decided it, or it was decided together with tracks that are not
            among them.
    """
    chosen = set(subjects_of(form))
    events = {_giving(curator.library, subject) for subject in sorted(chosen)}
    for seq in sorted(events, reverse=True):
        event = curator.library.history.events[seq - 1]
        others = set(event.named_subjects) - chosen
        if others:
            raise CurationError(
                f"#{seq} gave {len(event.named_subjects)} tracks at once, and {len(others)} of "
                "them are not selected; select these as well, or say that the selected ones are "
                "not this person."
            )
    for seq in sorted(events, reverse=True):
        yield curator.undo(curator.library.history.events[seq - 1])


def _giving(library: LibrarySnapshot, subject: str) -> int:
    """Number of the decision by which a track is somebody's."""
    history = library.history
    for seq in reversed(history.position.named.get(subject, ())):
        event = history.events[seq - 1]
        if event.kind in GIVING and event.id not in history.undone:
            return seq
    raise CurationError(
        f"nobody decided whose {subject} is: the machine did; say that it is not this person."
    )


def _split_off(curator: Curator, form: Form) -> Iterator[Planned]:
    """Makes new people of parts of a person: `part` is a number and a track, `name_N` its name.

    Part 1 stays.
    """
    person = person_of(curator, form)
    parts: dict[int, list[str]] = {}
    for field in form.all("part"):
        number, _, subject = field.partition(" ")
        ids.parse(subject)
        if number not in tuple(map(str, range(1, PARTS + 1))):
            raise CurationError(f"there is no part {number!r}; reload the page.")
        parts.setdefault(int(number), []).append(subject)
    leaving = [(form.get(f"name_{n}"), tracks) for n, tracks in sorted(parts.items()) if n > 1]
    if not leaving:
        raise CurationError("all tracks stay; move some to another part first.")
    same = form.get("same_name") is not None
    for name, tracks in leaving:
        yield curator.split(person, tracks, name, same)


ACTS: Mapping[str, Act] = {
    "rename": _renamed,
    "hide": _hide,
    "unhide": _unhide,
    "cover": _cover,
    "merge": _merged,
    "move": _moved,
    "take-back": _taken_back,
    "split": _split_off,
}
