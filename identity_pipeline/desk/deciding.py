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
from identity_pipeline.ledger.commands import Planned
from identity_pipeline.ledger.concurrency import Head
from identity_pipeline.ledger.errors import ChangedMeanwhileError
from identity_pipeline.stages.curation.curation import Curator
from identity_pipeline.stages.curation.snapshot import CurationError, LibrarySnapshot

IDS = re.compile(r" \([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\)")
"""Ids in the words of an effect, which a page links to instead."""
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
        form, actor = await read_form(request), curator_of(request)
        back = local(form.get("back"), "/review")
        if actor is None:
            return RedirectResponse("/who", 303)
        kind = acts.get(request.path_params["kind"])
        if kind is None:
            return page(request, "refused.html.j2", status=404, why="No such action.", back=back)
        done: list[str] = []
        try:
            await run_in_threadpool(_carry_out, desk_of(request), actor, kind, form, done)
        except AskFirstError as question:
            return RedirectResponse(question.page, 303)
        except ChangedMeanwhileError as error:
            return page(
                request, "overtaken.html.j2", status=409, why=str(error), done=done, back=back
            )
        except (IdentityPipelineError, ValueError) as error:
            return page(
                request, "refused.html.j2", status=422, why=str(error), done=done, back=back
            )
        return RedirectResponse(back, 303)

    return act


def _carry_out(desk: Desk, actor: str, act: Act, form: Form, done: list[str]) -> None:
    """Decides, and has what follows from it made anew behind the curtain.

    Each effect is put into `done` as soon as it is in the ledger: an act of several decisions can
    be refused in the middle.
    """
    time = now()
    seen = desk.library().history
    library = LibrarySnapshot.open(desk.stores, time, write=True, seen=seen)
    curator = Curator(library, actor, time, form.get("reason") or "", head=_head(form.one("head")))
    told: dict[str, str] = {}
    try:
        for planned in act(curator, form):
            told[planned.event.id] = effect = IDS.sub("", str(planned.effect))
            done.append(effect)
            desk.follow(planned.event)
    finally:
        desk.tell(told)


def _head(field: str) -> Head:
    """The head of the ledger that a page was made of.

    Raises:
        CurationError: it is none.
    """
    seq, _, digest = field.partition(":")
    if not (seq.isascii() and seq.isdigit() and len(seq) < 12):
        raise CurationError("the page was not made by this desk; reload it.")
    return int(seq), digest
