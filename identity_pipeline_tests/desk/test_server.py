"""Who comes in at the desk, who decides, and what follows: the application without a browser."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner
from starlette.testclient import TestClient

from identity_pipeline.cli.main import cli
from identity_pipeline.defs.display import metadata
from identity_pipeline.desk.access import WRONG_WAIT_S
from identity_pipeline.desk.app import create_app
from identity_pipeline.desk.background import Strip
from identity_pipeline.desk.deciding import BODY_MAX, TICK_NS
from identity_pipeline.desk.state import Desk
from identity_pipeline_tests.curated_library import PINS, call, write_rides
from identity_pipeline_tests.desk.opened import HOST, Opened, desk_on, opened

WORD = "of others"


def wait_for(desk: Desk, generation: int) -> Strip:
    """The strip, when so much work was done behind the curtain."""
    deadline = time.monotonic() + 60
    while (strip := desk.behind.strip()).generation < generation and time.monotonic() < deadline:
        time.sleep(0.02)
    return strip


@pytest.fixture(scope="module")
def grouped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("curated")
    write_rides(root)
    call(root, "recluster")
    return root / "data"


@pytest.fixture
def data(grouped: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, value in PINS.items():
        monkeypatch.setenv(name, value)
    shutil.copytree(grouped, tmp_path / "data", symlinks=True)
    return tmp_path / "data"


@pytest.fixture
def ada(data: Path) -> Iterator[Opened]:
    with opened(desk_on(data)) as found:
        yield found


def test_the_printed_address_opens_one_browser(data: Path) -> None:
    desk = desk_on(data)
    token = desk.access.token
    for status in (303, 403):
        client = TestClient(create_app(desk), base_url=f"http://{HOST}", follow_redirects=False)
        assert client.get(f"/enter?token={token}").status_code == status
    assert client.get("/people").headers["location"].startswith("/enter")
    assert client.post("/act/undo").status_code == 401


def test_nobody_comes_in_by_another_name_or_from_another_page(ada: Opened) -> None:
    assert ada.client.get("/people", headers={"host": "evil.example"}).status_code == 421
    for headers in ({"origin": "http://evil.example"}, {"sec-fetch-site": "cross-site"}):
        assert ada.client.post("/act/undo", headers=headers).status_code == 403
    assert ada.client.get("/act/undo", follow_redirects=False).headers["location"] == "/review"


def test_every_answer_forbids_foreign_code(ada: Opened) -> None:
    for path in ("/people", "/review", "/rides", "/static/desk.js", "/img/track/no/1.jpg", "/none"):
        policy = ada.client.get(path).headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy


def test_a_name_is_asked_once_and_cleaned(data: Path) -> None:
    with opened(desk_on(data), curator="") as nobody:
        assert nobody.client.post("/who", data={"name": " \u0007 "}).status_code == 422
        nobody.client.post("/who", data={"name": "  Ada   L. "})
        nobody.act("name", subject="ride-a:1", name="Ben")
        assert nobody.history.events[-1].actor == "Ada L."


def test_a_decision_is_an_event_and_is_taken_back(ada: Opened) -> None:
    before = ada.history.state.state_hash
    assert (
        ada.act("name", subject=["ride-a:1", "ride-b:1"], name="<b>Ben</b>", back="/people")
        == "/people"
    )
    text = ada.page("/people")
    assert "<b>Ben" not in text
    assert "&lt;b&gt;Ben" in text
    ada.act("undo", event=ada.history.events[-1].id)
    assert ada.history.state.state_hash == before


def test_what_the_ledger_refuses_is_said_and_changes_nothing(ada: Opened) -> None:
    ada.act("name", subject="ride-a:1", name="Ben")
    seen = len(ada.history.events)
    assert "one frame" in ada.act("name", status=422, subject="ride-a:2", name="ben")
    ada.act("name", status=422, subject="none:1", name="Kim")
    ada.act("nonsense", status=404)
    assert ada.act("name", subject="ride-d:1", name="Kim", back="//evil.example") == "/review"
    assert len(ada.history.events) == seen + 1


def test_two_curators_meet_only_where_they_decide_on_the_same(data: Path) -> None:
    desk = desk_on(data)
    with opened(desk, "Ada") as ada, opened(desk, "Kim") as kim:
        head = kim.head()
        ada.act("name", subject="ride-a:1", name="Ben")
        kim.act("name", subject="ride-d:1", name="Bo", head=head)
        late = kim.act("name", status=409, subject="ride-a:1", name="Eve", head=head)
        assert "by Ada" in late
        assert [event.actor for event in ada.history.events] == ["Ada", "Kim"]


def test_what_follows_is_made_behind_the_curtain(data: Path) -> None:
    with opened(desk_on(data, pause_s=0.05)) as ada:
        before = ada.desk.library().generation
        ada.act("name", subject=["ride-a:1", "ride-b:1"], name="Ben")
        strip = wait_for(ada.desk, 1)
        assert not strip.failed
        assert strip.said.startswith("The library")
        after = ada.desk.library().generation
        assert before and after and after.number > before.number
        assert "desk:moved" in ada.client.get("/behind?seen=0").headers["hx-trigger"]


def test_others_need_a_password(data: Path) -> None:
    done = CliRunner().invoke(cli, ["--data", str(data), "desk", "--host", "10.0.0.7"])
    assert done.exit_code == 2
    assert "--password-file" in done.output
    desk = desk_on(data)
    desk.access.password = WORD
    with TestClient(create_app(desk), base_url=f"http://{HOST}", follow_redirects=False) as client:
        began = time.monotonic()
        with ThreadPoolExecutor(2) as both:
            guesses = both.map(
                lambda word: client.post("/enter", data={"password": word}), ("guess", "another")
            )
            assert [guess.status_code for guess in guesses] == [403, 403]
        assert time.monotonic() - began >= 2 * WRONG_WAIT_S, "guesses sent at once wait for another"
        assert client.post("/enter", data={"password": WORD}).status_code == 303


def test_a_desk_on_all_addresses_goes_by_numbers_alone(data: Path) -> None:
    access = desk_on(data).access
    assert not access.answers_to("10.0.0.7:3001")
    access.everywhere = True
    for host, answered in (("10.0.0.7:3001", True), ("[::1]:3001", True), ("evil.example", False)):
        assert access.answers_to(host) is answered
    assert not access.answers_to(None)


def test_who_signs_out_is_out(ada: Opened) -> None:
    assert "/leave" in ada.page("/people")
    ada.client.post("/leave", follow_redirects=False)
    away = ada.client.get("/people?q=a", follow_redirects=False)
    assert away.headers["location"] == "/enter?next=/people%3Fq%3Da"


def test_what_cannot_be_shown_is_a_sentence_and_its_traceback_is_kept(
    ada: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> None:
        raise RuntimeError("of a face that nobody is to read")

    monkeypatch.setattr(ada.desk, "library", broken)
    answer = ada.client.get("/people")
    assert answer.status_code == 500
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "nobody is to read" not in answer.text
    (kept,) = (ada.desk.stores.layout.root / "logs").glob("*.log")
    assert "nobody is to read" in kept.read_text()
    assert kept.stat().st_mode & 0o077 == 0


def test_a_form_that_is_too_large_is_refused_in_words(ada: Opened) -> None:
    answer = ada.client.post("/act/name", content=b"subject=" + b"a" * BODY_MAX)
    assert answer.status_code == 422
    assert "select fewer" in answer.text
    assert "no such page" in ada.page("/none", 404)


def test_an_act_of_several_decisions_is_done_as_a_whole_or_not_at_all(ada: Opened) -> None:
    ada.act("name", subject="ride-a:1", name="Ben")
    ada.act("name", subject="ride-d:1", name="Kim")
    ben, kim = (event.person_id for event in ada.history.events)
    before = ada.history.state.state_hash
    # Two owners make two decisions; the second would be refused, for it is seen beside Ben.
    ada.act("confirm", status=422, person=ben, subject=["ride-b:1", "ride-d:1", "ride-a:2"])
    assert ada.history.state.state_hash == before
    ada.act("confirm", person=ben, subject=["ride-b:1", "ride-d:1"])
    undo = re.findall(r'name="event" value="([^"]+)"', ada.page("/people"))
    assert len(undo) == len(ada.history.events) - 2 == 2
    ada.act("undo", event=undo)
    assert ada.history.state.state_hash == before
    assert "Bring back" in ada.page("/people")
    assert kim != ben


def test_several_tracks_are_declined_by_one_decision(ada: Opened) -> None:
    ada.act("name", subject="ride-a:1", name="Ben")
    call(ada.desk.stores.layout.root.parent, "recluster")
    ben = ada.history.events[-1].person_id
    ada.act("decline", person=ben, subject=["ride-c:1", "ride-d:1"])
    assert [event.kind for event in ada.history.events] == ["name", "suggestion_rejected"]
    assert len(ada.history.events[-1].subjects) == 2


def test_tracks_of_a_ride_that_was_processed_anew_are_looked_at_once_more(ada: Opened) -> None:
    head = ada.head()
    video_id = ada.track("ride-d:1").split(":")[1]
    ada.desk.stores.layout.table("face_tracks", video_id).touch()
    said = ada.act("name", status=409, subject="ride-d:1", name="Kim", head=head)
    assert "processed anew" in said
    time.sleep(2 * TICK_NS / 1e9)
    ada.act("name", subject="ride-d:1", name="Kim")


def test_work_that_breaks_does_not_end_what_follows(data: Path) -> None:
    def breaks(tracks: object) -> int:
        raise ZeroDivisionError

    desk = desk_on(data, pause_s=0.01)
    desk.behind.faces_of = breaks
    with opened(desk) as ada:
        ada.act("name", subject="ride-a:1", name="Ben")
        wait_for(desk, 1)
        assert "ZeroDivisionError" in desk.behind.strip().failed
        desk.behind.faces_of = len
        ada.act("name", subject="ride-d:1", name="Kim")
        wait_for(desk, 2)
        assert not desk.behind.strip().failed


def test_a_desk_that_is_started_anew_knows_what_the_data_folder_knows(data: Path) -> None:
    with opened(desk_on(data)) as ada:
        ada.act("name", subject=["ride-a:1"], name="Ben")
        session = ada.client.cookies[ada.desk.access.cookie]
        event = ada.history.events[-1].id
    with opened(desk_on(data)) as again:
        assert not again.desk.access.knows(session)
        text = again.page("/people")
        assert "person Ben is new" in text
        again.act("undo", event=event)
        assert not again.history.state.people


def test_pages_are_shown_after_a_ride_was_processed_anew(ada: Opened) -> None:
    ada.act("name", subject="ride-a:1", name="Ben")
    ben, store = ada.history.events[-1].person_id, ada.desk.stores.tables
    ride = ada.track("ride-a:1").split(":")[1]
    for asset in ("face_tracks", "track_templates"):  # its two tracks have each other's numbers
        table = store.read(asset, ride).with_columns(track_id=3 - pl.col("track_id"))
        if asset == "track_templates":
            key = pl.format(f"track:{ride}:{{}}", pl.col("track_id"))
            table = table.with_columns(track_key=key).sort("track_key")
        store.write(asset, ride, table, "anew")
    ada.page(f"/people/{ben}")
    ada.act("confirm", person=ben, subject="ride-b:1")
    assert ada.history.state.assigned[ada.track("ride-a:2")] == ben


def test_dagster_links_to_the_page_of_what_is_decided() -> None:
    found = metadata.on_the_desk("http://127.0.0.1:3001/", "/rides/ride-a")
    assert found["desk"].url == "http://127.0.0.1:3001/rides/ride-a"
    assert metadata.on_the_desk("", "/people") == {}
