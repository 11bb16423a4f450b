"""What the desk's pages cost (CPU time) where 10,000 people and 100,000 tracks are known.

`python -m identity_pipeline_tests.benchmarks.bench_desk [--people N]`. The library is invented:
ten tracks a person, of which humans gave two, the machine gave four, one is suggested, and three
are of unknown groups or of none. Rides hold 50 tracks. "first" is a page after a decision, when
nothing of the library is remembered but the generation; "again" is the median of the next five.
Ratios are to a page that shows nothing (`/who`), again. Pictures are measured by
`bench_desk_pictures`; "more like this person" is not asked for: it compares all with all.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import click
import numpy as np
import polars as pl
from rich.console import Console
from rich.table import Table
from starlette.testclient import TestClient

from identity_pipeline.core.vectors import normalise
from identity_pipeline.desk.access import CURATOR, Access
from identity_pipeline.desk.app import create_app
from identity_pipeline.desk.background import Behind
from identity_pipeline.desk.pages import Seen
from identity_pipeline.desk.state import Desk
from identity_pipeline.ledger import events as ev
from identity_pipeline.settings import load_settings
from identity_pipeline.stages.stores import LibraryStores
from identity_pipeline.storage.folder.keys import KeyStore
from identity_pipeline.storage.folder.sealing import line_of, sealed_lines
from identity_pipeline.storage.layout import Layout
from identity_pipeline.storage.library.generations import Generations
from identity_pipeline.storage.video.tables import TableStore
from identity_pipeline.tables import LIBRARY_TABLES, TABLES, conform, empty
from identity_pipeline_tests.benchmarks.bench_ledger import NOW, event_id
from identity_pipeline_tests.benchmarks.memory import peak_mb

TRACKS = 10
"""Of a person."""
OF_RIDE = 50
"""Tracks."""
SIZE = 512
"""Numbers of a template."""
SPACE = f"invented@000000000000/{SIZE}"
GROUP = 10
"""Tracks of an unknown group."""
HOST = "127.0.0.1:3001"
AGAIN = 5
PINS = {"pin_exclude": 0.25, "pin_suggest": 0.35, "pin_assign": 0.45}
STATES = ("known",) * 6 + ("suggested",) + ("unknown",) * 2 + ("noise",)
ORIGINS = ("human",) * 2 + ("auto",) * 4 + (None,) * 4


def ride_of(track: int) -> str:
    """The ride of the nth track: tracks of a person are of several rides."""
    return f"ride-{track // OF_RIDE:06d}-0a1b2c3d"


def key_of(track: int) -> str:
    """How the ledger calls the nth track."""
    return f"track:{ride_of(track)}:{track % OF_RIDE}"


def box_of(number: int) -> tuple[float, float, float, float]:
    """Where the face of a track is, beside the others of its ride."""
    return 70.0 * number, 0.0, 70.0 * number + 60, 60.0


def anchor_of(subject: str) -> ev.Anchor:
    """Where a track was seen when somebody decided about it."""
    number = int(subject.rsplit(":", 1)[1])
    return ev.Anchor(subject=subject, frame_idx=number, box=box_of(number))


def person_id(person: int) -> str:
    """Id of the nth person."""
    return event_id(10**9 + person)


def shuffled(people: int) -> np.ndarray:
    """Numbers of tracks, a row for each person."""
    return np.random.default_rng(0).permutation(people * TRACKS).reshape(people, TRACKS)


def decisions(tracks: np.ndarray) -> Iterator[ev.Event]:
    """Each person is named by two tracks."""
    for person, own in enumerate(tracks[:, :2].tolist()):
        subjects = tuple(sorted(key_of(track) for track in own))
        anchors = tuple(map(anchor_of, subjects))
        yield ev.Created(
            id=event_id(person + 1),
            seq=person + 1,
            time=NOW,
            actor="Ada",
            reason="",
            person_id=person_id(person),
            subjects=subjects,
            anchors=anchors,
            name=f"Person {person}",
        )


def write_ledger(layout: Layout, tracks: np.ndarray) -> None:
    """The decisions, each after the last, as `LedgerStore` would write them."""
    plain = [line_of(event.model_dump(mode="json"), "")[:-1] for event in decisions(tracks)]
    lines = sealed_lines(plain, KeyStore(layout))
    layout.ledger.parent.mkdir(parents=True)
    layout.ledger.write_bytes(b"".join(line + b"\n" for line in lines))


def write_rides(tables: TableStore, count: int, vectors: np.ndarray) -> dict[str, str]:
    """Tables of all rides; gives the version of each one's templates."""
    versions = {}
    for start in range(0, count, OF_RIDE):
        video, numbers = ride_of(start), range(OF_RIDE)
        faces = [f"{n:06d}-0" for n in numbers]
        frames = pl.DataFrame({"face_id": faces, "frame_idx": list(numbers)})
        numbered = frames.with_columns(track_id=pl.Series(numbers, dtype=pl.Int64))
        boxes = pl.DataFrame(
            [box_of(n) for n in numbers], schema=["x1", "y1", "x2", "y2"], orient="row"
        )
        detected = frames.hstack(boxes)
        tables.write("face_detections", video, whole("face_detections", detected), "f")
        tables.write("face_tracks", video, whole("face_tracks", numbered), "f")
        templates = pl.DataFrame(
            {
                "track_key": [key_of(start + n) for n in numbers],
                "video_id": [video] * OF_RIDE,
                "track_id": list(numbers),
                "rider": [n % 2 for n in numbers],
                "face_count": [10] * OF_RIDE,
                "quality": [0.8] * OF_RIDE,
                "best_face_id": faces,
                "frames": [[n] for n in numbers],
                "best_frame": list(numbers),
                "box": [list(box_of(n)) for n in numbers],
                "space": [SPACE] * OF_RIDE,
                "template": vectors[start : start + OF_RIDE],
            }
        )
        written = tables.write("track_templates", video, whole("track_templates", templates), "f")
        versions[video] = written.data_version
    return versions


def whole(name: str, table: pl.DataFrame) -> pl.DataFrame:
    """A table in its schema; what is not given is null."""
    lacking = [pl.lit(None, t).alias(c) for c, t in TABLES[name].items() if c not in table.columns]
    typed = table.with_columns(lacking).select(TABLES[name].keys())
    return conform(name, typed.cast(dict(TABLES[name].items())))


def publish(layout: Layout, tracks: np.ndarray, vectors: np.ndarray, made: dict[str, str]) -> None:
    """The generation in which the machine has placed all tracks."""
    people, flat = tracks.shape[0], tracks.ravel().tolist()
    keys = [key_of(track) for track in flat]
    ids = [person_id(n) for n in range(people) for _ in range(TRACKS)]
    place = list(range(TRACKS)) * people
    states = [STATES[n] for n in place]
    unknown = [key for key, state in zip(keys, states, strict=True) if state == "unknown"]
    groups = [unknown[n : n + GROUP] for n in range(0, len(unknown), GROUP)]
    number = {key: n for n, group in enumerate(groups) for key in group}
    rng = np.random.default_rng(1)
    table = pl.DataFrame(
        {
            "track_key": keys,
            "video_id": [ride_of(track) for track in flat],
            "track_id": [track % OF_RIDE for track in flat],
            "rider": [track % 2 for track in flat],
            "state": states,
            "person_id": [who if n < 7 else None for who, n in zip(ids, place, strict=True)],
            "cluster_id": [number.get(key) for key in keys],
            "origin": [ORIGINS[n] for n in place],
            "score": rng.uniform(0.3, 0.9, len(keys)),
            "margin": rng.uniform(0.01, 0.5, len(keys)),
            "threshold": [0.45] * len(keys),
            "rule": ["above_assign"] * len(keys),
        },
        schema_overrides={"cluster_id": pl.Int64},
    )
    pending = table.filter(state="suggested").select("track_key", "person_id", "score")
    first = tracks[:, 0]
    given = {
        "person_assignments": table,
        "calibration": pl.DataFrame(
            {
                "space": [SPACE] * 3,
                "level": ["template"] * 3,
                "name": ["exclude", "suggest", "assign"],
                "far": [1e-3] * 3,
                "in_effect": list(PINS.values()),
                "method": ["pinned"] * 3,
                "impostor_pairs": [0] * 3,
                "impostor_groups": [0] * 3,
                "exceedances": [0] * 3,
            }
        ),
        "suggestions": pending.with_columns(
            suggestion_id=pl.col("track_key"),
            state=pl.lit("pending"),
            score=pl.lit(0.4),
            first_seen=pl.lit(NOW[:10]),
            expires=pl.lit("2027-01-01"),
        ),
        "unknown_clusters": pl.DataFrame(
            {
                "cluster_id": list(range(len(groups))),
                "track_count": [len(group) for group in groups],
                "face_count": [10 * len(group) for group in groups],
                "video_count": [len(group) for group in groups],
                "confidence": [0.6] * len(groups),
                "representative": [group[0] for group in groups],
                "tracks": groups,
            }
        ),
        "people": pl.DataFrame(
            {
                "person_id": [person_id(n) for n in range(people)],
                "name": [f"Person {n}" for n in range(people)],
                "state": ["active"] * people,
                "cover": [key_of(track) for track in first.tolist()],
                "track_count": [6] * people,
                "face_count": [60] * people,
                "video_count": [6] * people,
            }
        ),
        "person_references": pl.DataFrame(
            {
                "person_id": [person_id(n) for n in range(people)],
                "reference": [key_of(track) for track in first.tolist()],
                "kind": ["exemplar"] * people,
                "pinned": [False] * people,
                "track_keys": [[key_of(track)] for track in first.tolist()],
                "strength": [1.0] * people,
                "quality": [0.8] * people,
                "space": [SPACE] * people,
                "vector": vectors[first],
            }
        ),
    }
    tables = {
        name: whole(name, given[name]) if name in given else empty(name) for name in LIBRARY_TABLES
    }
    Generations(layout).publish(
        tables, "0" * 64, space=SPACE, next_cluster_id=len(groups), versions=made
    )


def invented(root: Path, people: int) -> Desk:
    """The desk of an invented library."""
    layout = Layout(root)
    tables, tracks = TableStore(layout), shuffled(people)
    draw = np.random.default_rng(2).standard_normal((people * TRACKS, SIZE), dtype=np.float32)
    vectors = normalise(draw)
    publish(layout, tracks, vectors, write_rides(tables, people * TRACKS, vectors))
    write_ledger(layout, tracks)
    access = Access(frozenset({HOST}), 3001, lambda token: None)
    settings = load_settings(paths={"data": str(root)}, match=PINS)
    return Desk(settings, LibraryStores.of(tables), access, Behind(root, lambda tracks: None, 1e9))


def pages(people: int) -> dict[str, str]:
    """What is asked for, by what it shows."""
    somebody = person_id(people // 2)
    return {
        "nothing (/who)": "/who",
        "people": "/people",
        "people, by doubt": "/people?order=doubt",
        "people, a search": "/people?q=777",
        "names while typing": "/people/suggest?q=pers",
        "one person": f"/people/{somebody}",
        "a merge previewed": f"/people/{somebody}/merge?into={person_id(1)}",
        "a split proposed": f"/people/{somebody}/split",
        "review": "/review",
        "unknown groups": "/clusters",
        "one group": "/clusters/7",
        "tracks alone": "/alone",
        "rides": "/rides",
        "pictures decided": "/pictures/decided",
    }


def ms(client: TestClient, path: str) -> float:
    """CPU time of an answer.

    Raises:
        SystemExit: it is no page; what is measured would be an error.
    """
    before = time.process_time()
    answer = client.get(path)
    if answer.status_code != 200:
        raise SystemExit(f"{path}: {answer.status_code} {answer.text[-500:]}")
    return (time.process_time() - before) * 1000


def decide(desk: Desk, client: TestClient, track: str) -> float:
    """CPU time of one decision, which gives a track to somebody new; ms."""
    form = {
        "head": Seen(time.time_ns(), desk.library()).head,
        "back": "/who",
        "subject": track,
        "name": f"New {track}",
    }
    before = time.process_time()
    answer = client.post("/act/name", data=form, follow_redirects=False)
    took = (time.process_time() - before) * 1000
    if answer.status_code != 303:
        raise SystemExit(f"the decision was refused: {answer.text[-500:]}")
    return took


@click.command()
@click.option("--people", default=10_000, show_default=True)
def main(people: int) -> None:
    """Print a row for each page, and what memory it took."""
    with tempfile.TemporaryDirectory(prefix="bench-desk-") as folder:
        began = time.process_time()
        desk = invented(Path(folder) / "data", people)
        click.echo(f"{people:,} people, {people * TRACKS:,} tracks: {made_in(began)} to make.")
        with TestClient(create_app(desk), base_url=f"http://{HOST}") as client:
            client.cookies.set(desk.access.cookie, str(desk.access.enter(desk.access.token)))
            client.cookies.set(CURATOR, "Ada")
            rows = measured(desk, client, people)
    print_rows(rows)
    click.echo(f"Peak memory: {peak_mb():,.0f} MB.")


def made_in(began: float) -> str:
    """Seconds since then, in words."""
    return f"{time.process_time() - began:.0f} s"


def measured(desk: Desk, client: TestClient, people: int) -> list[tuple[str, float | None, float]]:
    """What is waited for: first and again, ms."""
    spare = iter(shuffled(people)[:, -1].tolist())
    rows: list[tuple[str, float | None, float]] = []
    opened = ms(client, "/review")
    deciding = [decide(desk, client, key_of(next(spare))) for _ in range(AGAIN)]
    for what, path in pages(people).items():
        decide(desk, client, key_of(next(spare)))
        first = ms(client, path)
        rows.append((what, first, statistics.median(ms(client, path) for _ in range(AGAIN))))
    rows.append(("the first question after a start", opened, opened))
    rows.append(("a decision", deciding[0], statistics.median(deciding)))
    return rows


def print_rows(rows: list[tuple[str, float | None, float]]) -> None:
    """As a table, with ratios to the first row."""
    nothing = rows[0][2]
    shown = Table("page", "first, ms", "again, ms", "ratio, first", "ratio, again")
    for what, first, again in rows:
        told = "" if first is None else f"{first:,.0f}"
        ratio = "" if first is None else f"{first / nothing:,.0f}"
        shown.add_row(what, told, f"{again:,.1f}", ratio, f"{again / nothing:,.1f}")
    Console(width=100).print(shown)


if __name__ == "__main__":
    main()
