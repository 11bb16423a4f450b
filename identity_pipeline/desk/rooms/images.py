"""Every picture that a page shows: faces, whole frames, exported images, the ride's timeline.

What belongs here: addresses, what browsers may keep, and how many pictures are drawn at once. What
does not: drawing (`stages.desk`). A picture that cannot be shown is a neutral one; why is said in
the header `X-Desk-Why`.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby
from typing import Final
from urllib.parse import quote

from anyio import CapacityLimiter, to_thread
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from identity_pipeline.desk.state import Desk
from identity_pipeline.errors import IdentityPipelineError
from identity_pipeline.stages.desk import timeline
from identity_pipeline.stages.desk.audited import AuditFrames
from identity_pipeline.stages.desk.drawing import Drawn
from identity_pipeline.stages.desk.exported import ExportedPictures
from identity_pipeline.stages.desk.faces import (
    USUAL_PX,
    Face,
    FacePictures,
    best_face,
    face_of_person,
    name_of,
)
from identity_pipeline.stages.desk.frames import FramePictures
from identity_pipeline.storage.video.drawn_pictures import DrawnPictures

LOG = logging.getLogger(__name__)
QUICK, SLOW = CapacityLimiter(3), CapacityLimiter(2)
"""So many requests draw at a time, the others wait: of stored crops, and of videos, which take
longer and are not to hold up the crops; chosen: pages stay quick beside them."""
KEPT_S: Final = 86_400
"""So long browsers keep a picture whose address names its version: a day of work, and no longer,
for nobody can take it from them; chosen."""
WHY: Final = "X-Desk-Why"
NEUTRAL: Final = (
    b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 96 96" width="96" height="96">'
    b'<rect width="96" height="96" fill="#8d949f" fill-opacity=".25"/>'
    b'<circle cx="48" cy="38" r="16" fill="#8d949f"/>'
    b'<path d="M18 88a30 26 0 0 1 60 0z" fill="#8d949f"/></svg>'
)
"""Stands where there is no picture: the outline of nobody."""


@dataclass(frozen=True)
class Pictures:
    """All pictures of a data folder.

    Attributes:
        faces: thumbnails of faces.
        frames: whole frames.
        exported: exported images.
        audited: whole frames of moments that are asked about.
    """

    faces: FacePictures
    frames: FramePictures
    exported: ExportedPictures
    audited: AuditFrames
    _behind: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1))

    @classmethod
    def of(cls, desk: Desk) -> Pictures:
        """Those of a desk's data folder, without what is kept of sources that are gone."""
        DrawnPictures(desk.stores.layout).drop_of_gone()
        shared = desk.stores.tables, desk.settings
        return cls(
            FacePictures(*shared),
            FramePictures(*shared),
            ExportedPictures(*shared),
            AuditFrames(*shared),
        )

    def face_url(self, video_id: str, face_id: str, px: int = USUAL_PX) -> str:
        """Address of a face's thumbnail, which browsers may keep: it names the version."""
        return f"/img/face/{video_id}/{face_id}.jpg?px={px}&v={self.faces.version(video_id)}"

    def exported_url(self, video_id: str, file: str, px: int = USUAL_PX) -> str:
        """Address of an exported image, likewise: the next export has others of its name."""
        return f"/img/exported/{video_id}/{quote(file)}?px={px}&v={self.exported.version(video_id)}"

    def frame_url(self, video_id: str, face_id: str) -> str:
        """Address of the whole frame of a face, likewise."""
        return f"/img/frame/{video_id}/{face_id}.jpg?v={self.frames.version(video_id)}"

    def prefetch(self, faces: Collection[Face]) -> None:
        """Draws thumbnails and whole frames that are asked for next, behind the page.

        What cannot be drawn is told when it is asked for.
        """
        for _, own in groupby(sorted(set(faces)), key=lambda face: face.video_id):
            self._behind.submit(self._drawn_before, tuple(own))

    def _drawn_before(self, faces: Collection[Face]) -> None:
        """Draws what is asked for next of one source."""
        for draw in (self.faces.warm_faces, self.frames.warm_frames):
            try:
                draw(faces)
            except IdentityPipelineError as error:
                LOG.info("not drawn before it is asked for: %s", error)


def pictures_of(request: Request) -> Pictures:
    """The pictures of the desk that answers a request."""
    return request.app.state.pictures


@dataclass(frozen=True)
class _Shown:
    """A picture of which it is known that it can be shown.

    Attributes:
        version, name: what tells it from others.
        kept: gives it where it is at hand.
        draw: draws it; may take long.
    """

    version: str
    name: str
    kept: Callable[[], bytes | None]
    draw: Callable[[], bytes]

    @classmethod
    def of(cls, kind: Drawn, video_id: str, name: str) -> _Shown:
        """A picture that is drawn once."""
        kept, draw = partial(kind.kept, video_id, name), partial(kind.drawn, video_id, name)
        return cls(kind.version(video_id), name, kept, draw)

    @property
    def etag(self) -> str:
        """What browsers ask with whether theirs is still the same."""
        return f'"{self.version}-{self.name}"'


def _px(request: Request) -> int:
    """The wanted size; the usual one where none is said, or none that can be."""
    wanted = request.query_params.get("px", "")
    return int(wanted) if wanted.isascii() and wanted.isdigit() and len(wanted) < 5 else USUAL_PX


def _of_request(request: Request) -> Face:
    return Face(request.path_params["video_id"], request.path_params["face_id"])


def _face(request: Request) -> _Shown:
    face = _of_request(request)
    name = name_of(face.face_id, _px(request))
    return _Shown.of(pictures_of(request).faces, face.video_id, name)


def _track(request: Request) -> _Shown:
    parts = request.path_params
    store = request.app.state.desk.stores.tables
    face = best_face(store, parts["video_id"], parts["track_id"])
    name = name_of(face.face_id, _px(request))
    return _Shown.of(pictures_of(request).faces, face.video_id, name)


def _person(request: Request) -> _Shown:
    face = face_of_person(request.app.state.desk.library(), request.path_params["person_id"])
    name = name_of(face.face_id, _px(request))
    return _Shown.of(pictures_of(request).faces, face.video_id, name)


def _frame(request: Request) -> _Shown:
    face, frames = _of_request(request), pictures_of(request).frames
    kept = partial(frames.kept, face.video_id, face.face_id)
    return _Shown(frames.version(face.video_id), face.face_id, kept, partial(frames.frame, face))


def _audited(request: Request) -> _Shown:
    parts = request.path_params
    return _Shown.of(pictures_of(request).audited, parts["video_id"], parts["name"])


def _exported(request: Request) -> _Shown:
    video_id, file = request.path_params["video_id"], request.path_params["file"]
    exported = pictures_of(request).exported
    if "px" in request.query_params:
        return _Shown.of(exported, video_id, exported.name_of(video_id, file, _px(request)))
    name = hashlib.sha256(file.encode()).hexdigest()[:12]
    original = partial(exported.original, video_id, file)
    return _Shown(exported.version(video_id), name, original, original)


async def _instead(request: Request, error: IdentityPipelineError) -> Response:
    """What was stored around a face whose frame cannot be shown; else the neutral picture."""
    headers = {WHY: quote(str(error)), "Cache-Control": "no-store"}
    if request.url.path.startswith("/img/frame/"):
        frames = pictures_of(request).frames
        try:
            stored = await run_in_threadpool(frames.around, _of_request(request))
        except IdentityPipelineError:
            return Response(NEUTRAL, 404, headers, "image/svg+xml")
        return Response(stored, 200, headers, "image/jpeg")
    return Response(NEUTRAL, 404, headers, "image/svg+xml")


def _answering(
    find: Callable[[Request], _Shown], limiter: CapacityLimiter = QUICK
) -> Callable[[Request], object]:
    """The function of a route: what was drawn is given at once, what is not waits its turn."""

    async def answer(request: Request) -> Response:
        try:
            shown = await run_in_threadpool(find, request)
            named = request.query_params.get("v") == shown.version
            keep = f"max-age={KEPT_S}, immutable" if named else "no-cache"
            headers = {"Cache-Control": f"private, {keep}", "ETag": shown.etag}
            if request.headers.get("if-none-match") == shown.etag:
                return Response(status_code=304, headers=headers)
            data = await run_in_threadpool(shown.kept)
            if data is None:
                data = await to_thread.run_sync(shown.draw, limiter=limiter)
        except IdentityPipelineError as error:
            return await _instead(request, error)
        return Response(data, 200, headers, "image/jpeg")

    return answer


async def _timeline(request: Request) -> Response:
    """The ride's timeline as a figure; `face` in the query marks its moment."""
    desk: Desk = request.app.state.desk
    video_id, face_id = request.path_params["video_id"], request.query_params.get("face")
    draw = partial(timeline.timeline_svg, desk.stores.tables, video_id, desk.settings, face_id)
    try:
        figure = (await run_in_threadpool(draw)).encode()
    except IdentityPipelineError as error:
        return await _instead(request, error)
    etag = f'"{hashlib.sha256(figure).hexdigest()[:24]}"'
    headers = {"Cache-Control": "private, no-cache", "ETag": etag}
    if request.headers.get("if-none-match") == etag:
        return Response(status_code=304, headers=headers)
    return Response(figure, 200, headers, "image/svg+xml")


ROUTES: Final[Collection[Route]] = (
    Route("/img/face/{video_id}/{face_id}.jpg", _answering(_face)),
    Route("/img/track/{video_id}/{track_id:int}.jpg", _answering(_track)),
    Route("/img/frame/{video_id}/{face_id}.jpg", _answering(_frame, SLOW)),
    Route("/img/audit/{video_id}/{name}.jpg", _answering(_audited, SLOW)),
    Route("/img/person/{person_id}.jpg", _answering(_person)),
    Route("/img/exported/{video_id}/{file:path}", _answering(_exported)),
    Route("/img/timeline/{video_id}.svg", _timeline),
)
