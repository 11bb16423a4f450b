"""What a person's pictures are worth: embedded by another judge, told, and written; or refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from click.testing import CliRunner

from identity_pipeline.cli.main import cli
from identity_pipeline.core.vectors import normalise
from identity_pipeline.media.crops import encode_jpeg
from identity_pipeline.media.worth_plot import worth_lines
from identity_pipeline.models.cards import PackCard
from identity_pipeline.models.face_pack import FacePack
from identity_pipeline.models.hub import ModelHub
from identity_pipeline.models.spaces import EmbeddingSpace
from identity_pipeline.settings import load_settings
from identity_pipeline.stages.datasets.pictures import Person, Picture, Source
from identity_pipeline.stages.datasets.sources import DatasetError
from identity_pipeline.stages.datasets.worth import (
    CURVE,
    FILE,
    NoJudgeError,
    judge_of,
    worth_of_pictures,
    write_worth,
)
from identity_pipeline.storage.layout import Layout
from identity_pipeline.storage.video.tables import TableStore
from identity_pipeline_tests.library import VideoLibrary

ADA = Person("00000000-0000-0000-0000-000000000001", "Ada", "ada", "ada", "person")
POINTS = np.array([(38, 52), (74, 52), (56, 72), (41, 92), (71, 92)], np.float32)
"""Where a face of 112 px is aligned to, nearly."""


class ByColour:
    """A judge to whom a face is the colour of its middle: no recogniser is as easily foreseen."""

    name = "colour"
    card = PackCard(licence="CC0")
    space = EmbeddingSpace("colour", "1" * 64, 3)

    def embed(self, aligned: list[np.ndarray]) -> np.ndarray:
        return normalise(np.array([face[40:70, 40:70].mean(axis=(0, 1)) + 1 for face in aligned]))


CHOSE = cast(FacePack, SimpleNamespace(space=EmbeddingSpace("chose", "2" * 64, 3), name="chose"))
JUDGE = cast(FacePack, ByColour())


def picture(rank: int, ride: str, colour: tuple[int, int, int], **measured: Any) -> Picture:
    image = np.full((112, 112, 3), colour, np.uint8)
    source = Source(ride, "ride", "0" * 64, None, "human")
    return Picture(
        key=f"ada_{rank:03d}", person=ADA, source=source, face_id=f"{rank:06d}-0", frame_idx=rank,
        timestamp_ms=None, role="coverage", rank=rank, split="train", variant=None,
        jpeg=encode_jpeg(image, 95), width=112, height=112, face=(20.0, 20.0, 92.0, 104.0),
        key_points=POINTS, measured={"yaw": 20.0 * rank, "pitch": 0.0, **measured},
    )  # fmt: skip


def test_each_picture_is_judged_and_told(tmp_path: Path) -> None:
    grey, other = (120, 120, 120), (10, 10, 200)
    shown = [picture(1, "a", grey), picture(2, "b", grey), picture(3, "b", other, yaw=None)]
    judged = worth_of_pictures(shown, JUDGE, CHOSE)
    write_worth(tmp_path / "worth", judged)
    told = json.loads((tmp_path / "worth" / FILE).read_text())
    assert "proxy" in told["proxy"] and (told["judge"], told["pictures"]) == (
        "colour@111111111111/3",
        3,
    )
    assert told["judge_licence"] == "CC0"
    curve = told["other_rides"]["curves"]["best_of"]
    assert [p["count"] for p in curve["points"]] == [1, 2]
    assert curve["loss_without"]["ada_001"] > curve["loss_without"]["ada_003"]
    assert curve["held_out_share"] is None, "with two rides nobody is left to choose"
    assert told["other_rides"]["targets_by_source"] == {"a": 1, "b": 2}
    assert told["other_rides_and_poses"]["targets"] == 2, "of the third no pose is known"
    assert (tmp_path / "worth" / CURVE).read_text().startswith("<svg")
    lines = worth_lines("other_rides", judged.trials["other_rides"])
    assert "3 targets (1 of a, 2 of b)" in lines[0] and "2 of 3 pictures" in "".join(lines)


def test_nothing_else_is_written_over(tmp_path: Path) -> None:
    judged = worth_of_pictures([picture(1, "a", (9, 9, 9))], JUDGE, CHOSE)
    (tmp_path / "letter.txt").write_text("mine")
    with pytest.raises(DatasetError, match="holds something else"):
        write_worth(tmp_path, judged)
    assert (tmp_path / "letter.txt").read_text() == "mine"
    for _ in range(2):
        write_worth(tmp_path / "worth", judged)


def test_of_one_ride_it_says_that_nothing_can_be_said() -> None:
    judged = worth_of_pictures([picture(n, "a", (9, 9, 9)) for n in (1, 2)], JUDGE, CHOSE)
    (line,) = worth_lines("other_rides", judged.trials["other_rides"])
    assert "nothing can be said" in line


def test_without_another_recogniser_nothing_is_measured(open_pack: Path) -> None:
    own = {"face_pack": str(open_pack)}
    settings = load_settings(models=own)
    pack = ModelHub(settings.models).face_pack
    with pytest.raises(NoJudgeError, match=r"Set datasets\.judge"):
        judge_of(settings, pack)
    with pytest.raises(NoJudgeError, match="is the one that chose them"):
        judge_of(load_settings(models=own, datasets={"judge": str(open_pack)}), pack)


def test_the_command_cuts_judges_and_tells(
    demo: VideoLibrary, real_pack: Path, tmp_path: Path
) -> None:
    """Of one ride there is nothing to compare with, which it says."""
    data = tmp_path / "data"
    shutil.copytree(demo.root, data, symlinks=True)
    video = demo.video_id("demo_solo")
    riders = TableStore(Layout(data)).read("riders", video).drop_nulls("person_id")

    def call(*words: str) -> str:
        done = CliRunner().invoke(cli, ["--data", str(data), *words])
        assert done.exit_code == 0, done.output
        return done.output

    call("label", f"{video}:{riders['track_id'][0]}", "--name", "Ada")
    said = call("worth", "Ada", "--judge", str(real_pack), "--count", "2")
    assert said.startswith("Ada: 2 pictures, judged by ") and "nothing can be said" in said
    (folder,) = (data / "datasets").glob("ada-*/worth")
    assert json.loads((folder / FILE).read_text())["other_rides"]["targets"] == 0
