"""Whether two versions of the product make the same bytes of the same rides and decisions.

    python -m identity_pipeline_tests.benchmarks.same_bytes --against REVISION [--keep FOLDER]

The files that git knows of the checkout, as they lie there, and those of REVISION are put in turn
into the same folder, so that all paths are the same. In each, one list of commands runs on short
cuts of the bundled rides: video to image set, a curator's decisions, the library after them, what
is shown of it all. Then every file of both data folders is compared byte by byte, and so is what
each command printed. Exits with 1 where something differs.

The commands are the product's own (`python -m identity_pipeline ...`), so that nothing here knows
how a version is built inside. Their clock stands still, a minute further for each command, and
the ids that they draw are numbered (`STAGED`), so that decisions are the same bytes too; what
cannot be had the same is in `NOT_COMPARED`, each with the reason.

`--keep FOLDER` keeps what REVISION made, by its commit and this list of commands, and takes it from
there the next time; what the checkout made lies beside it, for a closer look.
"""

from __future__ import annotations

import difflib
import fcntl
import hashlib
import io
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from fnmatch import fnmatch
from itertools import islice
from pathlib import Path
from typing import Final, NamedTuple

import click
import cv2
import polars as pl

from identity_pipeline_tests.benchmarks.parts import decoded_frames, shortened

CHECKOUT: Final = Path(__file__).parents[2]
PLACE: Final = Path(tempfile.gettempdir()) / "identity-pipeline-same-bytes"
"""Where every version runs, one at a time: exports and registrations name it."""
RIDES: Final = PLACE / "rides"
SECONDS: Final = 3.0
"""Of each ride: as much as its people need to be seen from several sides."""
STAGED: Final = """
import datetime, hashlib, itertools, os, sys, time_machine, uuid

number = int(os.environ["SAME_BYTES_COMMAND"])
start = datetime.datetime(2026, 3, 1, 9, tzinfo=datetime.UTC)
time_machine.travel(start + datetime.timedelta(minutes=number), tick=False).start()
random, drawn = uuid.uuid4, itertools.count()


def uuid4():
    asking = sys._getframe(1)
    name = asking.f_globals.get("__name__", "")
    if not name.startswith("identity_pipeline.") or name.endswith(".atomic"):
        return random()  # Dagster's, and names of files that are gone when they are written
    digest = hashlib.sha256(f"{number} {next(drawn)}".encode()).digest()
    return uuid.UUID(bytes=digest[:16], version=4)


uuid.uuid4 = uuid4
"""
"""What Python runs before every command (`sitecustomize`)."""
ENVIRONMENT: Final = {
    "COLUMNS": "160",
    "HF_HUB_OFFLINE": "1",
    "IDENTITY_PIPELINE__MODELS__DEVICE": "cpu",
    "IDENTITY_PIPELINE__PATHS__DATA": str(PLACE / "data"),
    "IDENTITY_PIPELINE__PUBLISH__URL": f"file://{PLACE}/store",
    "IDENTITY_PIPELINE__VIDEO__ANALYSIS_FPS": "5",
    "PYTHONDONTWRITEBYTECODE": "1",
    "USER": "curator",
}
MADE: Final = ("data", "restored", "said", "store")
"""Folders that are compared: the data folder, one restored from its backup, what the commands
printed, the object store."""
SHOWN, WIDE = 8, 160
"""Lines of a difference, and how much of each."""
REFUSED: Final = "refused: "
"""Before a command that must say no; every other one must do what it is asked."""
COMMANDS: Final = [
    line.strip()
    for line in f"""
    refused: run {RIDES}/duo_a.mp4 {RIDES}/solo.mp4 {RIDES}/no_video.mp4
    plan {RIDES}/duo_a.mp4 --json
    clusters --json
    label duo_a:1 --name Ada
    label duo_a:2 --name Cara
    label solo:2 --name Bea --reason pass
    recluster
    explain solo:1 --json
    suggestions --all-for Ada
    undo last
    confirm solo:1
    reject duo_a:2 --person Ada
    split Ada solo:1 --name Dora
    undo last
    merge Cara Bea --reason twins
    rename Bea Beate
    cover Ada duo_a:1
    hide Ada
    refused: undo 3
    recluster --json
    people --hidden --json
    stats --json
    events --verify --json
    index rebuild
    index check --json
    identify {RIDES}/picture.png --json
    why duo_a 30 --json
    evaluate --json
    sql "FROM tracks ORDER BY ALL" --json
    IDENTITY_PIPELINE__SELECTION__NOVELTY_MIN=0.3 plan --json
    IDENTITY_PIPELINE__SELECTION__NOVELTY_MIN=0.3 run {RIDES}/duo_a.mp4
    status --json
    publish
    fetch solo --force
    backup {PLACE}/backup.zip
    restore {PLACE}/backup.zip --data {PLACE}/restored
    archive --older-than 0 --json
    pause --reason lunch
    continue
    clean
    videos --json
    """.strip().splitlines()
]


class Rule(NamedTuple):
    """What is not compared as it lies there.

    Attributes:
        files: which ones, below what a version made; `*` crosses folders.
        why: the reason.
        pattern: what is taken out of them; empty: the whole file.
    """

    files: str
    why: str
    pattern: str = ""


_FRACTION: Final = r"[0-9]+\.[0-9e.-]+"
NOT_COMPARED: Final = (
    Rule("*/dagster/*", "Dagster's own databases and logs: its ids of runs, the names of steps"),
    Rule("*lock", "who held a lock last: a process id"),
    Rule("*/.locks/*", "who held a lock last: a process id"),
    Rule("*/registry/known_files.sqlite*", "a memory that may be deleted: stamps of the disk"),
    Rule("*/registry/digests/*", "a memory that may be deleted: stamps of the disk"),
    Rule("*/progress/costs/*", "seconds that were measured", r'"seconds": [0-9.e-]+'),
    Rule("*/settled.json", "when files were written, and their inodes", r"\b1[0-9]{18}\b(/\d+)*"),
    Rule("said/*-run.txt", "seconds that were measured", r"\b[0-9]+:[0-9]{2}:[0-9]{2}\b"),
    Rule("said/*-plan.txt", "seconds that were measured", r'"seconds": [0-9.e-]+'),
    Rule("said/*-status.txt", "seconds that were measured, and shares of them", _FRACTION),
    Rule(
        "*/progress/batches.json",
        "seconds that were measured",
        rf'"(?!opened_at)[a-z_]+": {_FRACTION}',
    ),
)
"""All that is not held against each other byte by byte; the clock and the ids are (`STAGED`)."""


@contextmanager
def place() -> Iterator[None]:
    """The folder, empty, for one process at a time; it is gone afterwards."""
    with PLACE.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        shutil.rmtree(PLACE, ignore_errors=True)
        PLACE.mkdir()
        try:
            yield
        finally:
            shutil.rmtree(PLACE, ignore_errors=True)


def git(*words: str) -> bytes:
    """What git says."""
    return subprocess.run(["git", "-C", CHECKOUT, *words], check=True, capture_output=True).stdout


def as_it_lies(tree: Path) -> None:
    """Copies the checkout: what git knows, and what it does not ignore."""
    for name in git("ls-files", "-z", "--cached", "--others", "--exclude-standard").split(b"\0"):
        source = CHECKOUT / os.fsdecode(name)
        if name and source.is_file():
            target = tree / os.fsdecode(name)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)


def of_revision(commit: str) -> Callable[[Path], None]:
    """What unpacks a revision."""

    def unpack(tree: Path) -> None:
        with tarfile.open(fileobj=io.BytesIO(git("archive", commit))) as archive:
            archive.extractall(tree, filter="data")

    return unpack


def played(unpack: Callable[[Path], None], result: Path) -> Path:
    """Runs all commands on a version.

    Args:
        unpack: puts the version into a folder.
        result: where to put what it made and said; it appears when everything has run.

    Raises:
        click.ClickException: a command did not end as it must.
    """
    with place():
        for folder in ("tree", "said", "site", "store", "rides"):
            (PLACE / folder).mkdir()
        unpack(PLACE / "tree")
        (PLACE / "site" / "sitecustomize.py").write_text(STAGED)
        _material()
        for number, line in enumerate(COMMANDS):
            _run(number, line)
        shutil.rmtree(result, ignore_errors=True)
        whole = result.with_name(f".{result.name}")
        shutil.rmtree(whole, ignore_errors=True)
        whole.mkdir(parents=True)
        for made in MADE:
            shutil.move(PLACE / made, whole)
        whole.rename(result)
    return result


def _material() -> None:
    bundled = CHECKOUT / "identity_pipeline" / "bundled" / "rides"
    for ride in ("duo_a", "solo"):
        shortened(bundled / f"demo_{ride}.mp4", SECONDS, RIDES / f"{ride}.mp4")
        shutil.copy(bundled / f"demo_{ride}.truth.json", RIDES / f"{ride}.truth.json")
    (picture,) = decoded_frames(RIDES / "solo.mp4", 1)
    cv2.imwrite(str(RIDES / "picture.png"), picture)
    (RIDES / "no_video.mp4").write_bytes(b"no video")


def _run(number: int, line: str) -> None:
    """Runs a command, and writes what it said."""
    words = shlex.split(line.removeprefix(REFUSED))
    given = dict(word.split("=", 1) for word in words if word.startswith("IDENTITY_PIPELINE__"))
    tree = PLACE / "tree"
    environment = {
        **{
            n: v for n, v in os.environ.items() if not n.startswith(("IDENTITY_PIPELINE", "QDRANT"))
        },
        **ENVIRONMENT,
        **given,
        "DAGSTER_HOME": str(tree),
        "PYTHONPATH": os.pathsep.join((str(PLACE / "site"), str(tree))),
        "SAME_BYTES_COMMAND": str(number),
    }
    done = subprocess.run(
        [sys.executable, "-m", "identity_pipeline", *words[len(given) :]],
        cwd=tree,
        env=environment,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    refused = line.startswith(REFUSED)
    if (done.returncode != 0) != refused:
        raise click.ClickException(f"{line}: status {done.returncode}\n{done.stdout}{done.stderr}")
    told = done.stdout + (done.stderr if refused else "")
    name = f"{number:02}-{words[len(given)]}.txt"
    (PLACE / "said" / name).write_text(f"$ {line}\n{told}")


def compared(result: Path) -> dict[str, bytes]:
    """What is held against another version, by file."""
    found = {}
    for path in sorted(result.rglob("*")):
        name = path.relative_to(result).as_posix()
        rules = [rule for rule in NOT_COMPARED if fnmatch(name, rule.files)]
        if not path.is_file() or not all(rule.pattern for rule in rules):
            continue
        content = path.read_bytes()
        for rule in rules:
            content = re.sub(rule.pattern.encode(), b"...", content)
        found[name] = content
    return found


def difference(name: str, one: bytes | None, other: bytes | None) -> str:
    """What is different in a file, in a few words."""
    if one is None or other is None:
        return "new" if one is None else "gone"
    if name.endswith(".parquet"):
        return _of_tables(*(pl.read_parquet(io.BytesIO(content)) for content in (one, other)))
    if b"\0" in one[:1024] or name.endswith((".jpg", ".png", ".zip")):
        return f"other bytes: {len(one)} before, {len(other)} now"
    lines = difflib.unified_diff(_lines(name, one), _lines(name, other), n=0, lineterm="")
    return "\n".join(f"    {line[:WIDE]}" for line in islice(lines, 2, 2 + SHOWN))


def _lines(name: str, content: bytes) -> list[str]:
    text = content.decode(errors="replace")
    if name.endswith(".json"):
        with suppress(ValueError):
            text = json.dumps(json.loads(text), indent=1)
    return text.splitlines()


def _of_tables(one: pl.DataFrame, other: pl.DataFrame) -> str:
    if one.schema != other.schema:
        return f"columns: {dict(one.schema)} before, {dict(other.schema)} now"
    if one.height != other.height:
        return f"{one.height} rows before, {other.height} now"
    columns = [name for name in one.columns if not one[name].equals(other[name])]
    return f"values of {', '.join(columns)}" if columns else "the same rows in other bytes"


def told(before: dict[str, bytes], now: dict[str, bytes]) -> int:
    """Prints what differs, and how much was compared; returns how many files differ."""
    different = sorted(n for n in before.keys() | now.keys() if before.get(n) != now.get(n))
    for name in different:
        click.echo(f"{name}\n  {difference(name, before.get(name), now.get(name))}")
    kinds = Counter(name.split("/")[0] for name in now)
    said = ", ".join(f"{count} in {kind}" for kind, count in sorted(kinds.items()))
    click.echo(f"{len(now)} files compared ({said}), {len(different)} differences.")
    return len(different)


@click.command(help=(__doc__ or "").split("\n\n")[0])
@click.option("--against", required=True, metavar="REVISION", help="What must be the same.")
@click.option("--keep", type=Path, help="Folder that keeps what revisions made.")
def main(against: str, keep: Path | None) -> None:
    """Runs both versions, and compares."""
    commit = git("rev-parse", "--verify", f"{against}^{{commit}}").decode().strip()
    scenario = json.dumps([STAGED, ENVIRONMENT, COMMANDS, SECONDS, str(PLACE)])
    key = f"{commit[:12]}-{hashlib.sha256(scenario.encode()).hexdigest()[:8]}"
    with tempfile.TemporaryDirectory(prefix="same-bytes-") as temporary:
        folder = keep.resolve() if keep else Path(temporary)
        before = folder / key
        if not before.is_dir():
            played(of_revision(commit), before)
        now = played(as_it_lies, folder / f"checkout-{CHECKOUT.name}")
        sys.exit(1 if told(compared(before), compared(now)) else 0)


if __name__ == "__main__":
    main()
