"""The room Pictures."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from identity_pipeline.desk.deciding import Act
from identity_pipeline.desk.pages import page


def _room(request: Request) -> Response:
    return page(request, "pictures.html.j2", room="pictures")


ROUTES = (Route("/rides", _room),)
ACTS: Mapping[str, Act] = {}
