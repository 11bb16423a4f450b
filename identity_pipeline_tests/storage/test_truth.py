"""Truth files: both forms become the same tables, and every fault is one sentence."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from identity_pipeline.core.evaluation.truth import TRUTH_FACES, TRUTH_FRAMES
from identity_pipeline.storage.video.registry import Registration
from identity_pipeline.storage.video.truth import TruthError, read_truth, truth_path

Json = dict[str, Any]


def face(person: str, **more: Any) -> Json:
    return {"person": person, "box": [10, 20, 60, 90], **more}


def rendered() -> Json:
    full = face(
        "rider_1", pose=[1.0, -20.0, 3.0], landmarks=[[1, 2, 3]] * 68, occlusion=0.1, eye_open=1.0,
        mouth_open=0.0, smile=0.2, lighting="dark", expression=[0.0] * 57, rider=True,
    )  # fmt: skip
    return {
        "people": ["rider_1"],
        "fps": 30,
        "seed": 5,
        "twins": True,
        "frames": [
            {"frame_idx": 1, "faces": [], "lighting": "normal", "motion_blur": 2.5},
            {"frame_idx": 0, "faces": [full, face("bystander_9")], "lighting": "normal",
             "motion_blur": False, "occluder": "hand", "blur_px": 0.5, "scene_cut": True},
        ],
    }  # fmt: skip


def by_hand() -> Json:
    seats = [[0, 0, 50, 80], [60, 0, 110, 80]]
    return {
        "people": ["a.mp4", "b.mp4"],
        "fps": 30,
        "frames": [{"frame_idx": 3, "seats": seats, "lighting": "overexposed",
                    "motion_blur": True, "occluder": False}],
    }  # fmt: skip


@pytest.fixture
def write(tmp_path: Path) -> Callable[[Any], Path]:
    def to_file(value: Any) -> Path:
        path = tmp_path / "ride.truth.json"
        path.write_text(value if isinstance(value, str) else json.dumps(value))
        return path

    return to_file


def test_a_rendered_truth_names_every_face(write: Callable[[Any], Path]) -> None:
    truth = read_truth(write(rendered()))
    assert (truth.origin, truth.kind, truth.people) == ("rendered", "faces", ("rider_1",))
    assert truth.traits == ("twins",)
    assert dict(truth.faces.schema) == TRUTH_FACES and dict(truth.frames.schema) == TRUTH_FRAMES
    bystander, rider = truth.faces.iter_rows(named=True)
    assert (rider["true_pitch"], rider["true_yaw"], rider["true_roll"]) == (1.0, -20.0, 3.0)
    assert rider["rider"] and not bystander["rider"]
    assert rider["true_lighting"] == "dark" and bystander["true_lighting"] == "normal"
    assert len(rider["true_landmarks"]) == 136 and bystander["true_landmarks"] is None
    assert bystander["true_occlusion"] is None, "what is not said is null, not zero"
    assert truth.frames.rows() == [
        (0, "normal", False, True, True),
        (1, "normal", True, None, None),
    ]


def test_a_truth_by_hand_names_seats(write: Callable[[Any], Path]) -> None:
    truth = read_truth(write(by_hand()))
    assert (truth.origin, truth.kind) == ("real", "seats")
    assert truth.faces["person"].to_list() == ["a.mp4", "b.mp4"]
    assert truth.faces["true_x1"].to_list() == [0.0, 60.0]
    assert truth.faces["rider"].all() and truth.faces["true_yaw"].null_count() == 2


def test_rendered_says_so_itself_in_newer_files(write: Callable[[Any], Path]) -> None:
    value = rendered()
    del value["seed"]
    assert read_truth(write(value)).origin == "real"
    assert read_truth(write({**value, "rendered": True})).origin == "rendered"


def faces_of(value: Json) -> list[Json]:
    return value["frames"][1]["faces"]


def _set(value: Json, **more: Any) -> None:
    faces_of(value)[0].update(more)


FAULTS: dict[str, tuple[Callable[[], Json], Callable[[Json], Any], str]] = {
    "no people": (rendered, lambda v: v.update(people=[]), "people"),
    "somebody twice": (by_hand, lambda v: v.update(people=["a", "a"]), "twice"),
    "box upside down": (rendered, lambda v: _set(v, box=[60, 20, 10, 90]), "x1 < x2"),
    "box of three": (rendered, lambda v: _set(v, box=[1, 2, 3]), "frames.1.faces.0.box"),
    "not a number": (rendered, lambda v: _set(v, pose=[0, "left", 0]), "frames.1.faces.0.pose.1"),
    "NaN": (rendered, lambda v: _set(v, box=[0, 0, float("nan"), 9]), "frames.1.faces.0.box.2"),
    "endless": (rendered, lambda v: _set(v, pose=[0, float("inf"), 0]), "finite"),
    "huge": (rendered, lambda v: _set(v, box=[0, 0, 1e308, 9]), "1000000"),
    "percent": (rendered, lambda v: _set(v, occlusion=30), "occlusion is 30"),
    "far frame": (rendered, lambda v: v["frames"][0].update(frame_idx=10**30), "frames.0.frame"),
    "negative frame": (rendered, lambda v: v["frames"][0].update(frame_idx=-1), "frame_idx is -1"),
    "half a frame": (rendered, lambda v: v["frames"][0].update(frame_idx=1.5), "frame_idx is 1.5"),
    "frame in words": (rendered, lambda v: v["frames"][0].update(frame_idx="3"), "integer"),
    "number for a name": (rendered, lambda v: _set(v, person=3), "frames.1.faces.0.person is 3"),
    "nameless": (rendered, lambda v: v.update(people=[""]), "people.0"),
    "one name": (rendered, lambda v: v.update(people="ann"), "people is 'ann'"),
    "seat of NaN": (by_hand, lambda v: v["frames"][0]["seats"][0].__setitem__(0, float("nan")),
                    "frames.0.seats.0.0"),
    "five landmarks": (rendered, lambda v: _set(v, landmarks=[[0, 0]] * 5), "landmarks, but not"),
    "unknown light": (rendered, lambda v: _set(v, lighting="dusk"), "lighting"),
    "face twice": (rendered, lambda v: faces_of(v).append(face("rider_1")), "in it twice"),
    "frame twice": (rendered, lambda v: v["frames"][0].update(frame_idx=0), "there twice"),
    "a seat short": (by_hand, lambda v: v["frames"][0]["seats"].pop(), "1 seats for 2 people"),
    "both forms": (by_hand, lambda v: v["frames"][0].update(faces=[]), "1 have faces and 1"),
    "neither form": (by_hand, lambda v: v["frames"][0].pop("seats"), "0 have faces and 0"),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_a_malformed_truth_is_one_sentence(fault: str, write: Callable[[Any], Path]) -> None:
    make, spoil, words = FAULTS[fault]
    value = make()
    spoil(value)
    with pytest.raises(TruthError, match="no usable truth") as raised:
        read_truth(write(value))
    assert "ride.truth.json" in str(raised.value)
    assert words in str(raised.value) and "\n" not in str(raised.value)


@pytest.mark.parametrize("text", ["", "[]", "{", "null", "[" * 9999])
def test_what_is_no_truth_at_all_is_said(text: str, write: Callable[[Any], Path]) -> None:
    with pytest.raises(TruthError, match="no usable truth"):
        read_truth(write(text))


def test_it_lies_beside_the_video_or_in_the_folder_that_is_given(tmp_path: Path) -> None:
    beside, folder = tmp_path / "rides", tmp_path / "truth"
    for place in (beside, folder):
        place.mkdir()
        (place / "b.truth.json").touch()
    record = Registration("a-00000000", "0" * 64, str(tmp_path / "a.mp4"), (str(beside / "b.mp4"),))
    assert truth_path(record) == beside / "b.truth.json"
    assert truth_path(record, folder) == folder / "b.truth.json"
    (folder / "b.truth.json").unlink()
    assert truth_path(record, folder) is None
