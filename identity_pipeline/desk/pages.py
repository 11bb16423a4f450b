"""Pages: what all of them share, and how they are rendered.

A page is made of a template and of what `stages.desk` says; it is the same for the same data.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse

from identity_pipeline.desk.access import curator_of
from identity_pipeline.desk.state import Desk
from identity_pipeline.ledger import events as ev
from identity_pipeline.ledger.replay import History
from identity_pipeline.stages.library.view import event_rows

HERE = Path(__file__).parent
LATELY = 50
"""Among so many of the newest events the curator's last one is looked for; chosen."""
ID = re.compile(r" \([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\)")
"""A person's id behind their name: commands need it, pages link."""


@dataclass(frozen=True)
class Notice:
    """What the curator's last decision did.

    Attributes:
        seq: its number.
        event_id: what `undo` needs.
        effect: in words.
        undone: whether it was taken back since.
        is_undo: whether it took something back itself.
    """

    seq: int
    event_id: str
    effect: str
    undone: bool
    is_undo: bool


def desk_of(request: Request) -> Desk:
    """The desk that answers a request."""
    return request.app.state.desk


def head_field(desk: Desk) -> str:
    """The ledger head that a page is made of, as its forms carry it: `SEQ:SHA256`."""
    seq, digest = desk.stores.ledger.head_of(desk.library().history)
    return f"{seq}:{digest}"


def last_notice(desk: Desk, actor: str | None) -> Notice | None:
    """The last decision of a curator; None: they decided nothing lately."""
    history = desk.library().history
    for event in reversed(history.events[-LATELY:]):
        if event.actor == actor and not isinstance(event, ev.Renumbered):
            effect = desk.told.get(event.id)
            if effect is None:  # it was decided elsewhere, or before this start
                effect = ID.sub("", _by_replay(history, event))
                desk.tell({event.id: effect})
            undone = event.id in history.undone
            return Notice(event.seq, event.id, effect, undone, event.kind == "undo")
    return None


def _by_replay(history: History, event: ev.Event) -> str:
    rows = event_rows(History(history.events[: event.seq]), 1)
    return next(rows)["effect"]


def page(request: Request, template: str, *, status: int = 200, **told: Any) -> HTMLResponse:
    """A page of the desk, with what every page shows.

    Args:
        request: that it answers.
        template: name of the template, which extends `base.html.j2`.
        status: of HTTP.
        told: what the template shows.
    """
    desk, actor = desk_of(request), curator_of(request)
    shared = {
        "request": request,
        "path": request.url.path,
        "here": request.url.path + (f"?{request.url.query}" if request.url.query else ""),
        "curator": actor,
        "head": head_field(desk),
        "img": request.app.state.pictures,
        "notice": last_notice(desk, actor),
        "strip": desk.behind.strip(),
        "dagster_url": desk.settings.desk.dagster_url.rstrip("/"),
    }
    return HTMLResponse(environment().get_template(template).render(**shared, **told), status)


@cache
def environment() -> Environment:
    """What renders the pages: escapes everything; an unknown name is an error."""
    return Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
