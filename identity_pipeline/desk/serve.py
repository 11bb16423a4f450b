"""Runs the desk until it is stopped."""

from __future__ import annotations

import socket
import webbrowser
from collections.abc import Callable
from functools import partial
from urllib.parse import urlsplit

from identity_pipeline.desk.access import Access
from identity_pipeline.desk.app import create_app
from identity_pipeline.desk.background import Behind
from identity_pipeline.desk.state import Desk, faces_of
from identity_pipeline.settings import Settings
from identity_pipeline.stages.stores import LibraryStores

LOOPBACK = "127.0.0.1"
EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104 - what is listened on when it is asked for


def serve(
    stores: LibraryStores,
    settings: Settings,
    say: Callable[[str], None],
    *,
    host: str = LOOPBACK,
    port: int,
    password: str | None = None,
    show: bool = False,
) -> None:
    """Serves a data folder; returns when it is stopped.

    Args:
        stores: of the data folder.
        settings: in force.
        say: prints a line.
        host: address to listen on.
        port: 0: any that is free.
        password: for other machines; None: only the printed address opens a browser.
        show: open the address in the browser of this machine.

    Raises:
        OSError: the port is taken, or the address is not of this machine.
        LedgerError: the ledger is damaged.
    """
    import uvicorn

    stores.ledger.history()  # what is damaged is said here, not on each page
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, port), family=family) as listening:
        taken = listening.getsockname()[1]
        access = Access(
            _names(host, taken, settings), taken, lambda token: None, password, host in EVERYWHERE
        )
        called = f"{_in_url(_own(host) if access.everywhere else host)}:{taken}"
        access.announce = lambda token: say(f"For one more browser: {_address(called, token)}")
        behind = Behind(stores.layout.root, partial(faces_of, stores))
        address = _address(called, access.token)
        say(f"The desk is open: {address}")
        say("The address opens one browser. Ctrl+C ends the desk; nothing is lost.")
        if host != LOOPBACK:
            at = f"port {taken} of this machine" if access.everywhere else f"http://{called}"
            say(
                f"Others open {at} with the password. What they see is not "
                "encrypted on its way: put a proxy with TLS before it, and its address into "
                "desk.url."
            )
        config = uvicorn.Config(
            create_app(Desk(settings, stores, access, behind)),
            log_level="warning",
            server_header=False,
            timeout_graceful_shutdown=5,
        )
        if show:
            webbrowser.open(address)
        try:
            uvicorn.Server(config).run([listening])
        finally:
            behind.end()  # also where the end was not waited for


def _address(called: str, token: str) -> str:
    return f"http://{called}/enter?token={token}"


def _own(host: str) -> str:
    """This machine, by the family of an address that stands for all of its addresses."""
    return "::1" if ":" in host else LOOPBACK


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _names(host: str, port: int, settings: Settings) -> frozenset[str]:
    """By which names the desk is called: of this machine, of the setting, and the given one."""
    names = {f"{name}:{port}" for name in (LOOPBACK, "localhost", _in_url(host))}
    return frozenset(names | {urlsplit(settings.desk.url).netloc} - {""})
