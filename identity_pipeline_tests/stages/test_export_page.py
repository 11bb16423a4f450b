"""What the page of an export counts as lacking, from the rows of `candidates`."""

from __future__ import annotations

from dataclasses import replace

import polars as pl

from identity_pipeline.core.camera.reach import cells_of, reach
from identity_pipeline.core.imagesets.challenge import KINDS
from identity_pipeline.settings import Settings
from identity_pipeline.stages.imagesets.dataset import reached_here
from identity_pipeline.stages.imagesets.page import _kinds_lacking, _pose_grid, _said_of
from identity_pipeline.stages.imagesets.provenance import KnownCamera, KnownRide, Provenance
from identity_pipeline.storage.cameras.editions import EditionName
from identity_pipeline_tests.media.test_page import RIDER

S = Settings()


def face(
    person: int, yaw: tuple[int, str], pitch: tuple[int, str], expression: str, light: str
) -> dict[str, object]:
    """A row of `face_buckets`."""
    return {
        "person_id": person,
        **{"yaw_key": yaw[0], "yaw_bin": yaw[1], "pitch_key": pitch[0], "pitch_bin": pitch[1]},
        **{"expression_bin": expression, "lighting_bin": light},
    }


AHEAD, ASIDE, LEVEL, UP = (0, "[-5,5)"), (-15, "[-15,-5)"), (0, "neutral"), (10, "slight-up")
CELLS = pl.concat(
    cells_of(
        f"v{k:02d}",
        pl.DataFrame(
            [
                face(0, AHEAD, LEVEL, "smile", "normal"),
                face(1, (15, "[5,15)"), UP, "neutral", "dark"),
            ]
        ),
    )
    for k in range(15)
)
"""Of fifteen videos of two riders each."""
CAMERA = KnownCamera("cam1", EditionName(1, 20, 20), 12.0, None, reach(CELLS, S.buckets))
FACES = pl.DataFrame(
    [
        {**face(0, *pose, "neutral", "normal"), "face_id": f"{n}", "bucket_key": "seen"}
        for n, pose in enumerate([(AHEAD, LEVEL), (ASIDE, UP)])
    ]
).with_columns(moment_id="face_id", standing=pl.lit("candidate"), stands=True, picture_score=0.5,
               ended=pl.lit("near_duplicate"))  # fmt: skip


def known(camera: KnownCamera | None) -> Provenance:
    """Where an export of a camera comes from."""
    return Provenance("v", {}, (), "vision", "identity", "", "", camera=camera)


def test_a_kind_that_was_seen_within_moments_alone_is_not_told_as_unseen() -> None:
    faces = pl.DataFrame(
        {
            "face_id": ["a", "b", "c", "d"],
            "moment_id": [1, 1, 2, 3],
            "kind": ["motion", "motion", "motion", "dark"],
            "standing": ["not_the_best_of_its_moment"] * 3 + ["candidate"],
            "stands": [False, False, False, True],
            "picture_score": [0.5, 0.4, 0.3, 0.2],
            "ended": ["not_the_best_of_its_moment"] * 3 + ["near_duplicate"],
        }
    )
    told = {one.name: one for one in _kinds_lacking(faces, [], _said_of(None, S))}
    assert set(told) == set(KINDS)
    assert (told["motion"].moments, told["motion"].reason) == (2, "not_the_best_of_its_moment")
    assert (told["dark"].moments, told["dark"].reason) == (1, "near_duplicate")
    assert told["pose"].moments == 0
    assert {one.reach for one in told.values()} == {None}  # the camera is not known
    known = {one.name: one.reach for one in _kinds_lacking(faces, [], _said_of(CAMERA, S))}
    assert known["dark"] == "reached by 50% of riders here (33% to 67%, of 30)"
    assert str(known["overexposed"]).startswith("never reached here by anyone (0 of 30 riders")
    assert known["motion"] is None


def test_every_empty_cell_says_who_else_reaches_it() -> None:
    rider = replace(RIDER, saved_faces=FACES)
    told = reached_here(rider, known(CAMERA), S)
    assert told["empty_bins"]["expression smile"].startswith("reached by 50% of riders here")
    assert told["empty_bins"]["yaw [-45,-30)"].startswith("never reached here by anyone")
    assert not {"yaw [-5,5)", "pitch neutral", "expression neutral"} & told["empty_bins"].keys()
    assert len(told["empty_bins"]) == 7 + 5 + 4 - 5  # two of yaw, two of pitch, one mien
    assert told["coverage_of_what_riders_here_reach"]["yaw"] == "1/2"
    assert reached_here(rider, known(None), S) == {}
    few = replace(CAMERA, reach=reach(CELLS.filter(pl.col("video_id") < "v02"), S.buckets))
    words = set(reached_here(rider, known(few), S)["empty_bins"].values())
    assert words == {"who reaches it here is not known (4 riders are too few)"}


def test_what_a_rider_lacks_says_where_others_show_it() -> None:
    rider = replace(RIDER, saved_faces=FACES)
    smile, where = ("expression", "smile"), "most often in drop, 0:41 to 0:45"
    ride = KnownRide(EditionName(1, 20, 20), (), (), {rider.person_id: {smile: where}})
    told = reached_here(rider, replace(known(CAMERA), ride=ride), S)["empty_bins"]
    without = reached_here(rider, known(CAMERA), S)["empty_bins"]
    assert told == without | {"expression smile": f"{without['expression smile']}; {where}"}


def test_a_pose_that_was_not_seen_says_whether_anybody_reaches_it() -> None:
    grid = _pose_grid(FACES, [], [], _said_of(CAMERA, S))
    (_, (_, up)), (_, (aside, ahead)) = grid.rows
    assert str(ahead.reach).startswith("reached by 50% of riders here")
    assert str(aside.reach).startswith("never reached here by anyone") and not aside.seen
    assert str(up.reach).startswith("never reached here by anyone") and not up.seen
    unknown = _pose_grid(FACES, [], [], _said_of(None, S))
    assert {cell.reach for _, cells in unknown.rows for cell in cells} == {None}
