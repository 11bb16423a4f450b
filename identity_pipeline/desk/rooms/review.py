"""The room Review: one question a page, groups of unknown faces, and tracks in no group.

What belongs here: where a curator goes next, and what only this room may decide. What does not: the
questions and their order (`core.review.questions`), what a page shows of them
(`stages.desk.asking`), and the acts that all rooms share (`desk.acts`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from threading import Lock
from typing import Final
from urllib.parse import quote, urlencode

from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from identity_pipeline.core.review.questions import Bars, Question
from identity_pipeline.desk.access import curator_of
from identity_pipeline.desk.acts import person_of
from identity_pipeline.desk.deciding import Act, Form, local, read_form
from identity_pipeline.desk.pages import desk_of, library_of, page
from identity_pipeline.desk.rooms.images import pictures_of
from identity_pipeline.ledger.commands import Planned
from identity_pipeline.stages.curation.curation import Curator
from identity_pipeline.stages.curation.snapshot import LibrarySnapshot
from identity_pipeline.stages.desk import asking, clusters
from identity_pipeline.stages.desk.places import Place, read_place, write_place
from identity_pipeline.stages.desk.questions import (
    Alike,
    Queue,
    alike_in,
    answered,
    bars_of,
    open_questions,
    outside_in,
)

AHEAD: Final = 3
"""So many questions that follow are drawn before they are asked for."""


@dataclass
class Found:
    """The questions of the library as it is now; sought anew only where it changed.

    Attributes:
        bars: thresholds of the generation in force.
        questions: all that are open, for any curator.
    """

    bars: Bars | None = None
    questions: list[Question] = field(default_factory=list)
    _alike: Alike = ()
    _outside: Mapping[str, float] = field(default_factory=dict)
    _library: LibrarySnapshot | None = None
    _lock: Lock = field(default_factory=Lock)

    def now(self, request: Request) -> tuple[LibrarySnapshot, Bars | None, list[Question]]:
        """The library, its thresholds, and what is open in it."""
        desk, library = desk_of(request), library_of(request)
        with self._lock:
            if self._library is not library:
                if self._library is None or self._library.generation != library.generation:
                    self.bars = bars_of(library, desk.settings)
                    self._alike = alike_in(library, self.bars)
                    self._outside = outside_in(library, self.bars)
                known = self.bars, self._alike, self._outside
                found = open_questions(library, desk.settings, *known)
                self.questions, self._library = found, library
            return library, self.bars, self.questions


@dataclass(frozen=True)
class Turn:
    """Where a curator is.

    Attributes:
        queue: what is open, in their order.
        at: place in it.
        place: as it is kept.
        said: what is said above the question; empty: nothing.
    """

    queue: Queue
    at: int
    place: Place
    said: str = ""

    @property
    def question(self) -> Question | None:
        """The question; None: nothing is open."""
        return self.queue.questions[self.at] if len(self.queue) else None

    def near(self, step: int) -> Question | None:
        """The question before or after this one; None: there is none."""
        at = self.at + step
        return self.queue.questions[at] if 0 <= at < len(self.queue) else None


def subject_of(question: Question) -> str:
    """What a question is about, also when some of its tracks were settled."""
    about = question.cluster_id if question.kind == "cluster" else question.person_id
    return f"{question.kind}.{about if about is not None else question.key}"


def turn(questions: list[Question], place: Place, asked: Mapping[str, str]) -> Turn:
    """Where a request leads.

    Args:
        questions: all that are open.
        place: where the curator was.
        asked: `key` of the wanted question; or, after an act, `after` (the question that was
            answered), `of` (what it was about) and `next` (which followed); `undone`.
    """
    queue = Queue.of(questions, place)
    about = {subject_of(one): n for n, one in reversed(list(enumerate(queue.questions)))}
    if asked.get("after"):
        return _after(queue, place, asked, about)
    key = asked.get("key", "")
    if asked.get("undone") and place.shown != key and place.done:
        place = replace(place, done=place.done - 1)
        queue = replace(queue, done=place.done)
    found = queue.find(key) if key else queue.current(place)
    if found is not None:
        return Turn(queue, found, place)
    rest = about.get(asked.get("of", ""))
    if rest is not None:
        return Turn(queue, rest, place, "This question changed meanwhile: look once more.")
    return Turn(queue, queue.current(place), place, "That question is settled by now.")


def _after(queue: Queue, place: Place, asked: Mapping[str, str], about: Mapping[str, int]) -> Turn:
    """Where an act leads: to what is left of its question, else to the one that followed."""
    key = asked["after"]
    still = queue.find(key)
    if still is None:
        still = about.get(asked.get("of", ""))
    if still is None and place.shown == key:
        place = answered(place, queue)
        queue = replace(queue, done=place.done)
    found = still if still is not None else queue.find(asked.get("next", ""))
    return Turn(queue, queue.current(place) if found is None else found, place)


def _ask(request: Request) -> Response:
    """The page of one question."""
    curator = curator_of(request)
    if curator is None:
        return RedirectResponse(f"/who?next={quote(request.url.path)}", 303)
    desk, pictures = desk_of(request), pictures_of(request)
    library, bars, questions = _found(request).now(request)
    layout = desk.stores.layout
    before = read_place(layout, curator)
    here = turn(questions, before, {**request.query_params, **request.path_params})
    question = here.question
    place = replace(here.place, shown=question.key if question else "")
    if place != before:
        with suppress(OSError):  # a folder that may only be read can be looked at all the same
            write_place(layout, curator, place)
    if question is None:
        grouped = library.generation is not None
        return page(request, "reviewed.html.j2", room="review", turn=here, grouped=grouped)
    ahead = [one for one in (here.near(n + 1) for n in range(AHEAD)) if one]
    coming = asking.faces_to_come(library, ahead)
    pictures.prefetch(coming)
    after, before_it = here.near(1), here.near(-1)
    about, following = subject_of(question), after.key if after else ""
    onwards = {"after": question.key, "of": about, "next": following}
    return page(
        request,
        "question.html.j2",
        room="review",
        turn=here,
        shown=asking.asked(library, question, bars, pictures.frames),
        chosen=request.query_params.get("at", ""),
        back=f"/review?{urlencode(onwards)}",
        of=about,
        answered=request.query_params.get("after", ""),
        following=after,
        preceding=before_it,
        coming=coming,
        gone=pictures.frames.gone,
    )


def _found(request: Request) -> Found:
    return request.app.state.found


async def _later(request: Request) -> Response:
    """Puts a question off, or closes it without a decision; neither is one of the ledger."""
    form, curator = await read_form(request), curator_of(request)
    back = local(next(reversed(form.all("back")), None), "/review")
    key = form.get("key")
    if curator is None or key is None:
        return RedirectResponse(back, 303)
    layout = desk_of(request).stores.layout
    place = read_place(layout, curator)
    closing = request.url.path.endswith("/right")
    write_place(
        layout, curator, place.closed(key) if closing else replace(place.put_off(key), shown="")
    )
    return RedirectResponse(back, 303)


def _open(request: Request) -> Response:
    """Whether a question is still open."""
    _, _, questions = _found(request).now(request)
    key = request.path_params["key"]
    return JSONResponse({"open": any(one.key == key for one in questions)})


def _two_people(curator: Curator, form: Form) -> Iterator[Planned]:
    """Says that two people are two: the confirmed tracks of the one are never the other's."""
    one, other = person_of(curator, form), person_of(curator, form, "into")
    members = curator.library.state.members
    mine, theirs = (members.get(who, ()) for who in (one, other))
    if len(mine) > len(theirs):
        one, mine = other, theirs
        other = person_of(curator, form)
    yield curator.reject(other, mine)


def _clusters(request: Request) -> Response:
    """The groups of unknown faces, the largest first."""
    library, bars, _ = _found(request).now(request)
    number = page_number(request)
    groups, total = clusters.groups(library, number, bars)
    told = {"groups": groups, "total": total, "number": number, "each": clusters.EACH}
    return page(request, "clusters.html.j2", room="review", **told)


def _cluster(request: Request) -> Response:
    """One group, track by track, and how it might fall apart."""
    library, bars, _ = _found(request).now(request)
    number = request.path_params["number"]
    tracks = clusters.open_tracks(library, number)
    if not tracks:
        return page(request, "clusterless.html.j2", status=404, room="review", number=number)
    shown = asking.tracks_shown(library, tracks[: asking.TILES], {}, bars)
    parts = clusters.parts(library, tracks) if "split" in request.query_params else None
    told = {"cluster": number, "tracks": tracks, "shown": shown, "parts": parts}
    return page(request, "cluster.html.j2", room="review", **told)


def _alone(request: Request) -> Response:
    """The tracks that are in no group."""
    library, bars, _ = _found(request).now(request)
    number = page_number(request)
    keys, total = clusters.alone(library, number)
    shown = asking.tracks_shown(library, keys, {}, bars)
    told = {"shown": shown, "total": total, "number": number, "each": clusters.EACH}
    return page(request, "alone.html.j2", room="review", **told)


def page_number(request: Request) -> int:
    """The page of a list that is asked for, from 1."""
    given = request.query_params.get("page", "")
    return max(1, int(given)) if given.isascii() and given.isdigit() and len(given) < 7 else 1


ROUTES: Final[Collection[Route]] = (
    Route("/review", _ask),
    Route("/review/later", _later, methods=["POST"]),
    Route("/review/right", _later, methods=["POST"]),
    Route("/review/{key}", _ask),
    Route("/review/{key}/open", _open),
    Route("/clusters", _clusters),
    Route("/clusters/{number:int}", _cluster),
    Route("/alone", _alone),
)
ACTS: Mapping[str, Act] = {"two-people": _two_people}
