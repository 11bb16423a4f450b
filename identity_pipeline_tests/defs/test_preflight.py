"""What a run needs is looked at before its first frame; what is missing is no video's fault."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import dagster as dg
import pytest
from click.testing import CliRunner, Result

from identity_pipeline.cli.main import cli
from identity_pipeline.definitions import build_defs
from identity_pipeline.defs.automation.asked_for import may_try, runs_of, without_outcome
from identity_pipeline.defs.automation.dead_runs import failed_videos
from identity_pipeline.defs.instance.preflight import Leave, is_no_try, leave_to_ask
from identity_pipeline.defs.instance.runs import last_runs
from identity_pipeline.defs.resources.resources import SettingsResource
from identity_pipeline.models.hub import ModelHub
from identity_pipeline.settings import load_settings
from identity_pipeline.stages.planning import preflight
from identity_pipeline.storage.files.locks import exclusive
from identity_pipeline.storage.index.client import IndexPlace
from identity_pipeline.storage.layout import Layout
from identity_pipeline.storage.progress import readiness
from identity_pipeline.storage.video.failures import FailureNotes
from identity_pipeline.storage.video.tables import TableStore
from identity_pipeline_tests.conftest import BUNDLED, OPEN
from identity_pipeline_tests.library import VideoLibrary, failure_of

PACK, VISION = OPEN, BUNDLED / "vision"
DEMO = {"device": "cpu", "face_pack": str(PACK), "vision_encoder": str(VISION)}
Spoil = Callable[[Path], dict[str, str]]


def no_folder(root: Path) -> dict[str, str]:
    return {"face_pack": str(root / "nowhere" / "pack")}


def no_pack(root: Path) -> dict[str, str]:
    (root / "other").mkdir()
    return {"face_pack": str(root / "other")}


def torn_network(root: Path) -> dict[str, str]:
    shutil.copytree(PACK, root / "torn", dirs_exist_ok=True)
    network = next((root / "torn").glob("det*.onnx"))
    network.write_bytes(network.read_bytes()[:1000])
    return {"face_pack": str(root / "torn")}


def torn_of_no_record(root: Path) -> dict[str, str]:
    """As torn, in a pack that nobody wrote digests for."""
    torn = torn_network(root)
    (root / "torn" / "pack.json").unlink()
    return torn


def pickled(root: Path) -> dict[str, str]:
    shutil.copytree(VISION, root / "pickled", dirs_exist_ok=True)
    (root / "pickled" / "model.safetensors").rename(root / "pickled" / "pytorch_model.bin")
    return {"vision_encoder": str(root / "pickled")}


def torn_weights(root: Path) -> dict[str, str]:
    shutil.copytree(VISION, root / "weights", dirs_exist_ok=True)
    weights = root / "weights" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    return {"vision_encoder": str(root / "weights")}


def no_encoder(root: Path) -> dict[str, str]:
    (root / "other").mkdir()
    return {"vision_encoder": str(root / "other")}


def a_file(root: Path) -> dict[str, str]:
    return {"vision_encoder": str(VISION / "config.json")}


def not_on_the_hub(root: Path) -> dict[str, str]:
    return {"vision_encoder": "nobody/has-this", "vision_revision": "0" * 40}


def no_body_encoder(root: Path) -> dict[str, str]:
    shutil.copytree(VISION, root / "unknown", dirs_exist_ok=True)
    (root / "unknown" / "config.json").write_text('{"model_type": "swin"}')
    return {"body_encoder": str(root / "unknown")}


def of_no_commit(root: Path) -> dict[str, str]:
    return {"vision_encoder": "nobody/has-this"}


SPOILT = [
    (no_folder, "does not exist"),
    (no_pack, "no face detector"),
    (torn_network, "is not the file that its pack.json records"),
    (torn_of_no_record, "cannot be opened"),
    (pickled, "pickled weights are not loaded"),
    (torn_weights, "does not open as a vision encoder"),
    (no_encoder, "safetensors"),
    (a_file, "is no folder"),
    (not_on_the_hub, "could not be downloaded"),
    (no_body_encoder, "models.body_encoder: "),
    (of_no_commit, "40 hex digits of the commit"),
]


@pytest.fixture(autouse=True)
def _offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)


def command(*arguments: str) -> Result:
    return CliRunner().invoke(cli, arguments, env={"COLUMNS": "500"})


@pytest.mark.parametrize(("spoil", "said"), SPOILT)
def test_a_command_refuses_at_once_and_leaves_no_note(
    spoil: Spoil,
    said: str,
    tmp_path: Path,
    make_video: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("a frame was decoded")

    monkeypatch.setattr("identity_pipeline.stages.video.detect.detect_video", never)
    for name, value in {**DEMO, **spoil(tmp_path)}.items():
        monkeypatch.setenv(f"IDENTITY_PIPELINE__MODELS__{name.upper()}", str(value))
    data = tmp_path / "data"
    files = [str(make_video(f"{n}.mp4", frames=5 + n)) for n in range(2)]
    done = command("run", *files, "--data", str(data))
    assert done.exit_code == 2, done.output
    assert said in done.output and done.output.count("Nothing was begun") == 1
    assert FailureNotes(Layout(data)).ids() == set()
    assert not (data / "tables").exists() and not (data / "dagster").exists()


def file_in_the_way(data: Path) -> None:
    (data / "tables").write_text("no folder")


def link_to_nowhere(data: Path) -> None:
    (data / "output").symlink_to(data.parent / "unmounted")


@pytest.mark.parametrize(
    ("spoil", "said"), [(file_in_the_way, "is a file"), (link_to_nowhere, "is not there")]
)
@pytest.mark.parametrize("name", ["run", "train", "recluster", "evaluate"])
def test_what_cannot_be_written_is_said_before_the_work(
    name: str, spoil: Callable[[Path], None], said: str, tmp_path: Path, real_file: Path
) -> None:
    data = tmp_path / "data"
    (data / "registry").mkdir(parents=True)
    (data / "registry" / "a.json").write_text("{}")
    spoil(data)
    arguments = [str(real_file)] if name == "run" else []
    done = command(name, *arguments, "--data", str(data))
    assert done.exit_code == 2, done.output
    assert said in done.output


@pytest.fixture
def real_file(make_video: Callable[..., Path]) -> Path:
    return make_video(frames=5)


def test_a_full_disk_is_foreseen(tmp_path: Path) -> None:
    settings = load_settings(ingest={"free_mb_min": 1e12})
    (fault,) = preflight.folder_faults(Layout(tmp_path), settings)
    assert "MiB free" in fault and "clean --dry-run" in fault
    enough = load_settings(ingest={"free_mb_min": 0, "bytes_per_source_byte": 1e9})
    assert preflight.folder_faults(Layout(tmp_path), enough) == []
    assert len(preflight.folder_faults(Layout(tmp_path), enough, source_bytes=1e9)) == 1


def test_an_index_that_is_damaged_or_held_is_foreseen(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    settings = load_settings(index={"lock_wait_s": 0.1})
    assert preflight.index_fault(layout, settings) is None
    place = IndexPlace.of(layout)
    with exclusive(place.lock, "The vector index", "a long rebuild", 1.0):
        held = preflight.index_fault(layout, settings)
    assert held and "a long rebuild" in held
    (place.store).mkdir()
    (place.store / "points.parquet").write_bytes(b"torn")
    damaged = preflight.index_fault(layout, settings)
    assert damaged and "index rebuild" in damaged
    off = load_settings(phases={"index": False})
    assert preflight.index_fault(layout, off) is None


def test_plan_says_what_a_run_would_be_refused_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IDENTITY_PIPELINE__MODELS__FACE_PACK", str(tmp_path / "no" / "pack"))
    output = command("plan", "--data", str(tmp_path)).output
    assert "A run would be refused: models.face_pack names the folder" in output


@pytest.fixture
def spoilt(tmp_path: Path, make_video: Callable[..., Path]) -> Iterator[VideoLibrary]:
    """A library whose vision weights are torn: that shows only when they are opened."""
    torn = torn_weights(tmp_path)["vision_encoder"]
    yield from VideoLibrary.open(tmp_path / "data", PACK, Path(torn))


def test_a_file_that_is_no_video_is_refused_before_a_model_is_opened(
    spoilt: VideoLibrary, tmp_path: Path
) -> None:
    text = tmp_path / "notes.mp4"
    text.write_text("no video")
    code, _ = failure_of(spoilt.run(text))
    assert code == "not_a_video", "of models nothing is known yet"


def test_a_run_that_cannot_begin_is_no_try_of_its_video(
    spoilt: VideoLibrary, make_video: Callable[..., Path]
) -> None:
    clip = make_video(frames=8)
    failed = spoilt.run(clip)
    code, sentence = failure_of(failed)
    assert code == "not_ready" and "does not open as a vision encoder" in sentence
    assert [e.step_key for e in failed.all_events if e.is_step_failure] == ["ride_video"]
    key = spoilt.video_id("clip")
    (run,) = runs_of(spoilt.instance, key)
    assert is_no_try(run) and may_try([run] * 50, max_retries=0)
    assert list(without_outcome(spoilt.instance, spoilt.store, settings_of(spoilt), [key])) == [
        (key, 1)
    ]
    assert FailureNotes(spoilt.store.layout).ids() == set()
    after_the_failure(spoilt, run)
    assert FailureNotes(spoilt.store.layout).ids() == set()
    assert last_runs(spoilt.instance) == {}

    # The sensors say so, then try one at a time, and all again when it is mended.
    now = time.time()
    first = leave_to_ask(spoilt.store, settings_of(spoilt), now, 50)
    assert first.skip and "vision encoder" in str(first.skip.skip_message)
    assert leave_to_ask(spoilt.store, settings_of(spoilt), now + 3600, 50) == Leave(1)
    spoilt.groups["models"]["vision_encoder"] = str(VISION)
    assert leave_to_ask(spoilt.store, settings_of(spoilt), now, 50) == Leave(50)
    assert spoilt.run(clip).success
    assert readiness.noted(spoilt.store.layout) is None


def settings_of(library: VideoLibrary):
    return load_settings(**library.groups)


def after_the_failure(library: VideoLibrary, run: dg.DagsterRun) -> None:
    """What the sensor `failed_videos` does."""
    resources = build_defs(SettingsResource.of(**library.groups)).resources
    assert resources
    record = library.instance.get_records_for_run(
        run.run_id, of_type=dg.DagsterEventType.RUN_FAILURE
    )
    event = record.records[-1].event_log_entry.dagster_event
    assert event is not None
    with dg.build_run_status_sensor_context(
        sensor_name="failed_videos",
        dagster_event=event,
        dagster_instance=library.instance,
        dagster_run=run,
        resources={name: resources[name] for name in ("store", "settings")},
    ) as context:
        failed_videos(context.for_run_failure())


def test_sensors_see_a_wrong_setting_without_opening_a_network(tmp_path: Path) -> None:
    store = TableStore(Layout(tmp_path))
    wrong = load_settings(models={**DEMO, "body_encoder": str(tmp_path / "none")})
    leave = leave_to_ask(store, wrong, 0.0, 50)
    assert leave.skip and "models.body_encoder" in str(leave.skip.skip_message)
    right = load_settings(models=DEMO)
    assert leave_to_ask(store, right, 0.0, 50) == Leave(50)


def test_models_are_opened_once(monkeypatch: pytest.MonkeyPatch) -> None:
    hub = ModelHub(load_settings(models=DEMO).models)
    assert preflight.model_faults(hub, ["face_pack", "vision"], opened=True) == []
    pack, network = hub.face_pack._models, hub.vision._model
    hub.face_pack.open()
    hub.vision.open()
    assert hub.face_pack._models is pack and hub.vision._model is network


def test_a_run_that_finds_invalid_settings_is_no_try_of_its_video(
    spoilt: VideoLibrary, monkeypatch: pytest.MonkeyPatch
) -> None:
    defs = build_defs(SettingsResource.of(**spoilt.groups))
    key = "ride-00000000"
    spoilt.instance.add_dynamic_partitions("videos", [key])
    monkeypatch.setenv("IDENTITY_PIPELINE__QUALITY__NO_SUCH", "1")
    failed = defs.resolve_job_def("per_video").execute_in_process(
        instance=spoilt.instance, partition_key=key, raise_on_error=False
    )
    assert not failed.success
    (run,) = runs_of(spoilt.instance, key)
    assert is_no_try(run), run.tags
    monkeypatch.delenv("IDENTITY_PIPELINE__QUALITY__NO_SUCH")
    after_the_failure(spoilt, run)
    assert FailureNotes(spoilt.store.layout).ids() == set()
