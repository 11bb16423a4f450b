"""Runs the desk until it is stopped."""

from __future__ import annotations

import socket
from collections.abc import Callable

from identity_pipeline.desk.access import Access
from identity_pipeline.desk.app import create_app
from identity_pipeline.desk.state import Desk
from identity_pipeline.settings import Settings
from identity_pipeline.stages.stores import LibraryStores

LOOPBACK = "127.0.0.1"


def serve(
    stores: LibraryStores,
    settings: Settings,
    say: Callable[[str], None],
    *,
    host: str = LOOPBACK,
    port: int,
    password: str | None = None,
) -> None:
    """Serves a data folder; returns when it is stopped.

    Args:
        stores: of the data folder.
        settings: in force.
        say: prints a line.
        host: address to listen on.
        port: 0: any that is free.
        password: from other machines; None: only by the printed address.

    Raises:
        OSError: the port is taken.
    """
    import uvicorn

    stores.ledger.history()  # what is damaged is said here, not on each page
    with socket.create_server((host, port)) as listening:
        taken = listening.getsockname()[1]
        names = {LOOPBACK, "localhost", host}
        hosts = frozenset(f"{name}:{taken}" for name in names)

        def announce(token: str) -> None:
            say(f"For one more browser: http://{LOOPBACK}:{taken}/enter?token={token}")

        access = Access(hosts, announce, password)
        say(f"The desk is open: http://{LOOPBACK}:{taken}/enter?token={access.token}")
        say("The address opens one browser; Ctrl+C ends the desk, and loses nothing.")
        config = uvicorn.Config(
            create_app(Desk(settings, stores, access)), log_level="warning", server_header=False
        )
        uvicorn.Server(config).run([listening])
