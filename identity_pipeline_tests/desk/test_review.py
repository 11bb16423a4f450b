"""The room Review: one question a page, each action as the ledger has it, the place kept."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from identity_pipeline_tests.curated_library import PINS, call, write_rides
from identity_pipeline_tests.desk.opened import Opened, desk_on, opened

A_BADLY = "ride-c:1"


@pytest.fixture(scope="module")
def grouped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("asked")
    write_rides(root)
    call(root, "recluster")
    return root


@pytest.fixture(scope="module")
def suggested(grouped: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("suggested")
    shutil.copytree(grouped, root, symlinks=True, dirs_exist_ok=True)
    call(root, "label", "ride-a:1", "ride-b:1", "--name", "Ada")
    call(root, "recluster")
    return root


def _copy(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, value in PINS.items():
        monkeypatch.setenv(name, value)
    shutil.copytree(root / "data", tmp_path / "data", symlinks=True)
    return tmp_path / "data"


@pytest.fixture
def new(grouped: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Opened]:
    with opened(desk_on(_copy(grouped, tmp_path, monkeypatch)), "Kim") as found:
        yield found


@pytest.fixture
def known(suggested: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Opened]:
    with opened(desk_on(_copy(suggested, tmp_path, monkeypatch)), "Kim") as found:
        yield found


def field(text: str, name: str) -> list[str]:
    return re.findall(rf'type="hidden" name="{name}" value="([^"]*)"', text)


def press(desk: Opened, text: str, action: str, **more: str | list[str]) -> str:
    """Submits the form of a page as a browser does; the next page."""
    names = ("head", "back", "key", "whole", "person", "into")
    form = {name: [v.replace("&amp;", "&") for v in field(text, name)] for name in names}
    form["head"], form["back"] = form["head"][-1:], form["back"][-1:]
    form |= {name: [value] if isinstance(value, str) else value for name, value in more.items()}
    answer = desk.client.post(action, data=form)
    assert answer.status_code == 200, answer.text[-1500:]
    return answer.text


def heading(text: str) -> str:
    found = re.search(r"<h1>(.*?)</h1>", text)
    assert found
    return found[1]


def shown(text: str) -> str:
    found = re.search(r'data-question="(\w*)"', text)
    assert found
    return found[1]


def of(text: str) -> list[str]:
    return [key.split(":")[1][:6] + ":" + key[-1] for key in field(text, "whole")]


def until(desk: Opened, headline: str) -> str:
    """The page of the first question of that headline, by looking without deciding."""
    text = desk.page("/review")
    while heading(text) != headline:
        following = re.search(r'href="(/review/\w+)" data-key="]"', text)
        assert following, f"nobody asks {headline}"
        text = desk.page(following[1])
    return text


def test_a_group_is_named_as_a_whole_and_the_next_question_comes(new: Opened) -> None:
    first = new.page("/review")
    assert heading(first) == "Who is this?"
    assert "Name: <span" in first
    tracks = of(first)
    second = press(new, first, "/act/name", name="Ada <script>")
    assert sorted(new.history.state.assigned.values()) == [*new.history.state.people] * len(tracks)
    assert shown(second) != shown(first)
    assert "Ada <script>" not in second
    assert "Ada &lt;script&gt;" in second
    assert "2 of " in second
    undone = field(second, "back")[0].replace("&amp;", "&")
    event = new.history.events[-1]
    again = press(new, second, "/act/undo", event=event.id, back=undone)
    assert shown(again) == shown(first)
    assert "1 of " in again
    assert not new.history.state.assigned


def test_of_what_is_selected_alone_is_decided_and_the_rest_is_asked_next(new: Opened) -> None:
    first = new.page("/review")
    assert len(of(first)) == 2
    rest = press(new, first, "/act/name", name="Ada", subject=field(first, "whole")[:1])
    assert of(rest) == of(first)[1:]
    named = press(new, rest, "/act/name", name="ada")
    assert len(new.history.state.people) == 1
    assert len(new.history.state.assigned) == 2
    assert "Ada" in named


@pytest.mark.parametrize(
    ("action", "kind"),
    [
        ("/act/confirm", "confirm"),
        ("/act/decline", "suggestion_rejected"),
        ("/act/reject", "reject"),
        ("/act/not-a-face", "not_a_face"),
        ("/act/ignore", "ignore"),
    ],
)
def test_each_answer_to_a_suggestion_is_one_event_on_its_tracks(
    known: Opened, action: str, kind: str
) -> None:
    asked = until(known, "Is this Ada?")
    assert of(asked) == [A_BADLY]
    before = known.history.state.state_hash
    after = press(known, asked, action, reason="staff" if kind == "ignore" else "")
    event = known.history.events[-1]
    assert event.kind == kind
    assert event.actor == "Kim"
    assert set(event.named_subjects) == {known.track(A_BADLY)}
    assert event.reason == ("staff" if kind == "ignore" else "")
    assert shown(after) != shown(asked)
    known.act("undo", event=event.id)
    assert known.history.state.state_hash == before


def test_a_question_shows_who_it_may_be_why_and_where(known: Opened) -> None:
    text = until(known, "Is this Ada?")
    assert text.count('alt="Ada"') == 2
    assert "good enough to ask, not to decide" in text
    assert ">alike" in text
    assert f'href="/rides/{known.track(A_BADLY).split(":")[1]}"' in text
    assert "/img/frame/" in text


def test_later_is_no_decision_and_outlasts_a_restart(known: Opened) -> None:
    first = known.page("/review")
    seen = len(known.history.events)
    onwards = re.search(r'name="back" value="(/review/\w+)">Later', first)
    assert onwards
    second = press(known, first, "/review/later", back=onwards[1])
    assert shown(second) != shown(first)
    assert len(known.history.events) == seen
    with opened(desk_on(known.desk.stores.layout.root), "Kim") as again:
        text = again.page("/review")
        assert shown(text) == shown(second)
        while following := re.search(r'href="(/review/\w+)" data-key="]"', text):
            text = again.page(following[1])
        assert shown(text) == shown(first)


def test_what_is_settled_meanwhile_is_said_and_the_next_comes(known: Opened) -> None:
    asked = until(known, "Is this Ada?")
    known.act("ignore", subject=A_BADLY)
    assert known.client.get(f"/review/{shown(asked)}/open").json() == {"open": False}
    after = known.page(f"/review/{shown(asked)}")
    assert "That question is settled by now." in after
    assert shown(after) != shown(asked)


def test_somebody_was_faster_and_the_way_on_keeps_the_place(known: Opened) -> None:
    asked = until(known, "Is this Ada?")
    known.act("ignore", subject=A_BADLY)
    form = {name: field(asked, name)[-1] for name in ("head", "back", "whole", "person")}
    form["back"] = form["back"].replace("&amp;", "&")
    answer = known.client.post("/act/confirm", data=form)
    assert answer.status_code == 409
    onwards = re.search(r'class="button main" href="([^"]*)"', answer.text)
    assert onwards
    assert shown(known.page(onwards[1].replace("&amp;", "&"))) != shown(asked)


def test_groups_are_a_grid_and_several_are_named_together(new: Opened) -> None:
    grid = new.page("/clusters")
    boxes = re.findall(r'name="subject" form="ask" value="([^"]*)"', grid)
    assert [len(box.split()) for box in boxes] == [2, 2]
    number = re.search(r"/clusters/(\d+)", grid)
    assert number
    assert "Select part 1" in new.page(f"/clusters/{number[1]}?split=1")
    assert (
        "one frame"
        in new.client.post(
            "/act/name",
            data={"head": new.head(), "back": "/clusters", "name": "Ada", "subject": boxes},
        ).text
    )
    done = press(new, grid, "/act/ignore", subject=boxes, back="/clusters")
    assert heading(done) == "0 unknown groups"
    assert len(new.history.state.ignored) == 4
    new.page(f"/clusters/{number[1]}", 404)
    assert "2 tracks in no group" not in new.page("/alone")


def test_all_answered_is_said(new: Opened) -> None:
    text = new.page("/review")
    for n in range(20):
        if not shown(text):
            break
        text = press(new, text, "/act/name", name=f"Rider {n}")
    assert heading(text) == "Nothing is open"
    assert {"Rider 0", "Rider 1"} <= {p.name for p in new.history.state.people.values()}
