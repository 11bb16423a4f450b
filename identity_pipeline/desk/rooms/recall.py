"""The audit of a ride: one moment at a time, and what the answers say of the whole."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from identity_pipeline.desk.access import curator_of
from identity_pipeline.desk.deciding import Form, read_form
from identity_pipeline.desk.pages import desk_of, library_of, page
from identity_pipeline.desk.state import now
from identity_pipeline.errors import IdentityPipelineError
from identity_pipeline.stages.curation.recall import Auditor, audit_of
from identity_pipeline.stages.curation.snapshot import CurationError
from identity_pipeline.stages.desk.audited import Question, questions
from identity_pipeline.stages.desk.pictures import RiderShown, has_sets, ride

AHEAD: Final = 3
"""So many moments are drawn before they are asked for."""
BESIDE: Final = 24
"""So many exported pictures of the rider are shown beside the moment, at most."""
TAKE_BACK: Final = "undo"
SAID: Final = {
    "missed": "missed",
    "shown": "usable and shown",
    "unusable": "not usable",
    "unclear": "cannot tell",
}
"""What each answer is called when it was given."""
PAIR: Final = "pair"


def _recall(request: Request) -> Response:
    video_id = request.path_params["video_id"]
    try:
        return page(request, "recall.html.j2", room="pictures", **_told(request, video_id))
    except IdentityPipelineError as error:
        back = f"/rides/{video_id}"
        return page(request, "refused.html.j2", status=404, why=str(error), done=(), back=back)


def _told(request: Request, video_id: str) -> dict[str, Any]:
    desk, library = desk_of(request), library_of(request)
    if not has_sets(library, video_id):
        raise CurationError(f"{video_id} has no sets yet; recall is told of what is exported.")
    audit = audit_of(desk.stores, desk.settings, video_id)
    coming = questions(audit, desk.settings.recall.moment_s, 1 + AHEAD)
    riders = {rider.seat: rider for rider in ride(library, video_id).riders}
    frames = request.app.state.pictures.audited
    return {
        "audit": audit,
        "names": {seat: rider.name for seat, rider in riders.items()},
        "question": coming[0] if coming else None,
        "beside": _beside(riders, coming[0], alone=bool(audit.refused)) if coming else (),
        "frames": [
            f"/img/audit/{video_id}/{q.name}.jpg?v={frames.version(video_id)}" for q in coming
        ],
        "done": audit.asked.height - audit.open.height,
        "last": _last(request, video_id),
    }


def _last(request: Request, video_id: str) -> str | None:
    """What the curator answered last, which may be taken back; None where that is nothing."""
    desk, actor = desk_of(request), curator_of(request)
    said = Auditor(desk.stores, desk.settings, actor, now()).last(video_id) if actor else None
    if said is None:
        return None
    return f"{SAID[said.answer or '']}, at {said.moment * said.moment_s:.1f} s"


def _beside(riders: dict[int, RiderShown], question: Question, *, alone: bool) -> list[str]:
    """Files of what is exported of the rider.

    Args:
        riders: by seat.
        question: of whom.
        alone: without pairs, for another rider may not be shown.
    """
    rider = riders.get(question.person_id)
    sets = [one for one in rider.sets if not (alone and one.kind == PAIR)] if rider else []
    pictures = [p.file for one in sets for p in one.pictures]
    return [file for file in dict.fromkeys(pictures) if file is not None][:BESIDE]


async def _answer(request: Request) -> Response:
    form, actor = await read_form(request), curator_of(request)
    if actor is None:
        return RedirectResponse("/who", 303)
    return await run_in_threadpool(_noted, request, actor, form)


def _noted(request: Request, actor: str, form: Form) -> Response:
    desk, video_id = desk_of(request), request.path_params["video_id"]
    here = f"/rides/{video_id}/recall"
    auditor = Auditor(desk.stores, desk.settings, actor, now())
    try:
        has_sets(library_of(request), video_id)
        answer = form.one("answer")
        if answer == TAKE_BACK:
            auditor.take_back(video_id)
        else:
            rider, moment = _number(form.one("person")), _number(form.one("moment"))
            auditor.answer(video_id, rider, moment, answer)
    except IdentityPipelineError as error:
        return page(request, "refused.html.j2", status=422, why=str(error), done=(), back=here)
    return RedirectResponse(here, 303)


def _number(word: str) -> int:
    if not (word.isascii() and word.isdigit() and len(word) < 10):
        raise CurationError("the page was not made by this desk; reload it.")
    return int(word)


ROUTES: Final[Collection[Route]] = (
    Route("/rides/{video_id}/recall", _recall, methods=["GET"]),
    Route("/rides/{video_id}/recall", _answer, methods=["POST"]),
)
