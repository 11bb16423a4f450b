"""What a decision costs where many were made before: CPU seconds of the ledger in a command.

`python -m identity_pipeline_tests.benchmarks.bench_ledger [EVENTS ...]`. "label, all anew" reads,
checks and replays every event, and looks for every decision in the tables, as each command did when
nothing of it was kept; the other columns are what a command does now. Medians of five.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import UUID

import click
from rich.console import Console
from rich.table import Table

from identity_pipeline.ledger import commands, store
from identity_pipeline.ledger import events as ev
from identity_pipeline.stages.curation.curation import Curator
from identity_pipeline.stages.curation.snapshot import LibrarySnapshot
from identity_pipeline.stages.stores import LibraryStores
from identity_pipeline.storage.folder.keys import KeyStore
from identity_pipeline.storage.folder.sealing import line_of, sealed_lines
from identity_pipeline.storage.layout import Layout
from identity_pipeline.storage.video.tables import TableStore

SIZES = (1_000, 10_000, 20_000)
TIMES = 5
NOW = "2026-01-02T03:04:05.000Z"
BUDGET_S = 0.1
ANEW = "label, all anew"
PER_PERSON = 8


def event_id(number: int) -> str:
    """An id that is the same every time."""
    return str(UUID(int=(number << 64) | 1))


def events(count: int) -> Iterator[ev.Event]:
    """So many decisions: people with six tracks of as many rides each, a rename and an undo."""
    for seq in range(1, count + 1):
        person, step = divmod(seq - 1, PER_PERSON)
        subject = f"track:ride-{person % 2000:06d}-0a1b2c3d:{8 * (person // 2000) + step}"
        person_id = event_id(10**9 + person)
        head = {"id": event_id(seq), "seq": seq, "time": NOW, "actor": "curator", "reason": ""}
        box = (100.25 * step, 50.0, 100.25 * step + 80, 150.0)
        face = ev.Anchor(subject=subject, frame_idx=40 * step, box=box)
        about = {"person_id": person_id, "subjects": (subject,), "anchors": (face,)}
        if step == 0:
            yield ev.Created(**head, **about, name=f"Person {person}")
        elif step == PER_PERSON - 2:
            yield ev.Renamed(**head, person_id=person_id, name=f"Somebody {person}")
        elif step == PER_PERSON - 1:
            yield ev.Undone(**head, event_id=event_id(seq - 1))
        else:
            yield ev.Confirmed(**head, **about)


def written(root: Path, count: int) -> store.LedgerStore:
    """A ledger of so many decisions."""
    ledger = store.LedgerStore(Layout(root))
    ledger.path.parent.mkdir(parents=True)
    plain = [line_of(event.model_dump(mode="json"), "")[:-1] for event in events(count)]
    lines = sealed_lines(plain, KeyStore(ledger.layout))
    ledger.path.write_bytes(b"".join(line + b"\n" for line in lines))
    return ledger


def seconds(work: Callable[[], object]) -> float:
    """CPU seconds of the median call."""
    took = []
    for _ in range(TIMES):
        before = time.process_time()
        work()
        took.append(time.process_time() - before)
    return statistics.median(took)


def measured(ledger: store.LedgerStore, count: int) -> dict[str, float]:
    """What each kind of command costs."""
    tables = TableStore(ledger.layout)
    numbers = iter(range(10**6))

    def curator() -> Curator:
        return Curator(
            LibrarySnapshot.open(LibraryStores.of(tables), NOW, write=True), "curator", NOW
        )

    def label() -> None:
        number = next(numbers)
        subject = f"track:ride-900000-0a1b2c3d:{number}"
        face = ev.Anchor(subject=subject, frame_idx=3, box=(0, 0, 50, 60))
        who = curator()
        who.decide(
            lambda h, s: commands.name(
                h, commands.Stamp(s.actor, s.time, anchors=[face]), f"New {number}", [subject]
            )
        )

    def undo_last() -> None:
        who = curator()
        who.undo(next(who.library.history.latest_in_force()))

    def undo_old() -> None:
        who = curator()
        # The last confirmation of one of the first people: nothing else rests on it.
        seq = PER_PERSON * (count // 4 // PER_PERSON + next(numbers)) + PER_PERSON - 2
        who.undo(who.library.history.events[seq - 1 - 1])

    def anew() -> None:
        for name in ("replayed.json", "settled.json"):
            ledger.path.with_name(name).unlink(missing_ok=True)
        label()

    before = seconds(anew)
    ledger.history()
    curator()
    return {
        ANEW: before,
        "label": seconds(label),
        "undo last": seconds(undo_last),
        "undo an old one": seconds(undo_old),
        "people": seconds(
            lambda: LibrarySnapshot.open(LibraryStores.of(tables), NOW, write=False).state
        ),
    }


def main() -> None:
    """Measures and prints."""
    sizes = [int(argument) for argument in sys.argv[1:]] or list(SIZES)
    found: dict[int, dict[str, float]] = {}
    for count in sizes:
        with tempfile.TemporaryDirectory(prefix="bench-ledger-") as folder:
            found[count] = measured(written(Path(folder) / "data", count), count)
    table = Table(title="CPU seconds of the ledger's part of a command", title_justify="left")
    table.add_column("events", justify="right")
    for name in found[sizes[0]]:
        table.add_column(name, justify="right")
    for count, row in found.items():
        table.add_row(f"{count:,}", *(f"{took:.3f}" for took in row.values()))
    Console(width=110).print(table)
    worst = max(took for row in found.values() for name, took in row.items() if name != ANEW)
    said = "met" if worst <= BUDGET_S else "missed"
    click.echo(f"The dearest command: {worst:.3f} s (budget {BUDGET_S} s: {said}).")


if __name__ == "__main__":
    main()
