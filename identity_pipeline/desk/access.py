"""Who may come in: a one-time address on this machine, or a password from others.

The address that is printed holds a token that opens one session and is then worth nothing; the next
one is printed when it was used. Sessions live in memory: a desk that is started anew asks again.
"""

from __future__ import annotations

import hmac
import ipaddress
import secrets
from asyncio import Lock, sleep
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import quote, unquote

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

CURATOR = "desk_curator"
"""Cookie of the curator's name."""
SECURE: Mapping[str, str] = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
"""What every answer says: nothing of another origin is loaded, and nobody frames the page."""
WRONG_WAIT_S = 1.0
"""A wrong password is answered after so long, and no other is looked at meanwhile; chosen: a
thousand guesses take a quarter of an hour, also where they are sent at once."""
OPEN = ("/enter", "/static/")
"""Paths for which no session is needed; they show nothing of the data folder."""
SAFE = ("GET", "HEAD")


@dataclass
class Access:
    """The keys of one desk.

    Attributes:
        hosts: values of the header `Host` that are answered: whoever comes by another name was
            led here by a foreign page.
        port: on which it listens.
        everywhere: listens on all addresses of the machine: it also answers to any address in
            numbers, which no foreign page can make mean another machine.
        announce: told each token that opens a session, as soon as it does.
        password: opens a session, too; None: only tokens do.
    """

    hosts: frozenset[str]
    port: int
    announce: Callable[[str], None]
    password: str | None = None
    everywhere: bool = False
    token: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    _sessions: set[str] = field(default_factory=set)
    _guessing: Lock = field(default_factory=Lock)

    @property
    def cookie(self) -> str:
        """Name of the session's cookie: of its own for each port, which cookies do not tell."""
        return f"desk_{self.port}"

    def enter(self, token: str) -> str | None:
        """A new session for a token, which is spent by it; None: it is not the one."""
        if not hmac.compare_digest(token.encode(), self.token.encode()):
            return None
        self.token = secrets.token_urlsafe(24)
        self.announce(self.token)
        return self._session()

    def answers_to(self, host: str | None) -> bool:
        """Whether the desk goes by a value of the header `Host`."""
        return host in self.hosts or (self.everywhere and _in_numbers(host or ""))

    async def enter_by_password(self, given: str) -> str | None:
        """A new session for the password; None: it is not the one, or there is none.

        Whoever guesses waits, one after the other: see `WRONG_WAIT_S`.
        """
        if self.password is None:
            return None
        async with self._guessing:
            if hmac.compare_digest(given.encode(), self.password.encode()):
                return self._session()
            await sleep(WRONG_WAIT_S)
            return None

    def knows(self, session: str | None) -> bool:
        """Whether a cookie is of a session that was opened here."""
        return session is not None and session in self._sessions

    def leave(self, session: str | None) -> None:
        """Ends a session."""
        self._sessions.discard(session or "")

    def _session(self) -> str:
        session = secrets.token_urlsafe(32)
        self._sessions.add(session)
        return session


class Guard:
    """Lets in whom `Access` knows, and puts `SECURE` on every answer."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self.app, self.access = app, access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def secured(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in SECURE.items():
                    headers[name] = value
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        refusal = self._refusal(Request(scope))
        await (refusal or self.app)(scope, receive, secured)

    def _refusal(self, request: Request) -> Response | None:
        if not self.access.answers_to(request.headers.get("host")):
            return PlainTextResponse(
                "This desk does not go by that name: open it by the address that it printed, or "
                "put the name that a proxy gives it into the setting desk.url.",
                421,
            )
        if request.method not in SAFE and not _same_origin(request.headers):
            return PlainTextResponse(
                "Only the desk's own pages may decide. A proxy before it must pass the header "
                "Host on.",
                403,
            )
        path: str = request.scope["path"]  # not of the URL, which a header has a part in
        if path.startswith(OPEN) or self.access.knows(request.cookies.get(self.access.cookie)):
            return None
        if request.method in SAFE and "hx-request" not in request.headers:
            query = f"?{request.url.query}" if request.url.query else ""
            return RedirectResponse(f"/enter?next={quote(path + query)}", 303)
        # A page that was open when the desk was started anew goes where one comes in.
        return PlainTextResponse(
            "Open the desk by the address that it printed.",
            401,
            {"HX-Redirect": f"/enter?next={quote(path)}"} if request.method in SAFE else None,
        )


def _in_numbers(host: str) -> bool:
    """Whether a header `Host` is an address in numbers, with or without a port."""
    name = host.partition("]")[0].lstrip("[") if host.startswith("[") else host.partition(":")[0]
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _same_origin(headers: Headers) -> bool:
    """Whether a request comes of a page of the desk, by what browsers say and pages cannot."""
    site = headers.get("sec-fetch-site")
    origin = headers.get("origin")
    host = headers.get("host")
    return site in (None, "same-origin") and origin in (None, f"http://{host}", f"https://{host}")


def curator_of(request: Request) -> str | None:
    """The name of whoever sits there; None: they were not asked yet."""
    return unquote(request.cookies.get(CURATOR, "")) or None


def remember(
    request: Request, response: Response, name: str, value: str, *, days: int | None = None
) -> Response:
    """The answer, with a cookie that no script reads and no other site sends.

    To whom TLS leads here it is sent by TLS alone.
    """
    response.set_cookie(
        name,
        quote(value),
        max_age=days * 86400 if days else None,
        secure=request.url.scheme == "https",
        httponly=True,
        samesite="strict",
    )
    return response
