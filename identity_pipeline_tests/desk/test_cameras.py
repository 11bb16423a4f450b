"""What the desk and the command line show of cameras: known, not known yet, and damaged."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner

from identity_pipeline.cli.main import cli
from identity_pipeline.core.ride.labels import PhaseLabel, PlacedLabel
from identity_pipeline.media.camera_figures import LABEL_H, LABEL_W, seats_svg
from identity_pipeline.media.watch_figure import watch_svg
from identity_pipeline.media.wording import explain
from identity_pipeline.settings import load_settings
from identity_pipeline.stages.desk.pictures import (
    RiderShown,
    RideShown,
    SetShown,
    Shown,
    _why_none,
)
from identity_pipeline.stages.desk.ride_camera import ride_camera
from identity_pipeline.stages.library.camera_account import named, word_of
from identity_pipeline.storage.cameras.cameras import CAMERA, RIDE, CameraRecord, Cameras, folder_of
from identity_pipeline.storage.cameras.editions import EditionName, table_of_labels
from identity_pipeline.storage.cameras.phase_labels import PhaseLabels
from identity_pipeline.storage.cameras.pins import Pin, Pins
from identity_pipeline.storage.layout import Layout
from identity_pipeline.storage.video.tables import TableStore
from identity_pipeline.tables import TABLES
from identity_pipeline_tests.desk.opened import Opened, desk_on, opened
from identity_pipeline_tests.made_up_cameras import make_known

GONE_LABEL = PhaseLabel("v0002", 5, 9, "dark", "tunnel")
FIGURES = "seats", "zero", "reach", "ride", "expressions"
KNOWN, YOUNG = f"/cameras/{folder_of('cam1')}", f"/cameras/{folder_of('cam2')}"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One camera of twenty videos, one of seven."""
    root = tmp_path_factory.mktemp("cameras") / "data"
    layout = make_known(root, "cam1").layout
    young = tuple(f"w{k}" for k in range(7))
    Cameras(layout).write_record(CameraRecord("cam2", young))
    track = [
        {"point": k, "position_s": k / 5, "light": k % 9, "light_spread": 1, "passed": 9}
        for k in range(60)
    ]
    spans = [(0, 0, 20, "boarding", None, "template"), (1, 20, 60, "dark", "tunnel", "human")]
    usual = dict.fromkeys(TABLES["ride_usual"], 1.0) | {"step_s": 0.2, "videos": 24}
    tables = {
        "ride_usual": pl.DataFrame([usual], schema=TABLES["ride_usual"]),
        "ride_track": pl.DataFrame(track, schema=TABLES["ride_track"]),
        "ride_stretches": pl.DataFrame(spans, schema=TABLES["ride_stretches"], orient="row"),
        "ride_expected": pl.DataFrame(
            [(0, 24, 24), (1, 0, 24)], schema=TABLES["ride_expected"], orient="row"
        ),
        "ride_expressions": pl.DataFrame(
            [
                (0, "expression", "smile", 30, 40, 0.6, 0.86),
                (1, "expression", "smile", 3, 4, 0.3, 0.95),
            ],
            schema=TABLES["ride_expressions"],
            orient="row",
        ),
        "ride_faces": pl.DataFrame(
            [(0, "luma_mean", 40, 900, 61.5, 83.0, 107.2)],
            schema=TABLES["ride_faces"],
            orient="row",
        ),
        "ride_labels": table_of_labels([PlacedLabel(GONE_LABEL, None, None, "gone")]),
    }
    PhaseLabels(layout).add("cam1", GONE_LABEL)
    PhaseLabels(layout).add("cam1", PhaseLabel("v0003", 2, 4, "brake"))
    Cameras(layout).write_model("cam1", EditionName(1, 20, 20), tables, {}, RIDE)
    return root


@pytest.fixture
def desk(data: Path) -> Iterator[Opened]:
    with opened(desk_on(data)) as found:
        yield found


def test_the_list_says_which_cameras_are_known_and_what_changed(desk: Opened) -> None:
    shown = desk.page("/cameras")
    assert KNOWN in shown and YOUNG in shown
    assert "not known yet (7 of 20 videos)" in shown and "is of 20 videos, 20 known" in shown
    assert "the exposure is another one, noticed at v0019" in shown


def test_the_page_of_a_known_camera_shows_its_model_and_its_versions(desk: Opened) -> None:
    shown = desk.page(KNOWN)
    assert "seat 0, front row" in shown and "seen at boarding alone" in shown
    assert 'href="/rides/v0018"' in shown and "the exposure is another one" in shown
    for name in FIGURES:
        path = f"/img/camera/{folder_of('cam1')}/{name}.svg"
        assert path in shown and desk.page(path).startswith("<svg")
    assert "tunnel" in desk.page(f"/img/camera/{folder_of('cam1')}/ride.svg") and "0:04" in shown
    assert "No good frames 0:04 to 0:12: tunnel (0 of 24 rides)." in shown
    assert f"<code>{desk.desk.stores.layout.phase_labels}</code>" in shown
    assert "The label tunnel at 5 to 9 s of v0002 is kept" in shown
    assert "v0003 is kept, and counts for nothing now: no frames of such a video" in shown
    reach = desk.page(f"/img/camera/{folder_of('cam1')}/reach.svg")
    assert "prefers-color-scheme:dark" in reach  # a picture brings the colours of its page
    assert "nobody" in reach and reach.count("data-cell") == 35
    shares = desk.page(f"/img/camera/{folder_of('cam1')}/expressions.svg")
    assert 'data-cell="smile" data-share="0.75"' in shares
    assert shares.count("data-share") == 1  # of four riders in the other part nothing is said
    assert "62 to 107" in shown
    seats = desk.page(f"/img/camera/{folder_of('cam1')}/seats.svg")
    assert seats.count('data-kind="seat"') >= 2 and seats.count('data-kind="boarding"') == 1


def test_a_camera_of_few_videos_is_said_to_be_unknown(desk: Opened) -> None:
    shown = desk.page(YOUNG)
    assert "The camera is not known yet (7 of 20 videos)" in shown
    assert "Where riders sit" not in shown and "What is watched" in shown
    desk.page("/cameras/cam9-00000000", 404)
    desk.page(f"/img/camera/{folder_of('cam2')}/seats.svg", 404)


def test_a_damaged_model_or_record_is_a_sentence_and_the_rest_is_shown(data: Path) -> None:
    layout = Layout(data)
    model = layout.camera_models(folder_of("cam1"))
    table = next(model.rglob("camera_seats.parquet"))
    record = layout.camera_order(folder_of("cam2"))
    kept, noted = table.read_bytes(), record.read_bytes()
    try:
        table.write_bytes(kept[:-9] + b"123456789")
        record.write_text("{", encoding="utf-8")
        with opened(desk_on(data)) as desk:
            shown = desk.page(KNOWN)
            assert "camera renew" in shown and "v0018" in shown and "Where riders sit" not in shown
            assert folder_of("cam2") in desk.page("/cameras")
            desk.page(YOUNG, 422)
    finally:
        table.write_bytes(kept)
        record.write_bytes(noted)


def test_a_ride_says_what_its_rider_lacks_and_whether_anybody_reaches_it(data: Path) -> None:
    layout, settings = Layout(data), load_settings(paths={"data": str(data)})
    tables = TableStore(layout)
    bins = {"yaw": "[-5,5)", "pitch": "neutral", "expression": "neutral"}
    one = Shown("v0003", "f", None, "0:01", "", bins, None, None)
    rider = RiderShown(0, "rider 0", None, (SetShown("coverage", (one,), False),))
    early = ride_camera(tables, settings, RideShown("v0003", (rider,), (), 0))
    assert "not known when this ride was made" in early.sentence and not early.lacking
    assert not early.commands  # of its version, before the camera was moved, there is no model
    late = ride_camera(tables, settings, RideShown("v0019", (rider,), (), 0))
    assert late.commands == [
        "identity-pipeline camera renew cam1 --videos v0019",
        "identity-pipeline run v0019",
    ]
    model = Pins(layout).pin("cam1", "v0003", Pin(camera="2.20-0")).edition(CAMERA)
    waiting = ride_camera(tables, settings, RideShown("v0003", (rider,), (), 0))
    assert waiting.sentence.endswith(", by which it is yet to be made.") and not waiting.lacking
    assert waiting.commands == ["identity-pipeline run v0003"] and model
    of = {"camera_pose_zero": model.digest("camera_pose_zero")}
    tables.note_made_of("face_buckets", "v0003", {"camera": {"of": of}})
    pinned = ride_camera(tables, settings, RideShown("v0003", (rider,), (), 0))
    assert pinned.sentence == (
        "Camera cam1, version 2 (of 20 videos): angles are from straight ahead of the rider."
    )
    assert not pinned.commands
    lacking = dict(pinned.lacking[0])
    assert lacking["yaw −15° to −5°"].startswith("reached by 10% of riders here")
    assert lacking["smile"].startswith("never reached here by anyone (0 of 40 riders")
    assert "yaw −5° to 5°" not in lacking and "pitch level" not in lacking
    assert list(lacking.values()) == sorted(lacking.values(), key=lambda w: w.startswith("never"))


def test_a_command_names_any_camera_as_a_shell_reads_it(tmp_path: Path) -> None:
    layout, name, ride = Layout(tmp_path), "left cam's", RideShown("v0003", (), (), 0)
    Cameras(layout).write_record(CameraRecord(name, ("v0003",)))
    Cameras(layout).write_model(name, EditionName(1, 20, 20), {}, {})
    told = ride_camera(TableStore(layout), load_settings(paths={"data": str(tmp_path)}), ride)
    words = ["identity-pipeline", "camera", "renew", name, "--videos", "v0003"]
    assert shlex.split(told.commands[0]) == words


def test_older_videos_are_outdated_only_once_somebody_said_so(desk: Opened) -> None:
    assert f"{KNOWN}/renew" in desk.page(KNOWN) and f"{YOUNG}/renew" not in desk.page(YOUNG)
    asked = desk.page(f"{KNOWN}/renew")
    assert "videos will be outdated" in asked and "v0019" in asked
    assert "already" in desk.page(f"{YOUNG}/renew")
    assert not desk.desk.behind.strip().waiting
    answer = desk.client.post(f"{KNOWN}/renew", follow_redirects=False)
    assert answer.status_code == 303 and desk.desk.behind.strip().waiting


def test_the_command_says_the_same(data: Path) -> None:
    def said(*words: str, code: int = 0) -> str:
        result = CliRunner().invoke(cli, ["--data", str(data), "camera", *words])
        assert result.exit_code == code, result.output
        return result.stdout or result.output

    listed = json.loads(said("list", "--json"))
    assert [(c["camera"], c["model"]) for c in listed["cameras"]] == [
        ("cam1", "2.20-0"),
        ("cam2", None),
    ]
    assert all("the camera without a name" in line for line in listed["strangers"])
    shown = said("show", "cam1")
    assert "seat 0, front row" in shown and "75%" in shown and "62 to 107" in shown
    told = json.loads(said("show", "cam1", "--json"))
    assert {row["cell"] for row in told["tables"]["camera_reach"]} >= {"smile"}
    assert told["strangers"] == listed["strangers"] and len(told["strangers"]) == 2
    assert "no frames of such a video" in " ".join(told["unheeded"])
    for command in (("show", "cam9"), ("renew", "cam9"), ("renew", "cam9", "--videos", "v0001")):
        words = " ".join(said(*command, code=1).split())
        assert "no video of cam9 is known; `identity-pipeline" in words and "camera list" in words


def test_a_camera_that_is_called_unnamed_is_not_the_one_without_a_name(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    Cameras(layout).write_record(CameraRecord("unnamed", ("a-1",)))
    assert named(layout, word_of("unnamed")) == named(layout, "unnamed-e882bcaa") == "unnamed"
    Cameras(layout).write_record(CameraRecord(None, ("b-2",)))
    assert named(layout, word_of(None)) is None
    assert named(layout, word_of("unnamed")) == "unnamed"


def test_no_two_labels_of_places_lie_on_each_other() -> None:
    """Two rows of seats seen through each other, and passers-by of two times at one place."""
    places = [("seat", 0.4, 0.4, 0), ("seat", 0.5, 0.3, 1), ("passing", 0.2, 0.3, None)] * 2
    rows = [
        {
            **{"place": n, "component": 0, "kind": kind, "x": x + 0.03 * (n > 2), "y": y},
            **{"row": row, "spread": [0.001, 0, 0, 0.002, 0, 0, 0, 0, 0.01], "log_size": -2.0},
            **{"depth": 1.0, "videos": 18, "of_videos": 20, "filled_low": 0.7, "filled_high": 0.97},
        }
        for n, (kind, x, y, row) in enumerate(places)
    ]
    drawn = seats_svg(pl.DataFrame(rows), 16 / 9)
    labels = re.findall(r'<text x="([\d.]+)" y="([\d.]+)" class="mid strong"', drawn)
    at = [(float(x), float(y)) for x, y in labels]
    assert len(at) == 6
    for n, (x, y) in enumerate(at):
        assert all(abs(x - a) >= LABEL_W or abs(y - b) >= LABEL_H for a, b in at[:n])


def test_a_rider_without_a_set_is_told_the_commonest_reason() -> None:
    rows = [(0, "failed_gate", "few_pixels")] * 3 + [
        (0, "failed_gate", "blurred"),
        (1, "saved", "a"),
    ]
    ended = pl.DataFrame(rows, schema=["person_id", "state", "reason"], orient="row")
    words = _why_none(ended, 0)
    assert "of 4 faces none became a picture, most often (3) for this" in words
    assert explain("failed_gate", "few_pixels") in words
    assert "no face of theirs was measured" in _why_none(ended, 2)
    refused = pl.DataFrame([(0, "rejected", "no_consent")], schema=ended.schema, orient="row")
    assert "do not consent" in _why_none(refused, 0)


def test_a_change_before_the_videos_that_are_drawn_is_not_drawn() -> None:
    for begun, drawn in ((250, True), (45, False)):
        told = [(f"v{k}", {"luma": 100.0 + 30 * (k >= begun)}) for k in range(300)]
        assert ("since here" in watch_svg(told, f"v{begun}", ())) is drawn
