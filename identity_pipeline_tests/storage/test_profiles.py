"""Profiles: enriched and never overwritten, withdrawn by source, old and future schemas."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity_pipeline.core.library.identity_profile import (
    IdentityProfile,
    NewEmbeddings,
    ProfileError,
    made_of,
)
from identity_pipeline.core.library.running_statistics import moments_of
from identity_pipeline.core.vectors import SpaceMismatchError
from identity_pipeline.storage.layout import Layout, UnsafePathError
from identity_pipeline.storage.library.profiles import (
    ProfileChange,
    ProfileStore,
    from_json,
    sources_json,
    to_json,
)
from identity_pipeline_tests.core.builders import MODEST
from identity_pipeline_tests.core.people import SPACE, directions, looks

ANNA = "11111111-2222-4333-8444-555555555555"
BEN = "99999999-2222-4333-8444-555555555555"
DAY = "2026-01-10"
PERSON = directions(np.random.default_rng(0), 1)[0]


def directions_away() -> np.ndarray:
    other = directions(np.random.default_rng(5), 1)[0].astype(np.float64)
    other -= (other @ PERSON) * PERSON
    return other / np.linalg.norm(other)


def batch(source: str, count: int = 5, seed: int = 1, **changes: Any) -> NewEmbeddings:
    vectors = looks(np.random.default_rng(seed), PERSON, count, 0.5)
    ids = [f"{i:06d}-0" for i in range(count)]
    base = {"source": source, "space": SPACE, "face_ids": ids, "vectors": vectors}
    return NewEmbeddings(**{**base, "qualities": [0.5 + i / 100 for i in range(count)], **changes})


@pytest.fixture
def store(tmp_path: Path) -> ProfileStore:
    return ProfileStore(Layout(tmp_path))


def put(
    store: ProfileStore, *batches: NewEmbeddings, person: str = ANNA, **changes: Any
) -> ProfileChange:
    """The profile made of these batches, and of no other."""
    told = {"name": "Anna Ö", "space": SPACE, "threshold": 0.3, "today": DAY} | changes
    return store.put_in_step(person, sources=list(batches), **told)


def enriched(store: ProfileStore, *batches: NewEmbeddings, person: str = ANNA) -> IdentityProfile:
    put(store, *batches, person=person)
    profile = store.get(person)
    assert profile is not None
    return profile


def test_a_profile_is_created_then_enriched(store: ProfileStore) -> None:
    (first,) = put(store, batch("aa")).added
    assert (first.action, first.added, first.total, first.session) == ("created", 5, 5, 1)
    assert first.message == "Anna Ö: profile created, +5 new, 5 in all, session 1."
    (second,) = put(store, batch("aa"), batch("bb", 7, 2), today="2026-02-01").added
    assert second.message == "Anna Ö: profile enriched, +7 new, 12 in all, session 2."
    profile = store.get(ANNA)
    assert profile is not None
    vectors = np.concatenate([batch("aa").vectors, batch("bb", 7, 2).vectors])
    whole = moments_of(vectors)
    assert profile.moments is not None
    assert profile.moments.count == 12
    assert profile.moments.mean == pytest.approx(whole.mean, abs=1e-12)
    assert profile.moments.m2 == pytest.approx(whole.m2, abs=1e-12)
    assert profile.last_training == "2026-02-01"
    assert profile.quality is not None
    assert (profile.quality.count, profile.quality.lowest) == (12, 0.5)
    assert store.listing() == ["Anna Ö (12 embeddings, 2 sessions)"]
    assert store.folder(ANNA) == store.layout.identities / f"anna-o-{ANNA}"


def test_a_source_that_sorts_first_is_counted_with_what_was_there(store: ProfileStore) -> None:
    enriched(store, batch("bb", 7, 2))
    told = put(store, batch("bb", 7, 2), batch("cc", 3, 4), batch("aa")).added
    assert [(r.action, r.added, r.total, r.session) for r in told] == [
        ("enriched", 5, 12, 2), ("enriched", 3, 15, 3),
    ]  # fmt: skip


def test_the_same_sources_again_write_nothing(store: ProfileStore) -> None:
    enriched(store, batch("aa"))
    path = store.layout.identities / f"anna-o-{ANNA}" / "profile.json"
    before, stamp = path.read_bytes(), path.stat().st_mtime_ns
    assert put(store, batch("aa"), today="2026-03-01") == ProfileChange((), ())
    assert (path.read_bytes(), path.stat().st_mtime_ns) == (before, stamp)


def test_nobody_without_a_source_gets_a_profile(store: ProfileStore) -> None:
    assert put(store) == ProfileChange((), ())
    assert store.get(ANNA) is None


def test_a_withdrawn_source_was_never_added(store: ProfileStore) -> None:
    far = batch("cc", 3, vectors=np.stack([PERSON, -PERSON, PERSON]))
    all_of_them = enriched(store, batch("aa"), batch("bb", 7, 2), far)
    assert len(all_of_them.quarantined) == 1
    assert put(store, batch("aa")).withdrawn == ("bb", "cc")
    left = store.get(ANNA)
    only = enriched(store, batch("aa"), person=BEN)
    assert left is not None
    assert (left.moments, left.quality, left.quarantined) == (only.moments, only.quality, ())
    assert left.sessions == 3, "the sessions did take place"


def test_what_is_too_far_is_quarantined_and_reported(store: ProfileStore) -> None:
    enriched(store, batch("aa"))
    mixed = batch("bb", 3, vectors=np.stack([PERSON, -PERSON, directions_away()]))
    (told,) = put(store, batch("aa"), mixed).added
    assert [q.face_id for q in told.quarantined] == ["000001-0", "000002-0"]
    assert told.quarantined[0].cosine < -0.8
    assert (told.added, told.total) == (1, 6)
    assert told.message.endswith("2 too far from the person: quarantined.")
    at_rest = json.loads(next(store.layout.identities.glob("*/profile.json")).read_text())
    assert at_rest["quarantined_count"] == 2
    assert {q["source"] for q in at_rest["quarantined"]} == {"bb"}


def test_without_a_threshold_nothing_is_kept_out(store: ProfileStore) -> None:
    mixed = batch("bb", 3, vectors=np.stack([PERSON, -PERSON, directions_away()]))
    put(store, batch("aa"), mixed, threshold=None)
    profile = store.get(ANNA)
    assert profile is not None
    assert (profile.embedding_count, profile.quarantined) == (8, ())


def other_than(count: int, seed: int, **changes: Any) -> NewEmbeddings:
    """A source that shows somebody else, all through."""
    vectors = looks(np.random.default_rng(seed), directions_away(), count, 0.3)
    return batch(f"z{seed}", count, vectors=vectors, **changes)


def test_a_poor_first_source_does_not_decide_for_ever(store: ProfileStore) -> None:
    poor, good, more = other_than(5, 1), batch("bb", 20, 2), batch("cc", 4, 3)
    put(store, poor)
    (told,) = put(store, poor, good).added
    assert (told.added, told.quarantined) == (20, ())
    profile = store.get(ANNA)
    assert profile is not None
    assert profile.embedding_count == 20 and len(profile.quarantined) == 5
    large = other_than(60, 2)
    assert put(store, large, good, more).withdrawn == (poor.source,)
    again = store.get(ANNA)
    assert again is not None, "each source counts once: two agree against one, however large"
    assert again.embedding_count == 24 and len(again.quarantined) == 60


BATCHES = [batch("aa"), batch("bb", 7, 2), other_than(4, 7), batch("cc", 3, 4), other_than(9, 8)]


@given(st.permutations(BATCHES), st.integers(1, 5))
@MODEST
def test_a_profile_is_a_function_of_the_set(order: list[NewEmbeddings], count: int) -> None:
    chosen = order[:count]
    blank = IdentityProfile(ANNA, "Anna", SPACE)
    one, _ = made_of(blank, chosen, 0.3, DAY)
    other, _ = made_of(blank, sorted(chosen, key=lambda new: new.source), 0.3, DAY)
    assert to_json(one) == to_json(other)
    again, told = made_of(one, chosen, 0.3, "2027-01-01")
    assert (again, told) == (one, ())


@given(st.lists(st.sets(st.integers(0, len(BATCHES) - 1)), min_size=1, max_size=6))
@MODEST
def test_what_came_and_went_leaves_no_trace(history: list[set[int]]) -> None:
    profile = IdentityProfile(ANNA, "Anna", SPACE)
    for present in history:
        profile, _ = made_of(profile, [BATCHES[i] for i in sorted(present)], 0.3, DAY)
    last = [BATCHES[i] for i in sorted(history[-1])]
    fresh, _ = made_of(IdentityProfile(ANNA, "Anna", SPACE), last, 0.3, DAY)
    assert (profile.moments, profile.quality) == (fresh.moments, fresh.quality)
    assert profile.quarantined == fresh.quarantined
    assert list(profile.sources) == sorted(profile.sources)


def test_in_a_first_session_the_majority_is_the_person(store: ProfileStore) -> None:
    vectors = np.concatenate([-PERSON[None], batch("aa").vectors])
    (told,) = put(store, batch("aa", 6, vectors=vectors)).added
    assert [q.face_id for q in told.quarantined] == ["000000-0"]


def test_floats_keep_every_bit(store: ProfileStore) -> None:
    profile = enriched(store, batch("aa"), batch("bb", 7, 2))
    again = from_json(json.dumps(to_json(profile)).encode(), lambda _: sources_json(profile))
    assert again == profile
    assert again.moments == profile.moments


def test_old_profiles_load_as_session_one(store: ProfileStore) -> None:
    vectors = batch("aa").vectors.astype(np.float64)
    old = {
        "id": ANNA,
        "name": "Anna",
        "embedding_mean": vectors.mean(axis=0).tolist(),
        "embedding_std": vectors.std(axis=0).tolist(),
        "quality_stats": {"final_embedding_count": 5},
    }
    folder = store.layout.identities / f"anna-{ANNA}"
    folder.mkdir(parents=True)
    (folder / "profile.json").write_text(json.dumps(old))
    profile = store.get(ANNA)
    assert profile is not None
    assert profile.label == "Anna (5 embeddings, 1 session)"
    assert profile.moments is not None
    assert profile.moments.m2 == pytest.approx(moments_of(vectors).m2, abs=1e-6)
    with pytest.raises(ProfileError, match="does not say its embedding space"):
        put(store, batch("bb"))


def test_a_future_schema_is_refused_in_a_sentence() -> None:
    with pytest.raises(ProfileError, match=r"Anna has schema 9.*update identity_pipeline"):
        from_json(b'{"schema_version": 9, "name": "Anna"}', lambda _: b"{}")


@pytest.mark.parametrize(
    "data",
    [
        b'{"schema_version": 2}',
        b'{"schema_version": 3}',
        b"[]",
        b"null",
        b"\xff",
        b"",
        b'{"name": 1, "quality_stats": []}',
    ],
)
def test_a_broken_file_says_what_to_do(store: ProfileStore, data: bytes) -> None:
    enriched(store, batch("aa"))
    path = store.layout.identities / f"anna-o-{ANNA}" / "profile.json"
    path.write_bytes(data)
    with pytest.raises(ProfileError, match="is no profile"):
        store.get(ANNA)
    faults: list[str] = []
    assert not list(store.all(faults)) and str(path) in faults[0]


def test_a_field_of_another_kind_is_a_broken_file(store: ProfileStore) -> None:
    whole = to_json(enriched(store, batch("aa")))
    path = store.layout.identities / f"anna-o-{ANNA}" / "profile.json"
    for name in ("name", "classes", "sessions", "quarantined", "ephemeral"):
        path.write_text(json.dumps({**whole, name: 1.5}))
        with pytest.raises(ProfileError, match=f"is no profile.*{name}"):
            store.get(ANNA)


def test_spaces_are_never_mixed(store: ProfileStore) -> None:
    enriched(store, batch("aa"))
    with pytest.raises(SpaceMismatchError):
        put(store, batch("bb", space="other@000000000000/64"))


def test_a_profile_of_another_model_is_made_anew(store: ProfileStore) -> None:
    enriched(store, batch("aa"), batch("bb", 7, 2))
    other = "other@000000000000/64"
    change = put(store, batch("aa", 6, 3, space=other), space=other)
    assert [told.added for told in change.added] == [6] and change.withdrawn == ("bb",)
    profile = store.get(ANNA)
    assert profile is not None
    assert (profile.space, profile.embedding_count) == (other, 6)


@pytest.mark.parametrize("person", ["../x", "", "anna", ANNA.replace("-", ""), f"{ANNA}/..", "*"])
def test_only_a_uuid_names_a_person(store: ProfileStore, person: str) -> None:
    with pytest.raises(UnsafePathError):
        put(store, batch("aa"), person=person)


@pytest.mark.parametrize("name", ["../../etc", "李", "a/b\\c", ".", " ", "x" * 300])
def test_any_name_is_a_safe_folder(store: ProfileStore, name: str) -> None:
    put(store, batch("aa"), name=name)
    folder = store.folder(ANNA)
    assert folder is not None
    assert folder.parent == store.layout.identities.resolve()
    profile = store.get(ANNA)
    assert profile is not None
    assert profile.name == name


def test_a_link_out_of_the_root_is_refused(store: ProfileStore, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    store.layout.identities.mkdir(parents=True)
    (store.layout.identities / f"anna-{ANNA}").symlink_to(outside)
    with pytest.raises(UnsafePathError):
        put(store, batch("aa"))


def test_a_new_name_keeps_the_folder_and_two_folders_are_an_error(store: ProfileStore) -> None:
    enriched(store, batch("aa"))
    put(store, batch("aa"), batch("bb", 7, 2), name="Someone Else")
    assert store.listing() == ["Someone Else (12 embeddings, 2 sessions)"]
    (store.layout.identities / f"twin-{ANNA}").mkdir()
    with pytest.raises(ProfileError, match="two profiles"):
        store.get(ANNA)


def test_writers_at_once_leave_one_of_what_they_wrote(store: ProfileStore) -> None:
    people = [f"{i:08x}-2222-4333-8444-555555555555" for i in range(4)]
    batches = [batch(f"{i:02x}", 3, i) for i in range(8)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda i: put(store, *batches, person=people[i % 4]), range(16)))
    for person in people:
        profile = store.get(person)
        assert profile is not None
        assert (len(profile.sources), profile.embedding_count, profile.sessions) == (8, 24, 8)


def as_of_schema_two(profile: IdentityProfile, *batches: NewEmbeddings) -> dict[str, Any]:
    """What the version before wrote of a profile: the statistics of each source."""
    value = to_json(profile)
    for name in ("classes", "sources_sha256", "source_count", "embedding_mean", "embedding_std"):
        del value[name]
    sources = {}
    for n, new in enumerate(batches, 1):
        moments, scores = moments_of(new.vectors), list(new.qualities or ())
        sources[new.source] = {
            "moments": {"n": moments.count, "mean": [*moments.mean], "m2": [*moments.m2]},
            "quality": {
                "count": len(scores),
                "mean": float(np.mean(scores)),
                "lowest": min(scores),
                "highest": max(scores),
            },
            "session": n,
        }
    return {**value, "schema_version": 2, "sources": sources}


def test_profiles_at_rest_of_the_version_before_open_and_are_brought_in_step(
    store: ProfileStore,
) -> None:
    both = batch("bb", 7, 2), batch("aa")
    whole = enriched(store, *both)
    path = next(store.layout.identities.glob("*/profile.json"))
    written = as_of_schema_two(whole, *both)
    path.write_text(json.dumps(written))
    same = store.get(ANNA)
    assert same is not None
    assert (same.moments, same.quality, same.sessions) == (whole.moments, whole.quality, 2)
    assert (same.count_of("ride"), same.embedding_count) == (2, 12)
    # Faces kept out that a poor first source drove away.
    written["sources"]["bb"] |= {"moments": None, "quality": None}
    written["quarantined"] = [{"source": "bb", "face_id": "000000-0", "cosine": 0.1}]
    path.write_text(json.dumps(written))
    old = store.get(ANNA)
    assert old is not None and old.embedding_count == 5
    assert put(store, batch("aa"), batch("bb", 7, 2)) == ProfileChange((), ())
    healed = store.get(ANNA)
    assert healed is not None
    assert (healed.embedding_count, healed.quarantined, healed.sessions) == (12, (), 2)


def test_a_profile_is_no_longer_with_more_sources(store: ProfileStore) -> None:
    def size() -> int:
        return (store.layout.identities / f"anna-o-{ANNA}" / "profile.json").stat().st_size

    rides = [batch(f"{n:064x}", 2, n) for n in range(40)]
    enriched(store, *rides[:2], batch("photos", 3, 77, kind="photos"))
    two = size()
    enriched(store, *rides, batch("photos", 3, 77, kind="photos"))
    assert size() < two + 300, "no more than longer numbers"
    profile = store.get(ANNA)
    assert profile is not None and (profile.count_of("ride"), profile.count_of("photos")) == (40, 1)


def test_rides_and_photographs_are_told_apart_and_add_up(store: ProfileStore) -> None:
    photos = batch("cc", 4, 9, kind="photos")
    told = put(store, batch("aa"), photos, model="pack/net", gate_version="abc").added
    assert [(one.kind, one.added, one.total) for one in told] == [("ride", 5, 5), ("photos", 4, 9)]
    folder = store.layout.identities / f"anna-o-{ANNA}"
    value = json.loads((folder / "profile.json").read_bytes())
    vectors = np.concatenate([batch("aa").vectors, photos.vectors]).astype(np.float64)
    assert value["embedding_mean"] == pytest.approx(vectors.mean(axis=0), abs=1e-6)
    assert value["embedding_std"] == pytest.approx(vectors.std(axis=0), abs=1e-6)
    assert (value["embedding_count"], value["model"], value["gate_version"]) == (
        9,
        "pack/net",
        "abc",
    )
    assert {k: (c["sources"], c["moments"]["n"]) for k, c in value["classes"].items()} == {
        "photos": (1, 4), "ride": (1, 5),
    }  # fmt: skip
    # Withdrawn, it was never there: every number, and no list of sources is left over.
    put(store, batch("aa"))
    put(store, batch("aa"), person=BEN)
    left, never = store.get(ANNA), store.get(BEN)
    assert left is not None and never is not None
    assert (left.classes, left.sources) == (never.classes, never.sources)
    assert len(list(folder.iterdir())) == 2


def test_a_list_of_sources_that_is_gone_or_another_is_said(store: ProfileStore) -> None:
    enriched(store, batch("aa"))
    listed = next(store.layout.identities.glob("*/sources-*.json"))
    listed.write_bytes(b"{}")
    with pytest.raises(ProfileError, match=r"profile\.json.* not what was written.*; remove it"):
        store.get(ANNA)
    listed.unlink()
    with pytest.raises(ProfileError, match="cannot be read"):
        store.get(ANNA)


def test_a_changed_digit_is_noticed_and_a_profile_of_before_has_no_hash(
    store: ProfileStore,
) -> None:
    whole = enriched(store, batch("aa"))
    path = store.layout.identities / f"anna-o-{ANNA}" / "profile.json"
    told = json.loads(path.read_text())
    told["embedding_mean"][0] += 0.5
    path.write_text(json.dumps(told))
    with pytest.raises(ProfileError, match=r"its SHA-256 begins with .*; remove it"):
        store.get(ANNA)
    path.write_text(json.dumps(to_json(whole)))
    assert store.get(ANNA) == whole


def test_the_one_that_grew_last_is_listed_first(store: ProfileStore) -> None:
    put(store, batch("aa"), name="Zoe", today="2026-02-01")
    put(store, batch("bb", 7, 2), name="Ada", today="2026-01-01", person=BEN)
    assert [label.partition(" ")[0] for label in store.listing()] == ["Zoe", "Ada"]


def test_what_an_import_said_of_its_stay_is_kept_and_such_people_are_not_listed(
    store: ProfileStore,
) -> None:
    enriched(store, batch("a"))
    path = next(store.layout.root.rglob("profile.json"))
    value = json.loads(path.read_bytes())
    del value["sha256"]  # an import has none
    path.write_text(json.dumps(value | {"ephemeral": True, "retain_until": "2031-05-01"}))
    changed = enriched(store, batch("b"))
    assert (changed.ephemeral, changed.retain_until) == (True, "2031-05-01")
    assert json.loads(path.read_bytes())["ephemeral"] is True
    assert store.listing() == []
