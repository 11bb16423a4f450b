"""Running again: reuse, what a changed setting recomputes, equal bytes, and kill -9."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from identity_pipeline_tests.counted_models import Calls, counted
from identity_pipeline_tests.library import VideoLibrary, digest_of_tree, reused_assets
from identity_pipeline_tests.processes import ended, program

CLIP = "solo_d19"
FROM_SELECTION_ON = {
    "face_index",
    "selection",
    "anchor_set",
    "coverage_set",
    "challenge_set",
    "pair_set",
    "frame_ledger",
    "identity_dataset",
}


@pytest.fixture(scope="module")
def done(
    tmp_path_factory: pytest.TempPathFactory, real: Path, real_pack: Path, vision_encoder: Path
) -> Iterator[VideoLibrary]:
    """A library in which one short real clip was processed undisturbed."""
    root = tmp_path_factory.mktemp("done")
    for opened in VideoLibrary.open(root, real_pack, vision_encoder):
        assert opened.run(real / "videos" / f"{CLIP}.mp4").success
        yield opened


def test_a_second_run_computes_nothing_and_changes_no_byte(done: VideoLibrary, real: Path) -> None:
    before = digest_of_tree(done.root)
    result = done.run(real / "videos" / f"{CLIP}.mp4")
    reused = reused_assets(result)
    assert result.success
    assert {name for name, again in reused.items() if not again} == {"ride_video"}
    assert digest_of_tree(done.root) == before


def test_a_changed_novelty_recomputes_from_the_selection_on(done: VideoLibrary, real: Path) -> None:
    changed = {"selection": {"novelty_min": 0.35}}
    result = done.run(real / "videos" / f"{CLIP}.mp4", overrides=changed)
    computed = {name for name, again in reused_assets(result).items() if not again}
    assert computed == FROM_SELECTION_ON | {"ride_video"}
    assert done.run(real / "videos" / f"{CLIP}.mp4").success


def test_another_vision_model_detects_and_identifies_nothing_again(
    done: VideoLibrary, real: Path, tmp_path: Path, vision_encoder: Path
) -> None:
    other = tmp_path / "other_vision"
    shutil.copytree(vision_encoder, other)
    config = json.loads((other / "config.json").read_text())
    (other / "config.json").write_text(json.dumps({**config, "note": "another"}))
    with counted(Calls()) as calls:
        result = done.run(
            real / "videos" / f"{CLIP}.mp4", overrides={"models": {"vision_encoder": str(other)}}
        )
    assert result.success
    assert calls.given["detect"] == calls.given["embed"] == 0 < calls.given["see"]
    computed = {name for name, again in reused_assets(result).items() if not again}
    assert {"vision_embeddings", "candidates", "ride_video"} <= computed
    assert computed <= FROM_SELECTION_ON | {"vision_embeddings", "candidates", "ride_video"}
    assert done.run(real / "videos" / f"{CLIP}.mp4").success


def test_other_buckets_leave_the_networks_alone(done: VideoLibrary, real: Path) -> None:
    with counted(Calls()) as calls:
        changed = {"buckets": {"smile_from": 0.31}}
        result = done.run(real / "videos" / f"{CLIP}.mp4", overrides=changed)
    assert sum(calls.given.values()) == 0
    assert not reused_assets(result)["face_buckets"]
    assert done.run(real / "videos" / f"{CLIP}.mp4").success


def test_a_lost_image_is_exported_again(done: VideoLibrary, real: Path) -> None:
    before = digest_of_tree(done.export(CLIP))
    next(done.export(CLIP).rglob("*.jpg")).unlink()
    result = done.run(real / "videos" / f"{CLIP}.mp4")
    assert not reused_assets(result)["identity_dataset"]
    assert digest_of_tree(done.export(CLIP)) == before


def test_a_damaged_table_is_computed_again(done: VideoLibrary, real: Path) -> None:
    path = done.store.layout.table("face_quality", done.video_id(CLIP))
    before = path.read_bytes()
    path.write_bytes(before[:-10])
    result = done.run(real / "videos" / f"{CLIP}.mp4")
    assert path.read_bytes() == before
    # It came out the same, so that nothing that is made of it is made again.
    computed = {name for name, again in reused_assets(result).items() if not again}
    assert computed == {"ride_video", "face_quality"}


def test_another_folder_gives_the_same_bytes(
    done: VideoLibrary, real: Path, tmp_path: Path, real_pack: Path, vision_encoder: Path
) -> None:
    for other in VideoLibrary.open(tmp_path / "other", real_pack, vision_encoder):
        assert other.run(real / "videos" / f"{CLIP}.mp4").success
        assert digest_of_tree(other.root) == digest_of_tree(done.root)


@pytest.mark.slow
def test_kill_9_at_any_moment_ends_in_the_same_bytes(
    done: VideoLibrary, real: Path, tmp_path: Path
) -> None:
    """The command is killed again and again, each time later, until it gets through."""
    root, said = tmp_path / "killed", tmp_path / "said"
    models = done.groups["models"]
    command = [
        "run", real / "videos" / f"{CLIP}.mp4", "--data", root, "--models", models["face_pack"],
        "--vision", models["vision_encoder"], "--device", "cpu",
    ]  # fmt: skip
    environment = {
        "DAGSTER_HOME": str(tmp_path),
        "IDENTITY_PIPELINE__MODELS__ARCFACE_LIKE": "true",
        "IDENTITY_PIPELINE__MODELS__DET_SIZE": str(models["det_size"]),
        "IDENTITY_PIPELINE__EXPORT__CHECKS": json.dumps(done.groups["export"]["checks"]),
    }
    (tmp_path / "dagster.yaml").write_text("telemetry:\n  enabled: false\n")
    kills = 0
    for trigger in ("crops", "tables/face_quality", "output", None):
        process = program("identity_pipeline", *command, said=said, environment=environment)
        while process.is_alive():
            if trigger and (root / trigger).exists() and any((root / trigger).iterdir()):
                process.kill()
                kills += 1
                break
            time.sleep(0.02)
        status = ended(process)
        if trigger is None:
            assert status == 0, said.read_text()
    assert kills >= 2
    recovered = tmp_path / "recovered"
    process = program(
        "identity_pipeline", "recover", "--data", root, said=recovered, environment=environment
    )
    assert ended(process) == 0
    assert "half-written files removed" in recovered.read_text()
    assert digest_of_tree(root) == digest_of_tree(done.root)
