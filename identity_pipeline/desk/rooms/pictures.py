"""The room Pictures: sets of rides and people as they are exported, and decisions on them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, Final, cast, get_args

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from identity_pipeline.core.faces.buckets import AXES
from identity_pipeline.core.ride.labels import PhaseLabel
from identity_pipeline.core.video.clock import seconds_of
from identity_pipeline.desk.access import curator_of
from identity_pipeline.desk.acts import subjects_of
from identity_pipeline.desk.deciding import Act, Form, read_form
from identity_pipeline.desk.pages import desk_of, library_of, page
from identity_pipeline.desk.rooms.images import pictures_of
from identity_pipeline.errors import IdentityPipelineError
from identity_pipeline.ledger import events as ev
from identity_pipeline.ledger.commands import Planned
from identity_pipeline.stages.curation.curation import Curator
from identity_pipeline.stages.curation.recall import recall_sentence
from identity_pipeline.stages.curation.snapshot import CurationError
from identity_pipeline.stages.desk import pictures as shown
from identity_pipeline.stages.desk.comparing import compared
from identity_pipeline.stages.desk.faces import Face
from identity_pipeline.stages.desk.ride_camera import ride_camera
from identity_pipeline.stages.desk.ride_phases import ride_phases
from identity_pipeline.stages.library.phase_labelling import label_part
from identity_pipeline.storage.cameras.phase_labels import PhaseLabelError
from identity_pipeline.storage.video.set_versions import Noted, count, versions

AHEAD: Final = 24
"""So many pictures of a page are drawn before they are asked for."""


def _number(request: Request, field: str, least: int = 1) -> int:
    """A number of the query; the least where there is none."""
    given = request.query_params.get(field, "")
    return (
        max(least, int(given)) if given.isascii() and given.isdigit() and len(given) < 9 else least
    )


def _found(answer: Callable[[Request], Response]) -> Callable[[Request], Response]:
    """A page of something that may not be there: then it says so."""

    def answered(request: Request) -> Response:
        try:
            return answer(request)
        except IdentityPipelineError as error:
            return page(
                request,
                "refused.html.j2",
                status=404,
                why=str(error),
                back="/rides",
                room="pictures",
            )

    return answered


def _list(request: Request) -> Response:
    words, number = request.query_params.get("q", "").strip(), _number(request, "page")
    rows, total = shown.rides(library_of(request), words, number)
    return page(
        request,
        "rides.html.j2",
        room="pictures",
        rows=rows,
        total=total,
        q=words,
        number=number,
        each=shown.PAGE,
        titles=shown.TITLES,
    )


def _ride(request: Request) -> Response:
    desk, video_id = desk_of(request), request.path_params["video_id"]
    library = library_of(request)
    if not shown.has_sets(library, video_id):
        return page(request, "setless.html.j2", room="pictures", video_id=video_id)
    ride = shown.ride(library, video_id)
    first = (p for rider in ride.riders for one in rider.sets for p in one.pictures)
    pictures_of(request).prefetch(
        [Face(p.video_id, p.face_id) for p, _ in zip(first, range(AHEAD), strict=False)]
    )
    return page(
        request,
        "ride.html.j2",
        room="pictures",
        ride=ride,
        camera=ride_camera(desk.stores.tables, desk.settings, ride),
        phases=ride_phases(desk.stores.tables, desk.settings, video_id),
        recall=recall_sentence(desk.stores, desk.settings, video_id),
        undo=shown.last_events_on(library, ride.rejected),
        versions=count(desk.stores.layout, video_id),
        **_deciding(request),
    )


def _make(request: Request) -> Response:
    """Has the sets of a ride made anew: where that was stopped, nothing else would."""
    video_id = request.path_params["video_id"]
    shown.has_sets(library_of(request), video_id)
    desk_of(request).remake([video_id])
    return RedirectResponse(f"/rides/{video_id}", 303)


async def _label(request: Request) -> Response:
    """Notes what a curator says of a part of the ride."""
    form = await read_form(request)
    if curator_of(request) is None:
        return RedirectResponse("/who", 303)
    return await run_in_threadpool(_labelled, request, form)


def _labelled(request: Request, form: Form) -> Response:
    desk, video_id = desk_of(request), request.path_params["video_id"]
    back = f"/rides/{video_id}"
    try:
        shown.has_sets(library_of(request), video_id)  # raises where there is no such ride
        start, end = (_seconds(form.one(name)) for name in ("start", "end"))
        title = (form.get("title") or "").strip() or None
        said = PhaseLabel(video_id, start, end, form.one("phase"), title)
        told = label_part(desk.stores.tables, desk.settings, said)
    except IdentityPipelineError as error:
        return page(request, "refused.html.j2", status=422, why=str(error), done=(), back=back)
    return page(request, "labelled.html.j2", room="pictures", told=told, back=back)


def _seconds(word: str) -> float:
    """A time as people write it: with a point or a comma, in seconds or as pages show it."""
    try:
        return seconds_of(word.replace(",", "."))
    except ValueError as error:
        raise PhaseLabelError(f"{error}.") from None


def _deciding(request: Request) -> dict[str, Any]:
    """What every page needs on which pictures are decided about."""
    return {"faults": shown.FAULTS, "axes": shown.bin_words(desk_of(request).settings)}


def _anchors(request: Request) -> Response:
    """Faces of a rider that may be the better anchor."""
    desk, video_id = desk_of(request), request.path_params["video_id"]
    seat = _number(request, "seat", 0)
    offered = shown.anchors_offered(library_of(request), video_id, seat, desk.settings)
    told: dict[str, Any] = {"video_id": video_id, "seat": seat, "offered": offered}
    return page(request, "anchors.html.j2", room="pictures", **told, **_deciding(request))


def _compare(request: Request) -> Response:
    desk, video_id = desk_of(request), request.path_params["video_id"]
    there = versions(desk.stores.layout, video_id)
    if len(there) < 2:
        raise CurationError("there is one version of these sets only; nothing to compare yet.")
    new = _version(there, _number(request, "new", 0)) or there[-1]
    old = _version(there, _number(request, "old", 0)) or there[-2]
    changes = compared(desk.stores.tables, video_id, old, new)
    told = {"video_id": video_id, "there": there, "old": old, "new": new, "changes": changes}
    return page(request, "compare.html.j2", room="pictures", titles=shown.TITLES, **told)


def _version(there: list[Noted], number: int) -> Noted | None:
    return next((one for one in there if one.number == number), None)


def _person(request: Request) -> Response:
    desk, person_id = desk_of(request), request.path_params["person_id"]
    library = library_of(request)
    if person_id not in library.state.people:
        raise CurationError("there is no such person; the list of people has all.")
    survivor = library.state.survivor(person_id)
    pictures, skipped = shown.person_pictures(library, survivor, desk.settings)
    told: dict[str, Any] = {"person_id": survivor, "name": library.called(survivor)}
    told |= _deciding(request)
    return page(
        request,
        "person_pictures.html.j2",
        room="pictures",
        pictures=pictures,
        skipped=skipped,
        **told,
    )


def _decided(request: Request) -> Response:
    """What curators said of pictures, and what that teaches."""
    library, number = library_of(request), _number(request, "page")
    taught = shown.taught(library, number)
    undo = shown.last_events_on(library, taught.pictures)
    told = {"taught": taught, "undo": undo, "number": number, "each": shown.PAGE}
    return page(request, "decided.html.j2", room="pictures", faults=shown.FAULTS, **told)


def _accept(curator: Curator, form: Form) -> Iterator[Planned]:
    yield curator.accept_pictures(subjects_of(form))


def _reject(curator: Curator, form: Form) -> Iterator[Planned]:
    fault = form.get("fault") or "other"
    if fault not in get_args(ev.Fault):
        raise CurationError(f"{fault!r} is no fault of a picture; reload the page.")
    yield curator.reject_pictures(subjects_of(form), cast("ev.Fault", fault))


def _anchor(curator: Curator, form: Form) -> Iterator[Planned]:
    first, *others = subjects_of(form)
    if others:
        raise CurationError("one picture is the first anchor; select one.")
    yield curator.anchor_picture(first)


def _bins(curator: Curator, form: Form) -> Iterator[Planned]:
    said = {axis: form.get(axis) for axis in AXES}
    bins = {axis: word for axis, word in said.items() if word}
    if not bins:
        raise CurationError("nothing is chosen; say at least one right bin.")
    yield curator.bin_pictures(subjects_of(form), cast("Mapping[ev.Axis, str]", bins))


def _order(curator: Curator, form: Form) -> Iterator[Planned]:
    scope = "person" if form.get("scope") == "person" else "ride"
    yield curator.order_pictures(subjects_of(form), scope)


ROUTES: Final[Collection[Route]] = (
    Route("/rides", _list),
    Route("/rides/{video_id}", _found(_ride)),
    Route("/rides/{video_id}/make", _found(_make), methods=["POST"]),
    Route("/rides/{video_id}/phases", _label, methods=["POST"]),
    Route("/rides/{video_id}/anchors", _found(_anchors)),
    Route("/rides/{video_id}/compare", _found(_compare)),
    Route("/people/{person_id}/pictures", _found(_person)),
    Route("/pictures/decided", _decided),
)
ACTS: Mapping[str, Act] = {
    "picture-accept": _accept,
    "picture-reject": _reject,
    "picture-anchor": _anchor,
    "picture-bins": _bins,
    "picture-order": _order,
}
