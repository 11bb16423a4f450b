"""What a launcher and its workers say to each other: JSON lines over a pair of connected sockets.

The pair has no name and no port: nobody but the two processes that hold its ends can speak on it,
and each learns at once when the other is gone.
"""

from __future__ import annotations

import json
import socket
from contextlib import suppress
from multiprocessing.connection import wait
from typing import Any

READ_BYTES = 1 << 16


class ChannelClosedError(ConnectionError):
    """The other process is gone."""


class Channel:
    """One end.

    Args:
        end: a connected stream socket, which is closed with the channel.
    """

    def __init__(self, end: socket.socket) -> None:
        self._end = end
        self._read = b""

    def send(self, **message: Any) -> None:
        """Sends a message.

        Raises:
            ChannelClosedError: the other process is gone.
        """
        try:
            self._end.sendall(json.dumps(message).encode() + b"\n")
        except OSError as error:
            raise ChannelClosedError(str(error)) from error

    def receive(self, timeout_s: float | None = None) -> dict[str, Any] | None:
        """The next message; None where none came in time.

        Args:
            timeout_s: None waits for as long as it takes.

        Raises:
            ChannelClosedError: the other process is gone.
        """
        while b"\n" not in self._read:
            if not wait([self._end], timeout_s):
                return None
            try:
                more = self._end.recv(READ_BYTES)
            except OSError as error:
                raise ChannelClosedError(str(error)) from error
            if not more:
                raise ChannelClosedError("the other end is closed")
            self._read += more
        line, _, self._read = self._read.partition(b"\n")
        return json.loads(line)

    def hang_up(self) -> None:
        """Tells the other process, and whoever listens here, that nothing more will come."""
        with suppress(OSError):  # the other one was first
            self._end.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Gives the descriptor back; nobody may be listening any more."""
        self._end.close()
