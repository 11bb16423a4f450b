"""A process that labels and prints each event's id once it is acknowledged.

Arguments: data folder, salt of the names, count (0: until it is killed), mode. In the modes `half`
and `whole` it dies by SIGKILL inside the last append: after half of the line, or after all of it
but before it is acknowledged; `steady` does not.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from identity_pipeline.ledger import commands, store
from identity_pipeline.storage.layout import Layout
from identity_pipeline_tests.ledger.curator import TIME, anchor, t


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def write_half(descriptor: int, data: bytes) -> None:
    os.write(descriptor, data[: len(data) // 2])
    die()


def main(data: str, salt: str, count: str, mode: str) -> None:
    ledger, number = store.LedgerStore(Layout(Path(data))), 0
    while not int(count) or number < int(count):
        number += 1
        last = number == int(count)
        if last and mode == "half":
            store._write_all = write_half
        if last and mode == "whole":
            store.LedgerStore._note_head = lambda *_: die()
        subject = t(number, f"ride-{salt}")
        stamp = commands.Stamp(f"writer {salt}", TIME, anchors=[anchor(subject)])
        name = f"{salt}-{os.getpid()}-{number}"
        planned = ledger.commit(
            lambda history, s=stamp, n=name, x=subject: (
                commands.name(history, s, n, [x])
                if x not in history.state.assigned
                else commands.rename(history, s, history.state.assigned[x], n)
            )
        )
        print(planned.event.id, flush=True)  # noqa: T201


if __name__ == "__main__":
    main(*sys.argv[1:])
