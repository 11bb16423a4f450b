"""What cannot be answered, in words: a sentence on a page, never a traceback."""

from __future__ import annotations

import logging
from pathlib import Path

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from identity_pipeline.desk.pages import environment
from identity_pipeline.errors import IdentityPipelineError, system_words
from identity_pipeline.storage.files.tracebacks import keep_traceback

LOG = logging.getLogger(__name__)


class InWords:
    """Answers what a room raises with a sentence; of what nobody foresaw the traceback is kept."""

    def __init__(self, app: ASGIApp, data: Path) -> None:
        self.app, self.data = app, data

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        begun = False

        async def sent(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self.app(scope, receive, sent)
        except Exception as error:
            if scope["type"] != "http" or begun:
                raise
            status, why = self._told(error)
            await _page(why, status)(scope, receive, send)

    def _told(self, error: Exception) -> tuple[int, str]:
        """Status and sentence."""
        if isinstance(error, IdentityPipelineError):
            return 422, str(error)
        if isinstance(error, OSError) and error.errno is not None:
            return 500, system_words(error)
        kept = keep_traceback(error, self.data)
        why = f"Something unforeseen happened: {type(error).__name__}. The traceback is in {kept}."
        LOG.error("%s", why)
        return 500, why


def no_such_page(request: Request, error: Exception) -> Response:
    """What is said of an address that no room knows."""
    del request, error
    return _page("There is no such page.", 404)


def _page(why: str, status: int) -> HTMLResponse:
    """Nothing of the library is on it, which may be what cannot be read."""
    return HTMLResponse(environment().get_template("failed.html.j2").render(why=why), status)
