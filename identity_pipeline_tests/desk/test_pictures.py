"""The room Pictures: every decision on a picture is one event; versions of sets are compared."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from identity_pipeline.stages.desk.comparing import compared
from identity_pipeline.storage.files.small_files import DamagedFileError
from identity_pipeline.storage.layout import Layout
from identity_pipeline.storage.video.set_versions import Version, count, note_version, versions
from identity_pipeline.storage.video.tables import TableStore
from identity_pipeline_tests.desk.opened import Opened, desk_on, opened

FACE = re.compile(r'name="subject" value="(face:[^"]+)"')


@pytest.fixture
def ada(demo_library: Path, tmp_path: Path) -> Iterator[Opened]:
    shutil.copytree(demo_library, tmp_path / "data", symlinks=True)
    with opened(desk_on(tmp_path / "data")) as found:
        yield found


def decide(ada: Opened, kind: str, status: int = 303, **fields: str | list[str]) -> str:
    form = {"head": ada.head(), "back": "/rides", **fields}
    answer = ada.client.post(f"/act/picture-{kind}", data=form, follow_redirects=False)
    assert answer.status_code == status, answer.text[-2000:]
    return answer.text


def test_decisions_on_pictures_are_events_shown_and_undone(ada: Opened) -> None:
    ride = next(v for v in ada.desk.library().videos if v.startswith("demo_solo"))
    page = f"/rides/{ride}"
    assert page in ada.page("/rides?q=SOLO")
    faces = FACE.findall(ada.page(page))
    assert len(faces) > 3
    before = ada.history.state.state_hash
    decide(ada, "accept", subject=faces[:2])
    decide(ada, "reject", subject=faces[2], fault="eyes")
    decide(ada, "anchor", subject=faces[1])
    decide(ada, "bins", subject=faces[3], expression="smile", yaw="")
    decide(ada, "order", subject=[faces[1], faces[0]], scope="ride")
    pictures = ada.history.state.pictures
    assert pictures[faces[2]].fault == "eyes"
    assert dict(pictures[faces[3]].bins) == {"expression": "smile"}
    assert pictures[faces[1]].anchor is not None
    shown = ada.page(page)
    for words in (
        "leaves at the next export",
        "★ anchor · placed by hand",
        "bins corrected",
        "Rejected",
    ):
        assert words in shown
    taught = ada.page("/pictures/decided")
    assert "the eyes: 1" in taught
    assert "expression not known" not in taught
    assert faces[2] not in ada.page(f"{page}/anchors?seat=0")
    for event in reversed(ada.history.events):
        ada.act("undo", event=event.id)
    assert ada.history.state.state_hash == before


def test_an_order_is_shown_before_it_is_exported_and_waits(ada: Opened) -> None:
    page = f"/rides/{next(v for v in ada.desk.library().videos if v.startswith('demo_solo'))}"
    anchors = FACE.findall(ada.page(page).split("<h3>Coverage")[0])
    assert len(anchors) > 2
    assert "not in the export yet" not in ada.page(page)
    said = [anchors[2], *anchors[:2], *anchors[3:]]
    decide(ada, "order", subject=said, scope="ride")
    assert FACE.findall(ada.page(page).split("<h3>Coverage")[0]) == said
    assert "1 decision is not in the export yet" in ada.page(page)
    decide(ada, "bins", subject=anchors[0], expression="smile")
    assert "2 decisions are not in the export yet" in ada.page(page)
    decide(ada, "order", subject=anchors, scope="ride")
    assert "1 decision is not in the export yet" in ada.page(page)


def test_what_is_no_decision_changes_nothing(ada: Opened) -> None:
    ride = next(v for v in ada.desk.library().videos if v.startswith("demo_solo"))
    face = FACE.findall(ada.page(f"/rides/{ride}"))[0]
    decide(ada, "reject", 422, subject=face, fault="<b>")
    decide(ada, "reject", 422)
    decide(ada, "bins", 422, subject=face)
    decide(ada, "accept", 422, subject="face:../etc:000001-0")
    decide(ada, "accept", 422, subject=f"face:{ride}:999999-9")
    assert not ada.history.events
    for path in ("/rides/none", "/rides/%2e%2e", f"/rides/{ride}/compare", "/people/none/pictures"):
        ada.page(path, 404)


def test_what_a_part_of_a_ride_is_becomes_a_line_of_the_file_or_is_refused(ada: Opened) -> None:
    ride = next(v for v in ada.desk.library().videos if v.startswith("demo_solo"))
    assert "Parts of the ride" not in ada.page(f"/rides/{ride}")  # of no camera that is known
    labels = ada.desk.stores.layout.phase_labels
    said = {"start": "1", "end": "2,5", "phase": "dark", "title": 'the "tunnel", long'}
    for wrong in ({"end": "1"}, {"start": "soon"}, {"phase": "tunnel"}, {"start": ""}):
        answer = ada.client.post(f"/rides/{ride}/phases", data=said | wrong)
        assert answer.status_code == 422 and "Not done" in answer.text
    assert ada.client.post("/rides/none/phases", data=said).status_code == 422
    assert not labels.exists()
    assert "Noted" in ada.client.post(f"/rides/{ride}/phases", data=said).text
    line = f',{ride},1.0,2.5,dark,"the ""tunnel"", long"'
    assert labels.read_text(encoding="utf-8").splitlines()[1:] == [line]
    assert labels.stat().st_mode & 0o777 == 0o600


def test_the_same_sets_are_one_version_and_two_are_compared(
    tmp_path: Path, demo_library: Path
) -> None:
    store = TableStore(Layout(demo_library))
    ride = next(iter(store.videos_with("frame_ledger")))
    assert [one.number for one in versions(store.layout, ride)] == [1], "noted by the export"
    faces = store.read("frame_ledger", ride, ("face_id",))["face_id"].head(4).to_list()
    layout = Layout(tmp_path)
    for sets in (faces[:3], faces[:3], [faces[1], faces[0], faces[3]]):
        note_version(layout, ride, Version({"anchor/0": sets}))
    old, new = versions(layout, ride)
    [change] = compared(store, ride, old, new)
    assert (change.came, change.went) == ((faces[3],), (faces[2],))
    assert change.moved == (faces[1], faces[0])
    assert change.why[faces[2]]
    [path, _] = sorted(layout.set_versions(ride).iterdir())
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(DamagedFileError):
        versions(layout, ride)
    assert count(layout, ride) == 2
