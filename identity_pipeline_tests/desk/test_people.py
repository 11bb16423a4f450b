"""The room People: what its pages show, what its buttons decide, and that all of it comes undone.

The library is that of `curated_library`: A in rides a, b (1), B in rides a, c (2).
"""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Iterator
from html import unescape
from pathlib import Path

import polars as pl
import pytest

from identity_pipeline.desk.pages import Seen
from identity_pipeline.ledger.replay import History
from identity_pipeline.ledger.state import LibraryState
from identity_pipeline.stages.curation.snapshot import LibrarySnapshot
from identity_pipeline.stages.desk import regrouping
from identity_pipeline.stages.desk.people import (
    PAGE,
    Everybody,
    known_frame,
    shown_people,
    suggested_people,
)
from identity_pipeline.stages.library.view import known_tracks
from identity_pipeline_tests.curated_library import PINS, call, write_rides
from identity_pipeline_tests.desk.opened import Opened, desk_on, opened

A1, A2, B1, B2 = "ride-a:1", "ride-b:1", "ride-a:2", "ride-c:2"


@pytest.fixture(scope="module")
def named(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ada is A, Ben is B; the library follows, and asks whether A in ride c is Ada."""
    root = tmp_path_factory.mktemp("named")
    write_rides(root)
    call(root, "recluster")
    call(root, "label", "ride-a:1", "ride-b:1", "--name", "Ada")
    call(root, "label", "ride-a:2", "ride-c:2", "--name", "Ben")
    call(root, "recluster")
    return root / "data"


@pytest.fixture
def ada(named: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Opened]:
    for name, value in PINS.items():
        monkeypatch.setenv(name, value)
    shutil.copytree(named, tmp_path / "data", symlinks=True)
    with opened(desk_on(tmp_path / "data"), "Kim") as found:
        yield found


def who(desk: Opened, name: str) -> str:
    return desk.history.state.named(name)[0]


def state(desk: Opened) -> LibraryState:
    return desk.history.state


def undo(desk: Opened) -> None:
    desk.act("undo", event=desk.history.events[-1].id)


def owners(desk: Opened, name: str) -> set[str]:
    return set(state(desk).members.get(who(desk, name), ()))


def text(html: str) -> str:
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", html)).split())


def test_the_list_tells_of_everybody(ada: Opened) -> None:
    shown = text(ada.page("/people"))
    assert "2 people." in shown
    assert re.search(r"Ada 1 2 2 20 0 0 not tracked", shown), shown  # A in ride c is asked
    assert re.search(r"Ben none 2 2 20 0 0 not tracked", shown), shown
    assert "Ada" not in text(ada.page("/people?q=BE")).partition("1 person")[2]
    assert "Nobody is called so" in ada.page("/people?q=nobody")


def test_whose_tracks_are_is_the_same_for_lists_and_pages(ada: Opened) -> None:
    ada.act("reject", person=who(ada, "Ben"), subject=B2)
    ada.act("confirm", person=who(ada, "Ada"), subject="ride-c:1")
    ada.act("ignore", subject=A2)
    library = ada.desk.library()
    expected = {key: tuple(known) for key, known in known_tracks(library).items()}
    rows = known_frame(library).select("track_key", "person_id", "origin").iter_rows()
    assert {key: whose for key, *whose in rows} == {k: list(v) for k, v in expected.items()}


def test_who_is_hidden_is_listed_apart(ada: Opened) -> None:
    before, ben = state(ada).state_hash, who(ada, "Ben")
    ada.act("hide", person=ben)
    assert state(ada).people[ben].hidden
    assert ben not in ada.page("/people") and ben in ada.page("/people?hidden=1")
    assert ada.client.get("/people/suggest?q=be").json() == []
    ada.act("unhide", person=ben)
    assert state(ada).state_hash == before


def test_names_are_offered_while_one_is_typed(ada: Opened) -> None:
    (found,) = ada.client.get("/people/suggest?q=Be").json()
    ben = who(ada, "Ben")
    cover = f"/img/person/{ben}.jpg?px=96&at=2"  # another address after each decision
    assert found == {"id": ben, "name": "Ben", "cover": cover, "rides": 2, "tracks": 2}
    assert ada.client.get(f"/people/suggest?q=be&but={ben}").json() == []


def test_a_person_shows_their_tracks_and_who_said_so(ada: Opened) -> None:
    person = who(ada, "Ada")
    ada.act("confirm", person=person, subject="ride-c:1")
    shown = text(ada.page(f"/people/{person}"))
    assert "3 rides, 3 tracks (3 confirmed by people)" in shown
    assert "suggested, accepted by you" in shown and "by tester" in shown
    assert "very alike" in shown
    assert "There is no such person" in ada.page("/people/nobody", status=404)
    dataset = ada.desk.stores.layout.datasets / f"ada-{person[:8]}" / "kohya"
    dataset.mkdir(parents=True)
    assert f"<code>{dataset}</code>" in ada.page(f"/people/{person}")


def test_a_free_name_is_given_and_taken_back(ada: Opened) -> None:
    before, ben = state(ada).state_hash, who(ada, "Ben")
    back = f"/people/{ben}"
    assert ada.act("rename", person=ben, name="Bo", back=back) == back
    assert state(ada).people[ben].name == "Bo"
    undo(ada)
    assert state(ada).state_hash == before


def test_a_taken_name_offers_the_merge_and_does_nothing(ada: Opened) -> None:
    before, ben, person = state(ada).state_hash, who(ada, "Ben"), who(ada, "Ada")
    asks = ada.act("rename", person=ben, name="ada")
    assert state(ada).state_hash == before
    page = ada.page(asks)
    assert f"/people/{ben}/merge?into={person}" in page
    assert "Another person of the same name" in page
    ada.act("rename", person=ben, name="Ada", same_name="1")
    assert set(state(ada).named("Ada")) == {ben, person}


def test_a_merge_is_seen_before_it_is_done(ada: Opened) -> None:
    """D of ride d and C of ride b are never in one frame, so they may be one."""
    ada.act("name", subject="ride-b:2", name="Cleo <i>")
    ada.act("name", subject="ride-d:1", name="Bo")
    before, c, d = state(ada).state_hash, who(ada, "Cleo <i>"), who(ada, "Bo")
    page = ada.page(f"/people/{c}/merge?into={d}")
    assert state(ada).state_hash == before
    assert "1 pair of tracks, on average not alike" in text(page)
    assert "1 of them lie below 0.25" in text(page)
    assert f"/people/{d}/merge?into={c}" in page  # the other way round
    assert "Cleo &lt;i&gt; becomes Bo" in page
    assert ada.act("merge", person=c, into=d, back=f"/people/{d}") == f"/people/{d}"
    assert state(ada).people[c].merged_into == d
    assert ada.client.get(f"/people/{c}", follow_redirects=False).headers["location"].endswith(d)
    shown = text(ada.page(f"/people/{d}"))
    assert "merged into Bo" in shown and "2 tracks (2 confirmed by people), faces not" in shown
    undo(ada)
    assert state(ada).state_hash == before


def test_what_forbids_a_merge_is_shown(ada: Opened) -> None:
    before, ben, person = state(ada).state_hash, who(ada, "Ben"), who(ada, "Ada")
    page = ada.page(f"/people/{ben}/merge?who=ada")  # a name that was typed
    assert "Seen at the same moment" in page and "seen in one frame" in page
    assert "/act/merge" not in page
    ada.act("merge", status=422, person=ben, into=person)
    assert "same person already" in ada.page(f"/people/{ben}/merge?into={ben}", status=404)
    assert "no person fits" in text(ada.page(f"/people/{ben}/merge?who=zoe", status=404))
    assert state(ada).state_hash == before


def test_of_a_large_part_some_are_shown_and_the_others_go_with_them(
    ada: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    person, d = who(ada, "Ada"), ada.track("ride-d:1")
    ada.act("confirm", person=person, subject="ride-d:1")
    monkeypatch.setattr(regrouping, "PART_SHOWN", 1)
    page = ada.page(f"/people/{person}/split")
    hidden = re.findall(r'type="hidden" name="part" value="([^"]+)"', page)
    choices = re.findall(r'<option value="([^"]+)" selected', page)
    own = {f"1 {ada.track(A1)}", f"1 {ada.track(A2)}", f"2 {d}"}
    assert len(hidden) == 1 and {*hidden, *choices} == own
    ada.act("split", person=person, part=[*hidden, *choices])
    assert owners(ada, "Ada") == {ada.track(A1), ada.track(A2)}


def test_parts_become_people_all_or_none(ada: Opened) -> None:
    person = who(ada, "Ada")
    ada.act("confirm", person=person, subject=["ride-c:1", "ride-d:1"])
    before = state(ada).state_hash
    page = text(ada.page(f"/people/{person}/split"))
    assert "2 parts" in page and "4 parts" in page  # D and the one seen badly are unlike A
    assert "Part 1 stays Ada: 2" in page and "Part 2: 1" in page and "Part 3: 1" in page
    c, d, one = (ada.track(word) for word in ("ride-c:1", "ride-d:1", A1))
    parts = [f"1 {one}", f"2 {d}", f"3 {c}"]
    taken = ada.act("split", status=422, person=person, part=parts, name_2="Bo", name_3="Ben")
    assert "already the name" in unescape(taken)
    assert state(ada).state_hash == before
    assert "all tracks stay" in ada.act("split", status=422, person=person, part=[f"1 {d}"])
    ada.act("split", status=422, person=person, part=[f"9 {d}"])
    ada.act("split", person=person, part=parts, name_2="Bo")
    assert owners(ada, "Bo") == {d}
    assert owners(ada, "Ada") == {one, ada.track(A2)}
    nameless = state(ada).assigned[c]
    assert state(ada).people[nameless].name is None
    undo(ada)
    ada.act("undo", event=ada.history.events[-3].id)
    assert state(ada).state_hash == before


def test_rejected_tracks_are_shown_and_come_back(ada: Opened) -> None:
    before, ben = state(ada).state_hash, who(ada, "Ben")
    ada.act("reject", person=ben, subject=B2)
    event = ada.history.events[-1]
    page = ada.page(f"/people/{ben}")
    negatives = page.partition("Not Ben</h2>")[2].partition("What was decided")[0]
    assert event.id in negatives and "never" in negatives and "by you" in text(negatives)
    ada.act("undo", event=event.id)
    assert state(ada).state_hash == before
    assert "undone" in text(ada.page(f"/people/{ben}"))
    brings_back = ada.history.events[-1].id
    ada.act("undo", event=brings_back)
    assert (ada.track(B2), ben) in state(ada).rejected


def test_tracks_are_given_to_somebody_who_is_chosen_or_typed(ada: Opened) -> None:
    person, ben = who(ada, "Ada"), who(ada, "Ben")
    ada.act("move", person=ben, subject=B2, who="ada")
    assert state(ada).assigned[ada.track(B2)] == person
    ada.act("move", person=person, subject=B2, who="Ben (2 rides)", to=ben)
    assert state(ada).assigned[ada.track(B2)] == ben
    assert "no person fits" in unescape(
        ada.act("move", status=422, person=ben, subject=B2, who="Zoe")
    )


def test_only_whole_decisions_are_taken_back(ada: Opened) -> None:
    person = who(ada, "Ada")
    ada.act("confirm", person=person, subject=["ride-c:1", "ride-d:1"])
    refused = ada.act("take-back", status=422, person=person, subject="ride-d:1")
    assert "gave 2 tracks at once, and 1 of them are not selected" in unescape(refused)
    ada.act("take-back", person=person, subject=["ride-d:1", "ride-c:1"])
    assert owners(ada, "Ada") == {ada.track(A1), ada.track(A2)}


def test_a_face_becomes_the_cover(ada: Opened) -> None:
    before, person, track = state(ada).state_hash, who(ada, "Ada"), ada.track(A2)
    assert f'value="{track} 000006-0"' in ada.page(f"/people/{person}")
    ada.act("cover", person=person, cover=f"{track} 000003-0")
    known = state(ada).people[person]
    assert (known.cover, known.cover_face) == (track, "000003-0")
    ada.act("cover", status=422, person=person, cover="nothing")
    undo(ada)
    assert state(ada).state_hash == before


def test_whoever_was_slower_about_a_person_is_told(ada: Opened) -> None:
    ben, head = who(ada, "Ben"), ada.head()
    ada.act("rename", person=ben, name="Bo")
    told = ada.act("rename", status=409, head=head, person=ben, name="Benno")
    assert "Somebody was faster" in told
    assert state(ada).people[ben].name == "Bo"


def test_a_name_with_markup_is_text_everywhere(ada: Opened) -> None:
    name = '<script>alert("x")</script>'
    ben, person = who(ada, "Ben"), who(ada, "Ada")
    ada.act("rename", person=ben, name=name)
    pages = [
        *("/people", f"/people/{ben}", f"/people/{ben}/split", f"/people/{ben}/more"),
        *(f"/people/{ben}/merge", f"/people/{person}/merge?into={ben}"),
        ada.act("rename", person=person, name=name),
    ]
    for path in pages:
        shown = ada.page(path)
        assert "<script>alert" not in shown and "&lt;script&gt;" in shown, path


def test_more_of_somebody_is_found_and_confirmed(ada: Opened) -> None:
    person = who(ada, "Ada")
    page = ada.page(f"/people/{person}/more")
    assert ada.track("ride-c:1") in page and ada.track("ride-d:1") not in page
    assert "alike 0.40" in text(page)


def test_ten_thousand_people_are_searched_sorted_and_paged_at_once(ada: Opened) -> None:
    count = 10_000
    many = pl.DataFrame(
        {
            "person_id": [f"{n:08d}" for n in range(count)],
            "called": [f"Person {n}" for n in range(count)],
            "key": [f"person {n}" for n in range(count)],
            "hidden": [False] * count,
            "tracks": list(range(count)),
            "rides": [n % 7 for n in range(count)],
            "photographs": [0] * count,
            "faces": [None, *range(1, count)],
            "doubt": [n % 3 for n in range(count)],
        }
    )
    started = time.perf_counter()
    by_faces = shown_people(many, "SON 99", "faces")
    offered = suggested_people(many, "person 12")
    last = shown_people(many, page=10**6)
    assert time.perf_counter() - started < 0.5
    assert [row["called"] for row in by_faces.rows][:2] == ["Person 9999", "Person 9998"]
    assert (by_faces.total, by_faces.pages, len(by_faces.rows)) == (111, 3, PAGE)
    assert offered[0]["called"] == "Person 1299"
    assert (last.page, len(last.rows)) == (count // PAGE, PAGE)
    assert shown_people(many, "person 0", "faces").rows[-1]["faces"] is None
    nobody = Everybody(LibrarySnapshot(ada.desk.stores, History(), None))
    assert shown_people(nobody.people).rows == []


def test_the_page_is_made_of_the_head_that_it_carries(ada: Opened) -> None:
    ben = who(ada, "Ben")
    head = Seen(0, ada.desk.library()).head.removesuffix("0")
    assert f'name="head" value="{head}' in ada.page(f"/people/{ben}")
