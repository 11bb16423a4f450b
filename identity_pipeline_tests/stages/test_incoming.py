"""What an object store holds is looked at like any input: nothing of it is believed unseen."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from identity_pipeline.errors import IdentityPipelineError
from identity_pipeline.stages.publishing.contents import NotOursError, check_library, check_video
from identity_pipeline.stages.publishing.publishing import Publisher
from identity_pipeline.storage.layout import Layout
from identity_pipeline.storage.publishing.object_store import (
    Contents,
    ObjectStore,
    Version,
    subject_of,
    version_of,
)
from identity_pipeline_tests.library import VideoLibrary, digest_of_tree
from identity_pipeline_tests.stages.test_publishing import CliRunner, cli, twin_of

REGISTRATION = "registration.json"


DATASET = "tables/identity_dataset.parquet"
NOTE = "tables/identity_dataset.manifest.json"


@pytest.fixture(scope="module")
def good(demo: VideoLibrary, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Contents]:
    """A video and what is published of it."""
    video_id = demo.video_id("demo_solo")
    url = f"file://{tmp_path_factory.mktemp('bucket')}"
    work = Publisher(Layout(demo.root), ObjectStore(url), versions=2)
    contents = work._contents(video_id)
    check_video(video_id, contents)
    return video_id, contents


def registered(**changes: Any) -> Callable[[Contents], Contents]:
    """The contents with another registration."""

    def change(contents: Contents) -> Contents:
        record = {**json.loads(contents[REGISTRATION]), **changes}
        return {**contents, REGISTRATION: json.dumps(record).encode()}

    return change


def without(start: str) -> Callable[[Contents], Contents]:
    return lambda contents: {p: d for p, d in contents.items() if not p.startswith(start)}


def plus(path: str, data: bytes = b"x") -> Callable[[Contents], Contents]:
    return lambda contents: {**contents, path: data}


BAD: dict[str, Callable[[Contents], Contents]] = {
    "another id": registered(video_id="other-00000000"),
    "an id that leads out": registered(video_id="../../etc/passwd"),
    "no id": registered(video_id=None),
    "no digest": registered(sha256="x"),
    "another digest": registered(sha256="0" * 64),
    "a digest of a wrong type": registered(sha256=7),
    "a path with NUL": registered(path="/a\x00b"),
    "a path of a wrong type": registered(path=["/a"]),
    "a path too long": registered(path="/" + "a" * 5000),
    "links of a wrong type": registered(links="/a"),
    "a link with a newline": registered(links=["/a\n/b"]),
    "no registration": without(REGISTRATION),
    "a registration that is none": plus(REGISTRATION, b"[]"),
    "a registration that is no text": plus(REGISTRATION, b"\xff\xfe"),
    "an asset that leads out": plus("tables/../../ledger/events.jsonl"),
    "an asset with slashes": plus("tables/a/b.parquet"),
    "an unknown asset": plus("tables/passwords.parquet"),
    "another suffix": plus("tables/frames.py"),
    "an absolute path": plus("/etc/passwd"),
    "a path beside": plus("models/heads/live.json"),
    "a picture too many": plus("export/person_0/anchors/extra.jpg"),
    "an export that leads out": plus("export/../../../registry/a.json"),
    "an empty name": plus("export/"),
    "a line break in a name": plus("export/a\n.jpg"),
    "no tables": without("tables/"),
    "no export": without("export/"),
    "a table that is none": plus("tables/frames.parquet", b"PAR1"),
    "a manifest that is none": plus("tables/frames.manifest.json", b"[]"),
    "a manifest without end": plus("tables/frames.manifest.json", b"[" * 100_000),
    "a note that is none": plus("tables/frames.made-of.json", b"7"),
}


@pytest.mark.parametrize("what", BAD)
def test_what_is_no_video_of_ours_is_refused(good: tuple[str, Contents], what: str) -> None:
    video_id, contents = good
    with pytest.raises(NotOursError):
        check_video(video_id, BAD[what](contents))


def put(url: str, video_id: str, contents: Contents) -> None:
    """Publishes as somebody does who can write into the store."""
    root = Path(url.removeprefix("file://"))
    made = version_of({path.lstrip("/"): data for path, data in contents.items() if path})
    for path, data in contents.items():
        place = root / "videos" / video_id / made.version / path.lstrip("/")
        if ".." not in path and not path.endswith("/"):
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(data)
    ObjectStore(url)._put_in_force(subject_of(video_id), made)


@pytest.mark.parametrize("what", ["another id", "an unknown asset", "a table that is none"])
def test_nothing_of_it_is_put_in_place(
    good: tuple[str, Contents], tmp_path: Path, what: str
) -> None:
    video_id, contents = good
    url = f"file://{tmp_path}/bucket"
    put(url, video_id, BAD[what](contents))
    elsewhere = Layout(tmp_path / "elsewhere")
    with pytest.raises(NotOursError, match="Nothing was changed here"):
        Publisher(elsewhere, ObjectStore(url), versions=2).fetch(video_id)
    assert digest_of_tree(elsewhere.root) == {}


def manifest(**changes: Any) -> Callable[[dict[str, Any]], Any]:
    return lambda noted: {**noted, **changes}


def file_as(**changes: Any) -> Callable[[dict[str, Any]], Any]:
    """The manifest with another note on one file."""

    def change(noted: dict[str, Any]) -> dict[str, Any]:
        files = dict(noted["files"])
        files[REGISTRATION] = {**files[REGISTRATION], **changes}
        return {**noted, "files": files}

    return change


def renamed(path: str) -> Callable[[dict[str, Any]], Any]:
    return lambda noted: {**noted, "files": dict.fromkeys([path], noted["files"][REGISTRATION])}


MANIFESTS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "another subject": manifest(subject="videos/other-00000000"),
    "no subject": lambda noted: {k: v for k, v in noted.items() if k != "subject"},
    "a version that leads out": manifest(version="../x"),
    "another version": manifest(version="0" * 16),
    "older ones of a wrong type": manifest(older="abc"),
    "older ones that lead out": manifest(older=["../../other"]),
    "files of a wrong type": manifest(files=[]),
    "a size of a wrong type": file_as(size="1"),
    "a size below zero": file_as(size=-1),
    "a size beyond all disks": file_as(size=10**18),
    "no digest": file_as(sha256="x"),
    "a digest of a wrong type": file_as(sha256=None),
    "a file with more": file_as(more=1),
    "a path that leads out": renamed("../../x"),
    "an absolute path": renamed("/etc/passwd"),
    "a NUL": renamed("a\x00b"),
    "a list": lambda noted: [noted],
    "nothing": lambda noted: None,
}


@pytest.mark.parametrize("what", MANIFESTS)
def test_a_manifest_that_is_none_of_ours_is_refused_and_stops_no_other(
    good: tuple[str, Contents], tmp_path: Path, demo: VideoLibrary, what: str
) -> None:
    video_id, contents = good
    url = f"file://{tmp_path}/bucket"
    put(url, video_id, contents)
    place = tmp_path / "bucket" / "videos" / video_id / "manifest.json"
    noted = json.loads(place.read_bytes())
    place.write_text(json.dumps(MANIFESTS[what](noted)), encoding="utf-8")
    work = Publisher(Layout(tmp_path / "elsewhere"), ObjectStore(url), versions=2)
    with pytest.raises(IdentityPipelineError):
        work.fetch(video_id)
    assert digest_of_tree(tmp_path / "elsewhere") == {}


def test_fetching_all_goes_on_behind_one_that_cannot_be_fetched(
    demo: VideoLibrary, tmp_path: Path
) -> None:
    video_id = demo.video_id("demo_solo")
    shutil.copytree(demo.root, tmp_path / "made", symlinks=True)
    made, url = Layout(tmp_path / "made"), f"file://{tmp_path}/bucket"
    twin = twin_of(made, video_id)
    work = Publisher(made, ObjectStore(url), versions=2)
    assert work.publish(video_id).is_new and work.publish(twin).is_new
    (tmp_path / "bucket" / "videos" / "..hidden").mkdir()
    (there,) = (tmp_path / "bucket" / "videos" / video_id).glob("*/registration.json")
    there.write_bytes(b"{}")
    reading = tmp_path / "reading"
    said = CliRunner().invoke(
        cli,
        ["fetch", "--all", "--data", str(reading)],
        env={"IDENTITY_PIPELINE__PUBLISH__URL": url, "COLUMNS": "160"},
    )
    assert said.exit_code == 1 and "1 video fetched" in said.output and video_id in said.output
    assert Layout(reading).export(twin).is_dir()
    assert not Layout(reading).export(video_id).exists()


@pytest.mark.parametrize("name", ["../x", "1", "000001-xyz", "", "000001-abc/../.."])
def test_a_library_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(NotOursError):
        check_library({f"{name}/generation.json": b"{}"})
    with pytest.raises(NotOursError):
        check_library({"000001-abc/../../x": b"", "000001-abc/generation.json": b"{}"})


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data())
def test_whatever_bytes_there_are_it_is_one_sentence_or_the_same_video(
    good: tuple[str, Contents], data: st.DataObject
) -> None:
    video_id, contents = good
    small = [path for path, held in contents.items() if len(held) < 20_000]
    path = data.draw(st.sampled_from(sorted(small)))
    held = bytearray(contents[path])
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(held) - 1))
        held[place] = data.draw(st.integers(0, 255))
    changed = {**contents, path: bytes(held)}
    try:
        check_video(video_id, changed)
    except NotOursError as error:
        assert str(error)
    else:
        # Only what is no table, no picture and no id may differ.
        assert changed == contents or path == REGISTRATION or path.endswith(".json")


def test_the_version_is_the_digest_of_the_files(good: tuple[str, Contents]) -> None:
    _, contents = good
    made = version_of(contents)
    assert isinstance(made, Version) and len(made.version) == 16
    one = made.files[REGISTRATION]
    assert one.sha256 == hashlib.sha256(contents[REGISTRATION]).hexdigest()


def test_a_library_may_have_notes_of_steps_which_are_not_taken_and_no_other_files() -> None:
    note = json.dumps({"number": 1, "fingerprint": "ab" * 32, "space": "s", "next_cluster_id": 1})
    name = "000001-abababababab"
    held = {"generation.json": note.encode(), "identity_profiles.manifest.json": b"{}"}
    contents = {f"{name}/{file}": data for file, data in held.items()}
    assert check_library(contents) == (name, {"generation.json": note.encode()})
    for other in ("run.sh", "a/b.parquet", "people.parquet", ".hidden", "PEOPLE.parquet"):
        with pytest.raises(NotOursError):
            check_library({**contents, f"{name}/{other}": b"x"})


def test_an_image_that_was_left_out_is_no_file_of_the_export(good: tuple[str, Contents]) -> None:
    video_id, contents = good
    rows = pl.read_parquet(BytesIO(contents[DATASET]))
    image = next(file for file in rows["file"] if file.endswith(".jpg"))
    chosen = pl.col("file") == image
    rows = rows.with_columns(
        left_out=pl.when(chosen).then(pl.lit("another frame")).otherwise("left_out"),
        sha256=pl.when(~chosen).then("sha256"),
    )
    table = BytesIO()
    rows.write_parquet(table)
    digest = hashlib.sha256(table.getvalue()).hexdigest()
    noted = json.loads(contents[NOTE]) | {"data_version": digest}
    changed = contents | {DATASET: table.getvalue(), NOTE: json.dumps(noted).encode()}
    changed.pop(f"export/{image}")
    check_video(video_id, changed)
