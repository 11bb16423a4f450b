"""Pages: what all of them share, and how they are rendered.

A page is made of a template and of what `stages.desk` says; it is the same for the same data.
"""

from __future__ import annotations

import re
import time
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
from identity_pipeline.stages.curation.consents import consent_note
from identity_pipeline.stages.curation.snapshot import LibrarySnapshot
from identity_pipeline.stages.library.view import event_rows
from identity_pipeline.stages.privacy.journal import Journals

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
        event_ids: what `undo` needs, the last first: an act may be several decisions.
        effect: in words.
        undone: whether it was taken back since.
        is_undo: whether it took something back itself.
    """

    seq: int
    event_ids: tuple[str, ...]
    effect: str
    undone: bool
    is_undo: bool


def desk_of(request: Request) -> Desk:
    """The desk that answers a request."""
    return request.app.state.desk


@dataclass(frozen=True)
class Seen:
    """What one page is made of.

    Attributes:
        at: when that was read, in nanoseconds since 1970.
        library: as it was then.
    """

    at: int
    library: LibrarySnapshot

    @property
    def head(self) -> str:
        """The ledger head, and when it was seen, as forms carry it: `SEQ:SHA256:NANOSECONDS`."""
        seq, digest = self.library.stores.ledger.head_of(self.library.history)
        return f"{seq}:{digest}:{self.at}"


def seen_by(request: Request) -> Seen:
    """What the page of a request is made of: all of it of one moment."""
    found: Seen | None = getattr(request.state, "seen", None)
    if found is None:
        at = time.time_ns()
        found = request.state.seen = Seen(at, desk_of(request).library())
    return found


def library_of(request: Request) -> LibrarySnapshot:
    """The library as the page of a request shows it."""
    return seen_by(request).library


def last_notice(desk: Desk, history: History, actor: str | None) -> Notice | None:
    """The last act of a curator; None: they decided nothing lately."""
    lately = history.events[-LATELY:]
    own = [e for e in lately if e.actor == actor and not isinstance(e, ev.Renumbered)]
    if not own:
        return None
    # All decisions of an act were made at one time.
    act = [event for event in own if event.time == own[-1].time]
    return Notice(
        act[0].seq,
        tuple(event.id for event in reversed(act)),
        "\n".join(_told(desk, history, event) for event in act),
        all(event.id in history.undone for event in act),
        _takes_back(history, act[-1]),
    )


def _told(desk: Desk, history: History, event: ev.Event) -> str:
    """The effect of an event, in words."""
    effect = desk.told.get(event.id)
    if effect is None:  # it was decided elsewhere, or before this start
        effect = ID.sub("", _by_replay(history, event))
        desk.tell({event.id: effect})
    return effect


def _takes_back(history: History, event: ev.Event) -> bool:
    """Whether an event takes a decision back; the undo of an undo brings one back."""
    back = False
    while isinstance(event, ev.Undone):
        event, back = history.event(event.event_id), not back
    return back


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
    desk, actor, seen = desk_of(request), curator_of(request), seen_by(request)
    shared = {
        "request": request,
        "path": request.url.path,
        "here": request.url.path + (f"?{request.url.query}" if request.url.query else ""),
        "curator": actor,
        "head": seen.head,
        "img": request.app.state.pictures,
        "notice": last_notice(desk, seen.library.history, actor),
        "strip": desk.behind.strip(),
        "consent_note": consent_note(desk.settings),
        "unfinished": [one.sentence() for one in Journals(desk.stores.layout).unfinished()],
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
