"""A person's dataset: exported from a rendered ride, read back, checked, damaged, made again."""

from __future__ import annotations

import errno
import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace

import polars as pl
import pytest
from click.testing import CliRunner, Result

from identity_pipeline.cli.main import cli
from identity_pipeline.core.datasets.selection import ordered
from identity_pipeline.media.crops import decode_image
from identity_pipeline.models.hub import ModelHub
from identity_pipeline.settings import Settings, load_settings
from identity_pipeline.stages.curation.curation import Curator
from identity_pipeline.stages.curation.snapshot import LibrarySnapshot
from identity_pipeline.stages.datasets.export import Request, Written, export
from identity_pipeline.stages.datasets.manifest import ManifestError
from identity_pipeline.stages.datasets.pictures import Dataset, Limits
from identity_pipeline.stages.datasets.sources import DatasetError, material_of, people_of
from identity_pipeline.stages.datasets.standing import doubts, people_with_tracks, stamps
from identity_pipeline.stages.datasets.verifying import verify
from identity_pipeline.stages.stores import LibraryStores
from identity_pipeline.storage.files import atomic
from identity_pipeline.storage.layout import Layout
from identity_pipeline.storage.video.tables import TableStore
from identity_pipeline_tests.library import VideoLibrary

NOW = "2026-01-01T00:00:00+00:00"
PLAIN = Limits(detect_at=(320,))
NAME = "Ada / von .. Lovelace"


class Plain:
    """A folder of pictures: the least that a layout may be."""

    name = "plain"
    sentence = "A folder of pictures."

    def __init__(self, limits: Limits) -> None:
        self.limits = limits

    def write(self, root: Path, dataset: Dataset) -> dict[str, tuple[str, ...]]:
        (root / "images").mkdir()
        for picture in dataset.pictures:
            (root / "images" / f"{picture.key}.jpg").write_bytes(picture.jpeg)
        return {p.key: (f"images/{p.key}.jpg",) for p in dataset.pictures}

    def usage(self, dataset: Dataset) -> str:
        return f"    ls {len(dataset.pictures)}\n"


@dataclass
class Named:
    """The solo ride, whose rider has a name that no file may have."""

    root: Path
    settings: Settings
    hub: ModelHub

    @property
    def library(self) -> LibrarySnapshot:
        stores = LibraryStores.of(TableStore(Layout(self.root)))
        return LibrarySnapshot.open(stores, NOW, write=False)

    @property
    def person_id(self) -> str:
        (person_id,) = people_with_tracks(self.library)
        return person_id

    def export(self, limits: Limits = PLAIN, **changes: object) -> Written:
        request = Request((self.person_id,), Plain(limits), count=3)
        return export(self.library, replace(request, **changes), self.settings, self.hub)  # type: ignore[arg-type]

    def call(self, *words: str) -> Result:
        return CliRunner().invoke(cli, ["--data", str(self.root), *words])


@pytest.fixture(scope="module")
def named(demo: VideoLibrary, tmp_path_factory: pytest.TempPathFactory) -> Named:
    root = tmp_path_factory.mktemp("named") / "data"
    shutil.copytree(demo.root, root, symlinks=True)
    settings = load_settings(**{**demo.groups, "paths": {"data": str(root)}})
    made = Named(root, settings, ModelHub(settings.models))
    video = demo.video_id("demo_solo")
    riders = TableStore(Layout(root)).read("riders", video)
    track = riders.filter(pl.col("person_id") == 0)["track_id"][0]
    assert made.call("label", f"{video}:{track}", "--name", NAME, "--as", "me").exit_code == 0
    return made


@pytest.fixture(scope="module")
def written(named: Named) -> Written:
    return named.export()


def tree(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_every_picture_is_cut_anew_and_every_face_has_a_place_or_a_reason(
    named: Named, written: Written
) -> None:
    told = written.manifest
    assert written.folder.parent.parent == named.root / "datasets"
    assert written.folder.parent.name.startswith("ada-von-lovelace-")
    assert len(told["pictures"]) == 3 and not told["consent"]["tracked"]
    assert all(model["licence"] for model in told["models"])
    ride = TableStore(Layout(named.root)).read("candidates", told["sources"][0]["source_id"])
    pool = set(ride.filter(pl.col("standing") == "candidate")["face_id"])
    parts = [told["pictures"], told["not_written"], told["not_chosen"]]
    assert sorted(row["face_id"] for part in parts for row in part) == sorted(pool)
    for row in told["pictures"]:
        pixels = decode_image((written.folder / row["files"][0]).read_bytes())
        x1, y1, x2, y2 = row["face"]
        height, width = pixels.shape[:2]
        assert (width, height) == (row["width"], row["height"]) and row["made"] == "cut"
        assert 0 <= x1 < x2 <= width and 0 <= y1 < y2 <= height
        assert all(x1 < x < x2 and y1 < y < y2 for x, y in row["key_points"][:3])
        assert not {"e_vis_face", "e_vis_body", "look"} & row["measured"].keys()
    assert told["pictures"][0]["role"] == "anchor"
    page = (written.folder / "about" / "index.html").read_text(encoding="utf-8")
    assert "Ada / von .. Lovelace" in page and "<script" not in page


def test_the_same_is_reused_and_made_again_it_is_the_same_bytes(
    named: Named, written: Written
) -> None:
    before = tree(written.folder)
    assert named.export().reused
    next(written.folder.rglob("*.jpg")).write_bytes(b"another")
    again = named.export()
    assert not again.reused and tree(again.folder) == before


def test_size_makes_smaller_and_never_larger(named: Named, tmp_path: Path) -> None:
    small = named.export(size=96, target=tmp_path / "small").manifest["pictures"]
    assert {max(row["width"], row["height"]) for row in small} == {96}
    assert all(row["face"][2] <= 96 for row in small)


def test_verify_finds_what_was_changed_added_and_lost(
    named: Named, written: Written, tmp_path: Path
) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(written.folder, folder)
    sound = verify(folder, named.hub)
    assert not sound.wrong and sound.pictures == 3
    assert {f.code for f in sound.findings} == {"consent_not_recorded"}
    one, other = sorted((folder / "images").iterdir())[:2]
    other.unlink()
    one.write_bytes(one.read_bytes() + b"x")
    (folder / "images" / "contact_sheet.jpg").write_bytes(b"x")
    codes = {(f.code, Path(f.subject).name) for f in verify(folder, None).wrong}
    assert codes == {
        ("changed_file", one.name),
        ("missing_file", other.name),
        ("unknown_file", "contact_sheet.jpg"),
    }
    told = json.loads((folder / "manifest.json").read_bytes())
    told["limits"]["plain"]["face_px"] = 5000
    del told["consent"], told["models"]
    (folder / "manifest.json").write_text(json.dumps(told), encoding="utf-8")
    codes = {f.code for f in verify(folder, named.hub).wrong}
    assert {"face_too_small", "no_consent_stamp", "no_licences"} <= codes
    assert named.call("verify", str(folder), "--no-faces").exit_code == 1
    assert named.call("verify", str(tmp_path)).exit_code == 2


def test_verify_reads_the_export_of_a_ride(named: Named, tmp_path: Path) -> None:
    (ride,) = (named.root / "output").glob("*/identity_builder")
    assert named.call("verify", str(ride), "--no-faces").exit_code == 0
    copy = tmp_path / "ride"
    shutil.copytree(ride, copy)
    (copy / "person_0" / "note.txt").write_text("x", encoding="utf-8")
    assert [f.code for f in verify(copy, None).wrong] == ["unknown_file"]


def test_what_a_consumer_refuses_gives_way_to_the_next_with_its_reason(
    named: Named, written: Written, tmp_path: Path
) -> None:
    yaws = sorted(abs(row["measured"]["yaw"]) for row in written.manifest["pictures"])
    limit = (yaws[0] + yaws[-1]) / 2
    strict = named.export(Limits(detect_at=(320,), yaw_max=limit), target=tmp_path / "strict")
    assert all(abs(row["measured"]["yaw"]) <= limit for row in strict.manifest["pictures"])
    refused = strict.manifest["not_written"]
    assert "turned_away" in {row["code"] for row in refused}
    ranks = [row["rank"] for row in strict.manifest["pictures"]]
    assert ranks == list(range(1, len(ranks) + 1))
    with pytest.raises(DatasetError, match=r"None of the .* is fit for plain"):
        named.export(Limits(face_px=5000), target=tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_a_full_disk_leaves_what_was_there(
    named: Named, written: Written, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = tree(written.folder)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(atomic, "flush", full)
    with pytest.raises(OSError, match="full"):
        named.export(count=2)
    monkeypatch.undo()
    assert tree(written.folder) == before
    assert not list(written.folder.parent.glob(f"{atomic.TEMPORARY_MARK}*"))


def test_nothing_else_is_written_over(named: Named, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("x", encoding="utf-8")
    with pytest.raises(DatasetError, match="no dataset that this program wrote"):
        named.export(target=tmp_path)
    assert (tmp_path / "mine.txt").is_file()
    folder = named.export(target=tmp_path / "out").folder
    (folder / "images" / "_latent_cache").mkdir()
    (folder / "images" / "_latent_cache" / "a.safetensors").write_bytes(b"x")
    assert not named.export(target=folder, count=2).reused
    (folder / "images" / "lora.safetensors").write_bytes(b"mine")
    with pytest.raises(DatasetError, match=r"such as images/lora\.safetensors"):
        named.export(target=folder)
    assert (folder / "images" / "lora.safetensors").read_bytes() == b"mine"


def test_what_is_measured_again_meanwhile_is_no_export(
    named: Named, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    versions = TableStore.versions
    monkeypatch.setattr(Plain, "usage", lambda *_: changed())

    def changed() -> str:
        monkeypatch.setattr(
            TableStore, "versions", lambda *a: dict.fromkeys(versions(*a), "another")
        )
        return ""

    with pytest.raises(DatasetError, match="measured again"):
        named.export(target=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_manifest_of_another_shape_is_said_in_one_sentence(
    named: Named, written: Written, tmp_path: Path
) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(written.folder, folder)
    told = json.loads((folder / "manifest.json").read_bytes())
    for changed in ({"limits": {"least": 1}}, {"people": "Ada"}, {"files": [{"file": "x"}]}):
        (folder / "manifest.json").write_text(json.dumps({**told, **changed}), encoding="utf-8")
        with pytest.raises(ManifestError, match="export it again"):
            verify(folder, named.hub)
    newer = {**told, "schema_version": 2, "limits": []}
    (folder / "manifest.json").write_text(json.dumps(newer), encoding="utf-8")
    assert [finding.code for finding in verify(folder, named.hub).wrong] == ["schema_version"]


def test_people_of_like_names_are_apart_whatever_others_are_called() -> None:
    names = {"1" * 36: "Ada", "2" * 36: "ada", "3" * 36: "Ada 11111111"}
    library = SimpleNamespace(
        survivor=lambda who: who,
        state=SimpleNamespace(people={w: SimpleNamespace(name=n) for w, n in names.items()}),
    )
    found = people_of(library, list(names), load_settings().datasets)  # type: ignore[arg-type]
    assert len({person.slug for person in found}) == len(names)


def test_a_ride_whose_file_is_gone_gives_the_pictures_that_it_exported(
    named: Named, tmp_path: Path
) -> None:
    root = tmp_path / "data"
    shutil.copytree(named.root, root, symlinks=True)
    (record,) = (root / "registry").glob("*.json")
    told = json.loads(record.read_bytes())
    record.write_text(json.dumps({**told, "path": "/gone.mp4", "links": []}), encoding="utf-8")
    moved = Named(root, named.settings, named.hub)
    manifest = moved.export().manifest
    assert {row["made"] for row in manifest["pictures"]} == {"exported"}
    assert {row["code"] for row in manifest["not_written"]} <= {"source_gone", "picture_too_small"}


def test_commands_say_in_one_sentence_what_is_wrong(named: Named) -> None:
    for words, said in {
        ("export",): "name a person",
        ("export", NAME): "--for says who is to read it",
        ("export", NAME, "--for", "kohia"): "did you mean kohya?",
        ("export", "Nobody", "--for", "kohya"): "no person fits 'Nobody'",
        ("export", NAME, "--for", "kohya", "--rides", "ride_9"): "is no single ride",
        ("export", NAME, "--for", "kohya", "--rides", ","): "--rides names no ride",
    }.items():
        result = named.call(*words)
        assert result.exit_code and said in result.output, result.output
    listed = named.call("export", "--list")
    assert listed.exit_code == 0 and "infiniteyou: at most 1 picture" in listed.output


def test_an_export_of_who_refused_says_so(named: Named, demo: VideoLibrary, tmp_path: Path) -> None:
    environment = {
        f"IDENTITY_PIPELINE__{group}__{name}".upper(): value
        if isinstance(value, str)
        else json.dumps(value)
        for group, values in demo.groups.items()
        for name, value in values.items()
        if group != "paths"
    }
    words = ("export", NAME, "--for", "imagefolder", "--count", "1", "--out", str(tmp_path / "out"))
    assert named.call("consent", "refuse", NAME, "--as", "me").exit_code == 0
    try:
        result = CliRunner().invoke(cli, ["--data", str(named.root), *words], env=environment)
    finally:
        assert named.call("undo", "last", "--as", "me").exit_code == 0
    assert result.exit_code == 0, result.output
    said = "it shows 1 picture of 1 ride or photo set for which consent was refused"
    assert said in result.stderr and "consent.required" in result.stderr


def test_who_changed_is_seen_and_who_is_somebody_else_is_doubted(
    named: Named, written: Written, tmp_path: Path
) -> None:
    root = tmp_path / "data"
    shutil.copytree(named.root, root, symlinks=True)
    other = Named(root, named.settings, named.hub)
    who = other.person_id
    before = stamps(other.library, other.settings, [who])
    assert stamps(other.library, other.settings, [who]) == before
    assert doubts(other.library, written.manifest) == []
    assert other.call("rename", NAME, "Ada", "--as", "me").exit_code == 0
    assert stamps(other.library, other.settings, [who]) != before
    assert people_of(other.library, [who], other.settings.datasets)[0].slug == "ada"
    assert len(list((root / "datasets").iterdir())) == 1
    renamed = other.export()
    assert [path.name for path in (root / "datasets").iterdir()] == [f"ada-{who[:8]}"]
    assert renamed.manifest["pictures"][0]["key"] == "ada_001"
    assert other.call("undo", "last", "--as", "me").exit_code == 0
    assert stamps(other.library, other.settings, [who]) == before
    assert other.call("undo", "1", "--as", "me").exit_code == 0
    assert people_with_tracks(other.library) == []
    assert "is nobody in this library" in doubts(other.library, written.manifest)[0]
    told = json.loads(other.call("verify", "--no-faces", "--json").stdout)
    assert [[f["code"] for f in one["findings"] if f["level"] == "wrong"] for one in told] == [
        ["not_them"]
    ]


def test_only_what_counts_is_a_persons(named: Named) -> None:
    (person,) = people_of(named.library, [named.person_id], named.settings.datasets)
    datasets = named.settings.datasets.model_copy(update={"assigned": "confirmed"})
    confirmed = named.settings.model_copy(update={"datasets": datasets})
    assert material_of(named.library, person, confirmed).pool.height
    (source,) = material_of(named.library, person, confirmed).sources.values()
    assert source.origin == "human" and source.kind == "ride"


def test_another_track_of_the_same_seat_is_not_the_persons(named: Named, tmp_path: Path) -> None:
    root = tmp_path / "data"
    shutil.copytree(named.root, root, symlinks=True)
    other = Named(root, named.settings, named.hub)
    (person,) = people_of(other.library, [other.person_id], other.settings.datasets)
    before = material_of(other.library, person, other.settings)
    (video,) = before.sources
    store, half = TableStore(Layout(root)), before.pool["face_id"][::2].to_list()
    tracks, riders = store.read("face_tracks", video), store.read("riders", video)
    seat = riders.filter(pl.col("person_id") == 0)
    parted = tracks.with_columns(
        track_id=pl.when(pl.col("face_id").is_in(half)).then(900).otherwise("track_id")
    )
    more = pl.concat([riders, seat[:1].with_columns(track_id=pl.lit(900, pl.Int64))])
    for name, table in (("face_tracks", parted), ("riders", more)):
        store.write(name, video, table, "parted")
    left = material_of(other.library, person, other.settings).pool["face_id"].to_list()
    assert sorted(left) == sorted(set(before.pool["face_id"]) - set(half))


def test_what_humans_decided_on_pictures_is_heeded_at_once(named: Named, tmp_path: Path) -> None:
    root = tmp_path / "data"
    shutil.copytree(named.root, root, symlinks=True)
    other = Named(root, named.settings, named.hub)
    (person,) = people_of(other.library, [other.person_id], other.settings.datasets)

    def order() -> tuple[list[str], list[str], Mapping[str, str | None]]:
        material = material_of(other.library, person, other.settings)
        selection, datasets = other.settings.selection, other.settings.datasets
        ranked = ordered(material.pool, selection, datasets, material.pool.height)
        faces = ranked.drop_nulls("rank").sort("rank")["face_id"].to_list()
        return faces, material.pool["face_id"].to_list(), material.versions

    before, pool, versions = order()
    stamp = stamps(other.library, other.settings, [person.person_id])
    (video,) = {name.partition("/")[2] for name in versions}
    curator = Curator(other.library, "me", NOW)
    curator.reject_pictures([f"face:{video}:{before[0]}"], "pose")
    curator.anchor_picture(f"face:{video}:{before[2]}")
    curator.order_pictures([f"face:{video}:{before[-1]}"], "person")
    after, left, now = order()
    assert before[0] in pool and before[0] not in left and set(left) < set(pool)
    assert after[:2] == [before[-1], before[2]]
    assert now[f"pictures/{video}"] and f"pictures/{video}" not in versions
    assert stamps(other.library, other.settings, [person.person_id]) != stamp
