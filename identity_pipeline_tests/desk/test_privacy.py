"""Consent, forgetting and receipts at the desk."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from identity_pipeline.ledger.events import ConsentRecorded
from identity_pipeline.ledger.state import Target
from identity_pipeline.settings import load_settings
from identity_pipeline.stages.privacy.journal import Journal, Journals
from identity_pipeline_tests.desk.opened import Opened, desk_on, opened
from identity_pipeline_tests.stages.test_library_update import call, rides


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Opened]:
    rides(tmp_path)
    call(tmp_path, "label", "ride-a:1", "--name", "Ada")
    call(tmp_path, "label", "ride-d:1", "--name", "Bea")
    call(tmp_path, "recluster")
    data = str(tmp_path / "data")
    asking = load_settings(paths={"data": data}, consent={"required": True})
    with opened(desk_on(tmp_path / "data", asking)) as found:
        yield found


def person(desk: Opened, name: str) -> str:
    return desk.history.state.named(name)[0]


def test_an_answer_is_noted_shown_and_undone(desk: Opened) -> None:
    ada = person(desk, "Ada")
    path = f"/people/{ada}/consent"
    assert path in desk.page(f"/people/{ada}") and "Nobody was asked yet" in desk.page(path)
    desk.act(
        "consent", person=ada, answer="granted", scope=["export", "profile"], minor="no",
        until="2100-01-31", evidence="form 17", by="herself", back=path,
    )  # fmt: skip
    event = desk.history.events[-1]
    assert isinstance(event, ConsentRecorded) and event.actor == "Ada"
    assert (event.scopes, event.minor, event.until) == (("profile", "export"), False, "2100-01-31")
    shown = desk.page(path)
    assert "form 17" in shown and "herself" in shown and "of age" in shown
    desk.act("undo", event=event.id)
    assert Target("person", ada) not in desk.history.state.consents


def test_a_ride_is_asked_by_seat_and_wrong_forms_are_refused(desk: Opened) -> None:
    ride = desk.track("ride-a:1").split(":")[1]
    desk.act("consent", video=ride, seat="0", answer="refused", scope="export")
    assert desk.history.state.consents[Target("video", ride, 0)]["export"].answer == "refused"
    assert "refused" in desk.page(f"/rides/{ride}/consent")
    before = len(desk.history.events)
    for wrong in (
        {"answer": "granted", "until": "2001-01-01", "scope": "export"},
        {"answer": "granted", "until": "soon", "scope": "export"},
        {"answer": "maybe", "scope": "export"},
        {"answer": "granted"},
        {"answer": "granted", "scope": "everything"},
        {"answer": "granted", "scope": "export", "seat": "left"},
    ):
        desk.act("consent", 422, video=ride, **wrong)  # type: ignore[arg-type]
    assert len(desk.history.events) == before


def test_somebody_is_forgotten_only_once_their_name_is_typed(desk: Opened) -> None:
    ada = person(desk, "Ada")
    asked: list[tuple[str, str]] = []
    desk.desk.behind.forget = lambda word, actor: asked.append((word, actor))  # type: ignore[method-assign]
    shown = desk.page(f"/people/{ada}/forget")
    assert "cannot be undone" in shown and "tracks" in shown
    path = f"/people/{ada}/forget"
    wrong = desk.client.post(path, data={"typed": "Bea"}, follow_redirects=False)
    assert wrong.status_code == 422 and "nothing was done" in wrong.text and not asked
    done = desk.client.post(path, data={"typed": "Ada"}, follow_redirects=False)
    assert (done.status_code, done.headers["location"]) == (303, "/receipts")
    assert asked == [(ada, "Ada")]
    assert "Nobody was forgotten yet" in desk.page("/receipts")
    desk.page("/people/nobody/forget", 422)
    desk.page("/rides/ride-zzz/consent", 422)


def test_what_is_unfinished_is_said_on_every_page_and_can_be_gone_on_with(desk: Opened) -> None:
    asked: list[tuple[str | None, str]] = []
    desk.desk.behind.forget = lambda word, actor: asked.append((word, actor))  # type: ignore[method-assign]
    assert "Go on with it" not in desk.page("/people")
    layout = desk.desk.stores.layout
    Journals(layout).note(Journal("00000000-0000-4000-8000-000000000001", "2026-01-02", "Ada"))
    shown = desk.page("/people")
    assert "is unfinished" in shown and "Go on with it" in shown
    answer = desk.client.post("/receipts/resume", follow_redirects=False)
    assert answer.status_code == 303 and asked == [(None, "Ada")]


def test_the_command_behind_forgets_and_its_receipt_is_there(desk: Opened) -> None:
    bea = person(desk, "Bea")
    behind = desk.desk.behind
    desk.act("rename", person=bea, name="Bea B")
    assert "Bea B" in desk.page("/people")
    behind._carry_out("x", ["forget", "--yes", "--json", "--as", "Ada", "--", bea], str)
    page = desk.page("/receipts")
    assert not any("Bea" in effect for effect in desk.desk.told.values())
    assert "Bea" not in page and ".json" in page, behind.strip()
    assert not desk.desk.library().state.named("Bea")
    (name,) = [word for word in page.split('"') if word.endswith(".json")]
    answer = desk.client.get(name)
    assert answer.status_code == 200 and "attachment" in answer.headers["content-disposition"]
    told = desk.client.get("/data-map.html")
    assert "biometric" in told.text and "attachment" in told.headers["content-disposition"]
