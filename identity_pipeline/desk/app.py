"""The web application: the rooms, the one way to decide, and what guards them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from identity_pipeline.desk.access import (
    CURATOR,
    Guard,
    curator_of,
    remember,
)
from identity_pipeline.desk.acts import SHARED
from identity_pipeline.desk.deciding import Act, endpoint, local, read_form
from identity_pipeline.desk.failures import InWords, no_such_page
from identity_pipeline.desk.pages import HERE, desk_of, environment, page
from identity_pipeline.desk.rooms import (
    cameras,
    faces,
    images,
    people,
    pictures,
    privacy,
    recall,
    review,
)
from identity_pipeline.desk.state import Desk
from identity_pipeline.ledger.events import clean_name

YEAR = 365
"""Days for which a curator's name is kept."""


def create_app(desk: Desk) -> Starlette:
    """The application of one data folder."""
    acts: Mapping[str, Act] = {
        **SHARED,
        **people.ACTS,
        **review.ACTS,
        **pictures.ACTS,
        **privacy.ACTS,
    }
    app = Starlette(
        routes=[
            Route("/", _start),
            Route("/enter", _enter, methods=["GET", "POST"]),
            Route("/who", _who, methods=["GET", "POST"]),
            Route("/leave", _leave, methods=["POST"]),
            Route("/behind", _behind),
            Route("/act/{kind}", endpoint(acts), methods=["GET", "POST"]),
            *privacy.ROUTES,
            *cameras.ROUTES,
            *people.ROUTES,
            *review.ROUTES,
            *pictures.ROUTES,
            *recall.ROUTES,
            *images.ROUTES,
            *faces.ROUTES,
            Mount("/static", StaticFiles(directory=HERE / "static")),
        ],
        lifespan=_lifespan,
        middleware=[
            Middleware(Guard, access=desk.access),
            Middleware(InWords, data=desk.stores.layout.root),
        ],
        exception_handlers={404: no_such_page},
    )
    app.state.desk, app.state.pictures = desk, images.Pictures.of(desk)
    app.state.found = review.Found()
    return app


@asynccontextmanager
async def _lifespan(app: Starlette) -> AsyncIterator[None]:
    """At the end of the desk its worker ends, too."""
    yield
    await run_in_threadpool(app.state.desk.behind.end)


async def _start(request: Request) -> Response:
    return RedirectResponse("/review" if curator_of(request) else "/who", 303)


async def _enter(request: Request) -> Response:
    """Opens a session: by the token in the printed address, or by the password."""
    access, query = desk_of(request).access, request.query_params
    onwards = local(query.get("next"), "/")
    session = access.enter(query.get("token", "")) if "token" in query else None
    if session is None and request.method == "POST":
        given = (await read_form(request)).get("password") or ""
        session = await access.enter_by_password(given)
    if session:
        return remember(request, RedirectResponse(onwards, 303), access.cookie, session)
    told = environment().get_template("enter.html.j2")
    guessed = request.method == "POST"
    tried = guessed or "token" in query
    known = {"password": access.password is not None, "tried": tried, "guessed": guessed}
    text = told.render(onwards=onwards, **known)
    return HTMLResponse(text, 403 if tried else 401)


async def _leave(request: Request) -> Response:
    """Ends the session of this browser."""
    access = desk_of(request).access
    access.leave(request.cookies.get(access.cookie))
    return RedirectResponse("/enter", 303)


def _behind(request: Request) -> Response:
    """The strip; `HX-Trigger: desk:moved` says that what is shown may be something else now."""
    strip = desk_of(request).behind.strip()
    seen = request.query_params.get("seen", "")
    moved = seen.isdigit() and int(seen) < strip.generation
    text = environment().get_template("strip.html.j2").render(strip=strip, moved=moved)
    return HTMLResponse(text, headers={"HX-Trigger": "desk:moved"} if moved else None)


async def _who(request: Request) -> Response:
    """Asks once who decides."""
    onwards, why = local(request.query_params.get("next"), "/"), None
    if request.method == "POST":
        try:
            name = clean_name((await read_form(request)).get("name") or "")
            return remember(request, RedirectResponse(onwards, 303), CURATOR, name, days=YEAR)
        except ValueError as error:
            why = str(error)
    return page(request, "who.html.j2", status=422 if why else 200, why=why, onwards=onwards)
