"""The page of one face, which the rooms link to: it decides nothing."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from identity_pipeline.desk.pages import desk_of, library_of, page
from identity_pipeline.desk.rooms.images import pictures_of
from identity_pipeline.errors import IdentityPipelineError
from identity_pipeline.stages.desk.faces import Face
from identity_pipeline.stages.desk.look import look_at


def _look(request: Request) -> Response:
    desk, pictures = desk_of(request), pictures_of(request)
    face = Face(request.path_params["video_id"], request.path_params["face_id"])
    try:
        look = look_at(library_of(request), pictures.frames, face, desk.settings)
    except IdentityPipelineError as error:
        return page(request, "refused.html.j2", status=404, why=str(error), back="/review")
    pictures.prefetch([one for one in (look.earlier, look.later) if one])
    return page(request, "face.html.j2", look=look)


ROUTES: Final[Collection[Route]] = (Route("/face/{video_id}/{face_id}", _look),)
