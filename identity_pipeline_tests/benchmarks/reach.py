"""What the pipeline is to reach, beside what this machine reaches: one table of all benchmarks.

Each benchmark measures and says its own rows; here they are run one after the other, in processes
of their own, and told together. A figure that was not measured is said to be that. At full sizes
they take hours: with `--keep` what ended is kept, and a later call goes on behind it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import click
from rich.console import Console
from rich.table import Table

from identity_pipeline.storage.files import atomic
from identity_pipeline_tests.benchmarks.material import PROJECT

ROWS: Final = "reach"
"""The key below which a benchmark's `--json` holds its rows."""


@dataclass(frozen=True)
class Row:
    """One figure.

    Attributes:
        what: is measured, on what.
        reach: what it is to be.
        here: what it is on this machine.
        met: whether that is reached; None where it cannot be told here.
        why: the cause, where it is missed or cannot be told.
    """

    what: str
    reach: str
    here: str
    met: bool | None
    why: str = ""


def as_json(rows: Sequence[Row]) -> dict[str, Any]:
    """Rows as a benchmark adds them to what it writes."""
    return {ROWS: [asdict(row) for row in rows]}


@dataclass(frozen=True)
class Bench:
    """A benchmark.

    Attributes:
        module: below this package.
        short, full: its arguments for `make bench` and for `make bench-full`; None: not run.
    """

    module: str
    short: Sequence[str] | None = ()
    full: Sequence[str] | None = ()


BENCHES: Final[Sequence[Bench]] = (
    Bench(
        "bench_commands",
        ("--no-help-texts", "--no-run", "--videos", "1000"),
        ("--no-help-texts", "--no-run", "--videos", "20000"),
    ),
    Bench("bench_video", ("--seconds", "6"), ("--minutes", "2")),
    Bench("bench_video", None, ("--production-size", "--no-users-loop")),
    Bench("bench_pass", ("--rounds", "1"), ("--rounds", "3")),
    Bench("bench_dagster", ("--seconds", "4"), ("--minutes", "2")),
    Bench("bench_gpu", ("--minutes", "0.2")),
    Bench("bench_increment", (), ("--tracks", "100000", "--people", "500")),
    Bench("bench_worker", ("--videos", "8"), ("--videos", "200")),
    Bench(
        "bench_throughput",
        ("--no-bare", "--videos", "6", "--seconds", "1", "--at-once", "1", "--at-once", "2"),
        (),
    ),
    Bench("bench_clustering", (), ("--full",)),
    Bench("bench_packs", ("--videos", "200"), ("--videos", "20000")),
)


@dataclass(frozen=True)
class Keeping:
    """Where rows are kept, and by whom they are measured.

    Attributes:
        folder: a file a benchmark; it is written when all of its rows are there.
        commit: of the code, with a mark where files differ from it.
    """

    folder: Path
    commit: str

    def rows_of(self, bench: Bench, arguments: Sequence[str]) -> list[Row]:
        """The rows of a benchmark; one of which none are kept is run, and its output seen."""
        command = [sys.executable, "-m", f"{__package__}.{bench.module}", *arguments]
        words = " ".join(["python", *command[1:]])
        click.secho(f"\n$ {words}", bold=True)
        kept = self.folder / f"{bench.module}-{sha256(words.encode()).hexdigest()[:8]}.json"
        if (rows := self._kept(kept)) is not None:
            return rows
        told = kept.with_name(f"told-{kept.name}")
        told.unlink(missing_ok=True)
        began = time.perf_counter()
        done = subprocess.run([*command, "--json", str(told)], check=False)
        click.echo(f"({time.perf_counter() - began:.0f} s, load {os.getloadavg()[0]:.1f})")
        if done.returncode or not told.is_file():
            return [Row(bench.module, "", "not measured", None, f"it ended with {done.returncode}")]
        rows = [Row(**row) for row in json.loads(told.read_text(encoding="utf-8"))[ROWS]]
        at = datetime.now(UTC).isoformat(timespec="minutes")
        atomic.write_json(
            kept, {"command": words, "at": at, "commit": self.commit, **as_json(rows)}
        )
        return rows

    def _kept(self, path: Path) -> list[Row] | None:
        """Rows of an earlier call, which say so where other code gave them; None without any."""
        if not path.is_file():
            return None
        try:
            before = json.loads(path.read_text(encoding="utf-8"))
            rows = [Row(**row) for row in before[ROWS]]
            by = f"measured at {before['at']} with commit {before['commit']}"
        except (ValueError, KeyError, TypeError) as error:
            click.echo(f"({path} is damaged, so it is measured again: {error!r})")
            return None
        click.echo(f"({by}: {path})")
        if before["commit"] == self.commit:
            return rows
        return [replace(row, why="; ".join(filter(None, (row.why, by)))) for row in rows]


def _commit() -> str:
    command = ["git", "-C", str(PROJECT), "describe", "--always", "--dirty"]
    try:
        done = subprocess.run(command, check=False, capture_output=True, text=True)
    except OSError:
        return "unknown"
    return done.stdout.strip() or "unknown"


def table_of(rows: Sequence[Row]) -> Table:
    """The rows, with a word on each."""
    table = Table(title=f"Reach, on {os.cpu_count()} cores", title_justify="left", show_lines=True)
    for name in ("what", "reach", "here", "", "why not"):
        table.add_column(name, overflow="fold")
    words = {True: "met", False: "MISSED", None: "untold"}
    for row in rows:
        table.add_row(row.what, row.reach, row.here, words[row.met], row.why)
    return table


@click.command(help=(__doc__ or "").split("\n\n")[0])
@click.option("--full", is_flag=True, help="Full sizes: hours rather than minutes.")
@click.option(
    "--only",
    multiple=True,
    type=click.Choice(list(dict.fromkeys(bench.module for bench in BENCHES))),
    help="Run this benchmark alone; may be given again.",
)
@click.option(
    "--keep",
    type=click.Path(file_okay=False, path_type=Path),
    help="Keep in this folder what was measured, and tell it rather than measure it again.",
)
@click.option("--json", "json_file", type=Path, help="Also write the rows to this file.")
def main(full: bool, only: tuple[str, ...], keep: Path | None, json_file: Path | None) -> None:
    """Runs all and prints the table."""
    rows: list[Row] = []
    with ExitStack() as ends:
        folder = keep or Path(ends.enter_context(tempfile.TemporaryDirectory(prefix="reach-")))
        folder.mkdir(parents=True, exist_ok=True)
        keeping = Keeping(folder, _commit())
        for bench in BENCHES:
            arguments = bench.full if full else bench.short
            if arguments is not None and (not only or bench.module in only):
                rows += keeping.rows_of(bench, arguments)
    Console(width=max(120, Console().width)).print(table_of(rows))
    if json_file:
        json_file.write_text(json.dumps(as_json(rows), indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
