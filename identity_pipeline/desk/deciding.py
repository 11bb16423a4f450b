"""Decisions: `POST /act/{kind}` carries out what a room's `ACTS` say, and tells what it did.

Each holds as a whole or not at all, is an event of the ledger, and is refused where it was made on
a page that somebody else has overtaken.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import parse_qs

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from identity_pipeline.desk.access import curator_of
from identity_pipeline.desk.pages import desk_of, page
from identity_pipeline.desk.state import Desk, now
from identity_pipeline.errors import IdentityPipelineError
from identity_pipeline.ledger import subjects as ids
from identity_pipeline.ledger.commands import Planned
from identity_pipeline.ledger.concurrency import Head
from identity_pipeline.ledger.errors import ChangedMeanwhileError
from identity_pipeline.stages.curation.curation import Curator
from identity_pipeline.stages.curation.settling import ASSETS
from identity_pipeline.stages.curation.snapshot import CurationError

IDS = re.compile(r" \([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\)")
"""Ids in the words of an effect, which a page links to instead."""
TICK_NS = 50_000_000
"""The clock of files may be so much behind; chosen: several ticks of Linux, which are 10 ms."""
BODY_MAX = 4 * 1024 * 1024
"""Bytes of a form: a hundred thousand tracks would fit; chosen."""


class AskFirstError(IdentityPipelineError):
    """Something is to be chosen before this can be decided.

    Attributes:
        page: path of the page that asks.
    """

    def __init__(self, page: str) -> None:
        self.page = page
        super().__init__("Something is to be chosen first.")


@dataclass(frozen=True)
class Form:
    """The fields of a form.

    Attributes:
        fields: all values by name, in order.
    """

    fields: Mapping[str, Sequence[str]]

    def one(self, name: str) -> str:
        """The one value of a field.

        Raises:
            CurationError: it is not there.
        """
        if value := self.get(name):
            return value
        raise CurationError(f"the form lacks {name!r}; reload the page.")

    def get(self, name: str) -> str | None:
        """The first value of a field; None where it is empty or absent."""
        return next((value for value in self.fields.get(name, ()) if value), None)

    def all(self, name: str) -> tuple[str, ...]:
        """All values of a field."""
        return tuple(self.fields.get(name, ()))


Act = Callable[[Curator, Form], Iterable[Planned]]
"""What a button does: decides by the curator, and yields each decision."""


async def read_form(request: Request) -> Form:
    """The fields of a request.

    Raises:
        CurationError: there are too many.
    """
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > BODY_MAX:
            raise CurationError("that is too much for one decision; select fewer.")
    return Form(parse_qs(body.decode(errors="replace"), keep_blank_values=True))


def local(path: str | None, otherwise: str) -> str:
    """A path of the desk itself: no form leads elsewhere."""
    safe = path and path.startswith("/") and not path.startswith(("//", "/\\"))
    return path if path and safe else otherwise


def endpoint(acts: Mapping[str, Act]) -> Callable[[Request], object]:
    """The route's function, for all acts by their names."""

    async def act(request: Request) -> Response:
        if request.method != "POST":  # a page of an answer that was loaded again
            return RedirectResponse("/review", 303)
        form, actor = await read_form(request), curator_of(request)
        if actor is None:
            return RedirectResponse("/who", 303)
        return await run_in_threadpool(_answer, request, acts, actor, form)

    return act


def _answer(request: Request, acts: Mapping[str, Act], actor: str, form: Form) -> Response:
    """Decides, and says where to go on, or why it was not done."""
    back = local(form.get("back"), "/review")
    kind = acts.get(request.path_params["kind"])
    done: list[str] = []
    template, status, why = "refused.html.j2", 422, ""
    try:
        if kind is None:
            return page(request, template, status=404, why="No such action.", done=(), back=back)
        _carry_out(desk_of(request), actor, kind, form, done)
        return RedirectResponse(back, 303)
    except AskFirstError as question:
        return RedirectResponse(question.page, 303)
    except ChangedMeanwhileError as error:
        template, status, why = "overtaken.html.j2", 409, str(error)
    except (IdentityPipelineError, ValueError) as error:
        why = str(error)
    return page(request, template, status=status, why=why, done=done, back=back)


def _carry_out(desk: Desk, actor: str, act: Act, form: Form, done: list[str]) -> None:
    """Decides, and has what follows from it made anew behind the curtain.

    All of an act is tried before any of it is done. Each effect is put into `done` as soon as it is
    in the ledger, for somebody else may be faster in the middle.

    Raises:
        ChangedMeanwhileError: somebody else was faster, or a ride was processed anew meanwhile.
    """
    head, seen_at = _head(form.one("head"))
    _refuse_of_other_tracks(desk, form, seen_at)
    told: dict[str, str] = {}
    tried = Curator(desk.library(), actor, now(), form.get("reason") or "", True, head)
    for _ in act(tried, form):
        pass
    curator = Curator(desk.library(), actor, now(), form.get("reason") or "", head=head)
    try:
        for planned in act(curator, form):
            told[planned.event.id] = effect = IDS.sub("", str(planned.effect))
            done.append(effect)
            desk.follow(planned.event)
    finally:
        desk.tell(told)


def _refuse_of_other_tracks(desk: Desk, form: Form, seen_at: int) -> None:
    """Refuses tracks and faces of a ride that was processed anew since the page was made.

    Numbers may mean other tracks then. Of those that the ledger knows it notes what they are called
    now, but a page may name any.
    """
    words = " ".join((*form.all("subject"), *form.all("whole"), *form.all("part"))).split()
    subjects = {word for word in words if ids.SUBJECT.fullmatch(word)}
    outputs = desk.stores.tables.outputs
    for video_id in sorted({ids.parse(subject).video_id for subject in subjects}):
        tables = (outputs.find(name, video_id) for name in ASSETS)
        if any(table and table.changed_ns > seen_at - TICK_NS for table in tables):
            why = f"{video_id} was processed anew while you looked; look once more."
            raise ChangedMeanwhileError(why, ())


def _head(field: str) -> tuple[Head, int]:
    """The head of the ledger that a page was made of, and when.

    Raises:
        CurationError: it is none.
    """
    seq, digest, at = (*field.split(":"), "", "", "")[:3]
    if not all(each.isascii() and each.isdigit() and len(each) < 21 for each in (seq, at)):
        raise CurationError("the page was not made by this desk; reload it.")
    return (int(seq), digest), int(at)
