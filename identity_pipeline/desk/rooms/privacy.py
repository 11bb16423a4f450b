"""The room of privacy: who consented to what, forgetting somebody, and the receipts of it.

An answer is a decision like any other, with its Undo. A forgetting is none: it cannot be undone, so
what goes is shown first, a name is typed, and a command does it in a process of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, cast, get_args

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, RedirectResponse, Response
from starlette.routing import Route

from identity_pipeline.desk.access import curator_of
from identity_pipeline.desk.acts import person_of
from identity_pipeline.desk.deciding import Act, Form, read_form
from identity_pipeline.desk.pages import desk_of, library_of, page
from identity_pipeline.errors import IdentityPipelineError
from identity_pipeline.ledger.commands import Planned
from identity_pipeline.ledger.events import CONSENT_SCOPES, Answer, ConsentScope
from identity_pipeline.ledger.state import Target
from identity_pipeline.media.data_map_page import render_data_map_page
from identity_pipeline.stages.curation.consent_files import Answered, checked
from identity_pipeline.stages.curation.consent_lists import consent_rows
from identity_pipeline.stages.curation.consents import person_words, seats_of, today
from identity_pipeline.stages.curation.curation import Curator
from identity_pipeline.stages.curation.snapshot import CurationError
from identity_pipeline.stages.desk.people import find_person
from identity_pipeline.stages.privacy.data_map import data_map
from identity_pipeline.stages.privacy.footprint import Footprint, footprint_of
from identity_pipeline.stages.privacy.receipts import receipt_of, receipts
from identity_pipeline.stages.privacy.whom import find_whom, remarks
from identity_pipeline.storage.layout import check_video_id

SCOPES: Final[Mapping[ConsentScope, str]] = {
    "profile": "be known again over rides",
    "export": "sets of pictures",
    "training": "learning from them",
}
ANSWERS: Final[Mapping[Answer, str]] = {
    "granted": "consents",
    "refused": "does not consent",
    "withdrawn": "consents no more",
    "unknown": "is not known",
}


def _consent(request: Request, target: Target, room: str, called: str, up: str) -> Response:
    """Everything that was answered of somebody, and a form for the next answer."""
    library, settings = library_of(request), desk_of(request).settings
    word = target.id
    of_person = target.kind == "person"
    rows = [
        row for row in consent_rows(library, settings) if (row["kind"], row["id"]) == target[:2]
    ]
    return page(
        request,
        "consent.html.j2",
        room=room,
        target=target,
        called=called,
        up=up,
        rows=rows,
        scopes=SCOPES,
        answers=ANSWERS,
        seats=[] if of_person else sorted({*seats_of(library.stores.tables, word).values()}),
        words=person_words(library.state, settings, word) if of_person else "",
    )


def _consent_of_person(request: Request) -> Response:
    library = library_of(request)
    try:
        person_id = find_person(library, request.path_params["person_id"])
    except IdentityPipelineError as error:
        return page(request, "person_absent.html.j2", status=404, room="people", why=str(error))
    called = library.state.display(person_id)
    return _consent(request, Target("person", person_id), "people", called, f"/people/{person_id}")


def _consent_of_ride(request: Request) -> Response:
    video_id = _ride(request)
    target = Target("video", video_id)
    return _consent(request, target, "pictures", video_id, f"/rides/{video_id}")


def _ride(request: Request) -> str:
    """The ride or set of photographs of an address.

    Raises:
        CurationError: there is none of that id.
    """
    video_id, library = check_video_id(request.path_params["video_id"]), library_of(request)
    stores = library.stores
    if video_id not in stores.videos.ids() and stores.photos.get(video_id) is None:
        raise CurationError(f"there is no ride {video_id}.")
    return video_id


def _target(curator: Curator, form: Form) -> Target:
    """Whom an answer is about."""
    if form.get("person"):
        return Target("person", person_of(curator, form))
    seat = form.get("seat") or ""
    if seat and not (seat.isascii() and seat.isdigit() and len(seat) < 4):
        raise CurationError("the form was not made by this desk; reload the page.")
    return Target("video", check_video_id(form.one("video")), int(seat) if seat else None)


def _answer(curator: Curator, form: Form) -> Iterator[Planned]:
    """Notes what somebody answered."""
    answer, scopes = form.one("answer"), form.all("scope")
    if answer not in get_args(Answer) or not set(scopes) <= set(CONSENT_SCOPES):
        raise CurationError("the form was not made by this desk; reload the page.")
    if not scopes:
        raise CurationError("say for what: choose one at least.")
    given = Answered(
        _target(curator, form),
        cast("Answer", answer),
        tuple(scope for scope in CONSENT_SCOPES if scope in scopes),
        until=form.get("until"),
        minor={"yes": True, "no": False}.get(form.get("minor") or ""),
        evidence=form.get("evidence") or "",
        by=form.get("by") or "",
    )
    yield curator.consent(checked(given, today()))


def _asked(request: Request) -> tuple[str, str, str]:
    """Whom an address means to forget: the word of the command, what to type, and the way back."""
    if "person_id" in request.path_params:
        library = library_of(request)
        person_id = find_person(library, request.path_params["person_id"])
        name = library.state.people[person_id].name or person_id[:8]
        return person_id, name, f"/people/{person_id}"
    video_id = _ride(request)
    return video_id, video_id, f"/rides/{video_id}"


def _preview(request: Request, wrong: str = "") -> Response:
    """What a forgetting would take."""
    word, typed, up = _asked(request)
    library = library_of(request)
    found = footprint_of(library, find_whom(library, word))
    return page(
        request,
        "forget.html.j2",
        status=422 if wrong else 200,
        room="people" if up.startswith("/people") else "pictures",
        typed=typed,
        up=up,
        wrong=wrong,
        found=found,
        goes=_goes(found),
        remarks=remarks(library, found),
    )


async def _forget(request: Request) -> Response:
    """Begins a forgetting, once the name is typed."""
    form, actor = await read_form(request), curator_of(request)
    if actor is None:
        return RedirectResponse("/who", 303)
    return await run_in_threadpool(_begin, request, form, actor)


def _begin(request: Request, form: Form, actor: str) -> Response:
    word, typed, _ = _asked(request)
    if (form.get("typed") or "").strip() != typed:
        return _preview(request, f"That is not {typed}: nothing was done.")
    desk_of(request).behind.forget(word, actor)
    return RedirectResponse("/receipts", 303)


def _goes(found: Footprint) -> Sequence[tuple[str, int, Sequence[str]]]:
    """What goes: in words, how many, and which."""
    faces = sum(map(len, found.faces.values()))
    told: list[tuple[str, int, Sequence[str]]] = [
        ("rides and photo sets as a whole", len(found.whole), found.whole),
        ("rides of which only their faces go", len(found.shared), found.shared),
        ("tracks", len(found.tracks), ()),
        ("faces", faces, ()),
        ("files of rides and photographs", len(found.inbox), found.inbox),
        ("exported sets", len(found.exports), found.exports),
        ("datasets", len(found.datasets), found.datasets),
        ("copies in object stores", len(found.published), [name for _, name in found.published]),
        ("heads that learned from them", len(found.heads), found.heads),
    ]
    return [row for row in told if row[1]]


def _receipts(request: Request) -> Response:
    """Every receipt, and what is under way."""
    layout = desk_of(request).stores.layout
    return page(
        request,
        "receipts.html.j2",
        room="privacy",
        receipts=list(receipts(layout)),
    )


async def _resume(request: Request) -> Response:
    """Goes on with a forgetting that was stopped."""
    if (actor := curator_of(request)) is None:
        return RedirectResponse("/who", 303)
    desk_of(request).behind.forget(None, actor)
    return RedirectResponse("/receipts", 303)


def _data_map(request: Request) -> Response:
    """What is kept of whom, as a file: like a receipt it is made to be given away."""
    desk = desk_of(request)
    told = data_map(desk.stores.layout.root, desk.settings).as_json()
    headers = {"content-disposition": 'attachment; filename="data-map.html"'}
    return Response(render_data_map_page(told), media_type="text/html", headers=headers)


def _receipt(request: Request) -> Response:
    """A receipt as a file: it has a look of its own and is made to be given away."""
    receipt_id, form = request.path_params["receipt_id"], request.path_params["form"]
    found = receipt_of(desk_of(request).stores.layout, check_video_id(receipt_id))
    if found is None or form not in ("json", "html"):
        raise CurationError("there is no such receipt.")
    path = found.path.with_suffix(f".{form}")
    return FileResponse(path, filename=f"receipt-{receipt_id[:8]}.{form}")


ROUTES: Final = (
    Route("/people/{person_id}/consent", _consent_of_person),
    Route("/rides/{video_id}/consent", _consent_of_ride),
    Route("/people/{person_id}/forget", _preview, methods=["GET"]),
    Route("/people/{person_id}/forget", _forget, methods=["POST"]),
    Route("/rides/{video_id}/forget", _preview, methods=["GET"]),
    Route("/rides/{video_id}/forget", _forget, methods=["POST"]),
    Route("/receipts", _receipts),
    Route("/receipts/resume", _resume, methods=["POST"]),
    Route("/data-map.html", _data_map),
    Route("/receipts/{receipt_id}.{form}", _receipt),
)
ACTS: Final[Mapping[str, Act]] = {"consent": _answer}
