"""Ctrl-C and SIGTERM end a command, all of it, with the exit status that a shell expects.

What was finished stays; what was under way is taken up by the same command. Exit status 130 for
Ctrl-C, 143 for SIGTERM.
"""

from __future__ import annotations

import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import click

SIGNALS = (signal.SIGINT, signal.SIGTERM)
SHELL = 128
"""A shell adds this to the number of the signal that ended a command."""


class Terminated(SystemExit):
    """SIGTERM: like Ctrl-C, but nothing may take it for a person who has seen enough."""

    def __init__(self) -> None:
        super().__init__(SHELL + signal.SIGTERM)


@contextmanager
def stoppable() -> Iterator[None]:
    """While the block runs, both signals raise in it. Who catches Ctrl-C: `cli.failures`.

    One function handles both: Dagster puts the handler of SIGINT in the place of that of SIGTERM.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in SIGNALS}
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:  # a script's `&` has Ctrl-C ignored on purpose
            signal.signal(number, _stop)
    try:
        yield
    except Terminated:
        click.echo("\nStopped by SIGTERM.", err=True)
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _stop(number: int, frame: FrameType | None) -> None:
    del frame
    raise_for(number)


def raise_for(number: int) -> None:
    """What a signal raises.

    Raises:
        Terminated: for SIGTERM.
        KeyboardInterrupt: for Ctrl-C.
    """
    if number == signal.SIGTERM:
        raise Terminated
    raise KeyboardInterrupt


class Heard:
    """Which of the signals came while others handled them; see `hearing`."""

    def __init__(self, ears: socket.socket) -> None:
        self._ears = ears

    def signal(self) -> int | None:
        """The last of them, or None; each is told once."""
        try:
            numbers = [number for number in self._ears.recv(4096) if number in SIGNALS]
        except BlockingIOError:
            return None
        return numbers[-1] if numbers else None


@contextmanager
def hearing() -> Iterator[Heard]:
    """While the block runs, signals are noted, whoever handles them.

    Dagster ends the run at hand by them, and says of it no more than that it did not succeed.
    """
    ears, mouth = socket.socketpair()
    with ears, mouth:
        ears.setblocking(False)
        mouth.setblocking(False)
        if threading.current_thread() is not threading.main_thread():
            yield Heard(ears)
            return
        before = signal.set_wakeup_fd(mouth.fileno(), warn_on_full_buffer=False)
        try:
            yield Heard(ears)
        finally:
            signal.set_wakeup_fd(before)
