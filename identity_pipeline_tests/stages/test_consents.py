"""Answers from commands and files, whom they are about, and what follows for riders and tracks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from identity_pipeline.defs.checks.consent import taught_consent
from identity_pipeline.settings import Settings, load_settings
from identity_pipeline.stages.curation.consent_files import target_called
from identity_pipeline.stages.curation.consents import Asked, consent_key, rider_verdicts
from identity_pipeline.stages.curation.snapshot import CurationError, LibrarySnapshot
from identity_pipeline.stages.datasets.standing import refused
from identity_pipeline.stages.learning.training_data import build_training_set
from identity_pipeline.stages.stores import LibraryStores
from identity_pipeline.storage.layout import Layout
from identity_pipeline.storage.video.registry import VideoRegistry
from identity_pipeline.storage.video.tables import TableStore
from identity_pipeline_tests.conftest import BUNDLED
from identity_pipeline_tests.curated_library import call, write_rides

NOW = "2026-01-02T03:04:05Z"


def rides(root: Path) -> TableStore:
    made = write_rides(root)
    call(root, "label", "ride-a:1", "--name", "Ada")
    call(root, "label", "ride-a:2", "--name", "Ben")
    call(root, "recluster")
    return made


@pytest.fixture
def store(tmp_path: Path) -> TableStore:
    return rides(tmp_path)


@pytest.fixture(scope="module")
def untouched(tmp_path_factory: pytest.TempPathFactory) -> TableStore:
    return rides(tmp_path_factory.mktemp("untouched"))


def consent(store: TableStore, *words: str, code: int = 0) -> str:
    return call(store.layout.root.parent, "consent", *words, code=code)


def required(**more: str) -> Settings:
    return load_settings(consent={"required": True, **more})


def library(store: TableStore) -> LibrarySnapshot:
    return LibrarySnapshot.open(LibraryStores.of(store), NOW, write=False)


def codes(store: TableStore, ride: str, settings: Settings | None = None) -> dict[int, str]:
    [video_id] = [v for v in library(store).videos if v.startswith(ride)]
    found = rider_verdicts(LibraryStores.of(store), settings or required(), video_id)
    return {seat: one.code for seat, one in (found or {}).items()}


def test_answers_of_a_person_and_of_a_visit_are_taken_together(store: TableStore) -> None:
    assert rider_verdicts(LibraryStores.of(store), load_settings(), "ride-a") is None
    assert codes(store, "ride-a") == {0: "unknown", 1: "unknown"}
    consent(store, "grant", "Ada", "--adult", "--evidence", "form 17")
    assert codes(store, "ride-a") == {0: "granted", 1: "unknown"}
    # Her rider in ride-b is hers by the machine's word alone, by which no grant counts.
    assert codes(store, "ride-b") == {0: "unknown", 1: "unknown"}
    consent(store, "grant", "ride-b", "--adult")
    assert codes(store, "ride-b") == {0: "granted", 1: "granted"}
    consent(store, "withdraw", "Ada")
    assert codes(store, "ride-a") == {0: "withdrawn", 1: "unknown"}
    assert codes(store, "ride-b") == {0: "withdrawn", 1: "granted"}  # a no counts by it
    call(store.layout.root.parent, "undo", "last")
    assert codes(store, "ride-b") == {0: "granted", 1: "granted"}
    consent(store, "refuse", "ride-b/1", "--scope", "export")
    assert codes(store, "ride-b") == {0: "granted", 1: "refused"}
    consent(store, "grant", "ride-b/0", "--minor")
    assert codes(store, "ride-b") == {0: "minor", 1: "refused"}
    assert codes(store, "ride-b", required(minors="allow")) == {0: "granted", 1: "refused"}
    # The same word never means a rider here and a track where somebody is forgotten.
    with pytest.raises(CurationError, match="ride-b:1' is a track"):
        target_called(library(store), "ride-b:1")


def test_a_dataset_that_shows_who_refused_says_so_while_no_consent_is_required(
    store: TableStore,
) -> None:
    now = library(store)
    ada, ben = (now.state.named(name)[0] for name in ("Ada", "Ben"))
    a, b = (next(v for v in now.videos if v.startswith(ride)) for ride in ("ride-a", "ride-b"))
    rows = [(ada, a), (ada, a), (ada, b), (ben, a)]
    pictures = [{"person_id": who, "source_id": source} for who, source in rows]
    told = {"consumer": "imagefolder", "pictures": pictures}
    assert refused(now, told, load_settings()) is None
    consent(store, "refuse", "Ada", "--scope", "profile")  # which no dataset asks for
    assert refused(library(store), told, load_settings()) is None
    consent(store, "refuse", "Ada", "--scope", "export")
    sentence = refused(library(store), told, load_settings())
    assert sentence is not None and "3 pictures of 2 rides or photo sets for which" in sentence
    assert refused(library(store), told, required()) is None  # then none is written
    call(store.layout.root.parent, "undo", "last")
    consent(store, "withdraw", "ride-a/1")
    sentence = refused(library(store), told, load_settings())
    assert sentence is not None and "1 picture of 1 ride or photo set for which" in sentence


def test_a_merge_brings_the_answers_of_both(store: TableStore) -> None:
    call(store.layout.root.parent, "label", "ride-b:1", "--name", "Kim")
    consent(store, "grant", "Ada", "--adult")
    consent(store, "refuse", "Kim", "--scope", "training")
    call(store.layout.root.parent, "merge", "Kim", "Ada")
    now = library(store)
    [person] = now.state.named("Ada")
    asked = Asked.of(now.stores, now.state, required())
    own = dict.fromkeys(now.state.members[person], person)
    assert len(own) == 2
    assert {one.code for _, one in asked.of_tracks(own, "export")} == {"granted"}
    assert asked.withheld(own, "training") == set(own) and not asked.withheld(own, "profile")


def test_a_key_changes_with_a_verdict_and_with_its_evidence_alone(store: TableStore) -> None:
    stores, [video_id] = (
        LibraryStores.of(store),
        [v for v in library(store).videos if v.startswith("ride-a")],
    )

    def key() -> object:
        return consent_key(rider_verdicts(stores, required(), video_id))

    consent(store, "grant", "ride-a/0", "--adult")
    before = key()
    consent(store, "refuse", "ride-a", "--scope", "training")
    consent(store, "refuse", "ride-d")
    assert key() == before
    consent(store, "grant", "ride-a/0", "--scope", "export", "--adult", "--evidence", "anew")
    assert key() != before
    assert "anew" not in json.dumps(key())


TICKETS = """\
video;seat;answer;scopes;until;minor;evidence;by
ride-a;0;granted;export training;2099-12-31;no;ticket 1;ticketing
ride-a;1;refused;;;;ticket 1;ticketing
ride-d;;granted;all;;no;ticket 2;ticketing
"""


def test_a_file_is_taken_whole_once_and_again(store: TableStore, tmp_path: Path) -> None:
    file = tmp_path / "visits.csv"
    file.write_text("\ufeff" + TICKETS, encoding="utf-8")
    before = store.layout.ledger.read_bytes()
    tried = consent(store, "import", str(file), "--dry-run")
    assert tried.count("granted") == 5, tried
    assert store.layout.ledger.read_bytes() == before
    consent(store, "import", str(file))
    assert codes(store, "ride-a") == {0: "granted", 1: "refused"}
    assert codes(store, "ride-d") == {0: "granted"}
    after = store.layout.ledger.read_bytes()
    again = consent(store, "import", str(file))
    assert "known already" in again
    assert store.layout.ledger.read_bytes() == after
    [row] = [r for r in json.loads(consent(store, "list", "ride-d", "--json")) if
             r["scope"] == "profile"]  # fmt: skip
    assert (row["answer"], row["evidence"], row["by"]) == ("granted", "ticket 2", "ticketing")
    assert not row["allowed"] or row["reason"] == "consent is not tracked here"


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ("video,anwser\nride-a,granted", "no column 'anwser'; did you mean answer?"),
        ("video,answer,answer\nride-a,granted,granted", "answer is there twice"),
        ("video,scopes\nride-a,export", "needs a column answer"),
        ("video,answer,scopes\nride-a,granted", "line 2 has 2 values, the heading 3"),
        ("video,answer,scopes\nride-z,granted,all", "line 2: no single video fits 'ride-z'"),
        ("person,answer,scopes\nZoe,granted,all", "line 2: no person fits 'Zoe'"),
        ("person,seat,answer\nAda,1,refused", "line 2: a seat is of a ride"),
        ("video,seat,answer\nride-a,left,refused", "line 2: 'left' is no seat"),
        ("video,answer\nride-a,grantd", "line 2: 'grantd' is no answer; did you mean granted?"),
        ("video,answer\nride-a,granted", "line 2: a grant says for what"),
        ("video,answer,scopes\nride-a,granted,exports", "'exports' is no scope; did you mean"),
        ("video,answer,scopes,until\nride-a,granted,all,31.12.2099", "write it as 2027-01-31"),
        ("video,answer,scopes,until\nride-a,granted,all,2099-02-30", "'2099-02-30' is no date"),
        ("video,answer,scopes,until\nride-a,granted,all,2001-01-01", "is over already"),
        ("video,answer,until\nride-a,refused,2099-01-01", "only a grant does"),
        ("video,answer,minor\nride-a,refused,perhaps", "neither yes nor no"),
        (
            "video,answer\nride-a,refused\n\nride-d,refused\nride-a,withdrawn",
            "line 5: it answers for profile of whom line 2 answers for already",
        ),
        ("video,answer", "holds no answer"),
    ],
)
def test_a_file_with_anything_wrong_is_refused_by_its_lines(
    untouched: TableStore, tmp_path: Path, rows: str, told: str
) -> None:
    file, before = tmp_path / "visits.csv", untouched.layout.ledger.read_bytes()
    file.write_text(rows)
    assert told in consent(untouched, "import", str(file), code=2)
    assert untouched.layout.ledger.read_bytes() == before


def test_all_wrong_lines_are_named_and_none_is_taken(untouched: TableStore, tmp_path: Path) -> None:
    file, before = tmp_path / "visits.json", untouched.layout.ledger.read_bytes()
    good = {"video": "ride-a", "seat": 0, "answer": "granted", "scopes": ["export"], "minor": False}
    file.write_text(json.dumps([good, {**good, "video": "ride-x"}, good, {**good, "until": "no"}]))
    refused = consent(untouched, "import", str(file), code=2)
    assert all(place in refused for place in ("entry 2: no single", "entry 3: it answers"))
    assert "entry 4: 'no' is no date" in refused
    assert untouched.layout.ledger.read_bytes() == before
    file.write_bytes(b"\xff\xfe{}")
    assert "is not UTF-8" in consent(untouched, "import", str(file), code=2)
    file.write_text('{"video": 1}')
    assert "no list of objects" in consent(untouched, "import", str(file), code=2)
    file.write_text("[")
    assert "is damaged" in consent(untouched, "import", str(file), code=2)


def test_whom_means_nobody_is_said(untouched: TableStore) -> None:
    told = consent(untouched, "grant", "Zoe", code=1)
    assert "neither a person nor a single video fits 'Zoe'" in told
    assert "is over already" in consent(untouched, "grant", "Ada", "--until", "2001-01-01", code=1)
    assert "is no date" in consent(untouched, "grant", "Ada", "--until", "soon", code=1)


def test_the_demo_brings_a_grant_a_refusal_and_a_minor(tmp_path: Path) -> None:
    store = TableStore(Layout(tmp_path / "data"))
    for ride in sorted((BUNDLED / "rides").glob("*.mp4")):
        VideoRegistry(store.layout).register(ride)
    consent(store, "import", str(BUNDLED / "consents.csv"))
    rows = json.loads(consent(store, "list", "--json"))
    assert {row["answer"] for row in rows} == {"granted", "refused"}
    assert {row["minor"] for row in rows} == {True, False}
    assert len({row["id"] for row in rows}) == 3


def test_rows_that_taught_are_found_once_somebody_withdraws(store: TableStore) -> None:
    stores, settings = LibraryStores.of(store), required()
    consent(store, "grant", "ride-a", "--adult")
    rows = build_training_set(stores, settings, NOW)
    assert set(rows["person_id"]) == set(library(store).state.active)
    stores.trainings.begin(rows, "v", {}, 1, "cpu", NOW)
    resources = {"store": store, "settings": settings}
    checked = taught_consent(**resources)
    assert checked.passed and "2 tracks teach." in str(checked.description)
    consent(store, "withdraw", "ride-a/1", "--scope", "training")
    checked = taught_consent(**resources)
    assert not checked.passed and "materialise training_set again" in str(checked.description)
    assert set(build_training_set(stores, settings, NOW)["person_id"]) == {
        library(store).state.named("Ada")[0]
    }
    assert taught_consent(store=store, settings=load_settings()).passed
