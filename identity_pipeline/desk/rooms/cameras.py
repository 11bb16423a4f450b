"""The room of cameras: what the videos of each have taught, and when it changed."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Final

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from identity_pipeline.desk.access import curator_of
from identity_pipeline.desk.deciding import read_form
from identity_pipeline.desk.pages import desk_of, page
from identity_pipeline.errors import IdentityPipelineError
from identity_pipeline.stages.desk.cameras import camera_page, figure
from identity_pipeline.stages.library.camera_account import (
    CameraAccount,
    NoCameraError,
    account_in,
    accounts,
)
from identity_pipeline.stages.library.camera_renewal import renewals
from identity_pipeline.storage.files.small_files import DamagedFileError

ROOM: Final = "cameras"


def _account(request: Request) -> CameraAccount:
    desk = desk_of(request)
    folder = request.path_params["folder"]
    return account_in(desk.stores.layout, desk.settings.camera, folder)


def _list(request: Request) -> Response:
    """All cameras."""
    desk = desk_of(request)
    known, damaged = accounts(desk.stores.layout, desk.settings.camera)
    return page(request, "cameras.html.j2", room=ROOM, cameras=known, damaged=damaged)


def _camera(request: Request) -> Response:
    """What is known of one."""
    try:
        account = _account(request)
    except IdentityPipelineError as error:
        status = 404 if isinstance(error, NoCameraError) else 422
        return page(request, "camera_absent.html.j2", status=status, room=ROOM, why=str(error))
    store, settings = desk_of(request).stores.tables, desk_of(request).settings
    shown = camera_page(account, store, settings)
    try:
        due = len(renewals(store, account.name))
    except DamagedFileError as error:  # what is damaged is kept by no video; the rest is shown
        due, account = 0, replace(account, problems=account.problems or (str(error),))
    file = str(store.layout.phase_labels)
    told = {"camera": account, "shown": shown, "due": due, "phase_file": file}
    return page(request, "camera.html.j2", room=ROOM, **told)


def _asking(request: Request) -> Response:
    """Says which videos would be outdated, before anybody does it."""
    try:
        account = _account(request)
        due = renewals(desk_of(request).stores.tables, account.name)
    except IdentityPipelineError as error:
        return page(request, "camera_absent.html.j2", status=404, room=ROOM, why=str(error))
    return page(request, "camera_renew.html.j2", room=ROOM, camera=account, due=due)


async def _renew(request: Request) -> Response:
    """Lets the videos keep the newest model, behind the page."""
    await read_form(request)
    if curator_of(request) is None:
        return RedirectResponse("/who", 303)
    account = await run_in_threadpool(_account, request)
    desk_of(request).behind.renew(account.word)
    return RedirectResponse(f"/cameras/{account.folder}", 303)


def _figure(request: Request) -> Response:
    """A picture of the page."""
    desk = desk_of(request)
    name = request.path_params["figure"]
    try:
        drawn = figure(_account(request), name, desk.stores.tables, desk.settings).encode()
    except IdentityPipelineError as error:
        return Response(str(error), 404, {"Cache-Control": "no-store"}, "text/plain")
    etag = f'"{hashlib.sha256(drawn).hexdigest()[:24]}"'
    headers = {"Cache-Control": "private, no-cache", "ETag": etag}
    if request.headers.get("if-none-match") == etag:
        return Response(status_code=304, headers=headers)
    return Response(drawn, 200, headers, "image/svg+xml")


ROUTES: Final = (
    Route("/cameras", _list),
    Route("/cameras/{folder}", _camera),
    Route("/cameras/{folder}/renew", _asking, methods=["GET"]),
    Route("/cameras/{folder}/renew", _renew, methods=["POST"]),
    Route("/img/camera/{folder}/{figure}.svg", _figure),
)
