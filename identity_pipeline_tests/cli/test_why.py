"""What `why` prints of a face, where the ledger alone would mislead."""

from __future__ import annotations

from dataclasses import replace

import polars as pl
import pytest

from identity_pipeline.cli.explain import print_faces
from identity_pipeline.core.faces.gates import strict_requirements
from identity_pipeline.core.imagesets.evidence import Evidence, compared, peers_in_moment
from identity_pipeline.media.wording import STRICT_GATE
from identity_pipeline.settings import QualitySettings
from identity_pipeline.stages.imagesets.explanation import MEASURES, Contest, Explained
from identity_pipeline.stages.imagesets.why import measured_words, why_words
from identity_pipeline.tables import TABLES

OWN, BEST = Evidence(picture_score=0.93), Evidence(picture_score=0.81)


def lost(rank: int | None) -> Explained:
    """A face with a larger score than the one that stands for its moment."""
    moments = pl.DataFrame({"face_id": ["a", "b"], "moment_id": [0, 0], "rank": [rank, 1]})
    peers = peers_in_moment("a", moments)
    assert peers is not None
    told = {"face_id": "a", "person_id": 0, "timestamp_ms": 0.0, "rival_face_id": "b"}
    score = compared(OWN, BEST)
    measured: dict[str, float | None] = dict.fromkeys(MEASURES)
    contest = Contest(peers, score, ("saved", "coverage"))
    ledger = {**dict.fromkeys(TABLES["frame_ledger"]), **told}
    return Explained(ledger, measured, OWN, contest, None, None, score)


def test_angles_before_the_lens_stand_beside_those_of_the_head() -> None:
    face = lost(None)
    face.measured.update(yaw=-2.0, pitch=1.0)
    assert {"yaw -2", "pitch 1"} < set(measured_words(face))
    face.measured.update(yaw_camera=11.0, pitch_camera=-7.0)
    told = {"yaw -2 (11 before the lens)", "pitch 1 (-7 before the lens)"}
    assert told < set(measured_words(face))


def test_a_face_that_is_too_small_is_not_called_unsharp() -> None:
    face = replace(lost(None), strict_fails=("few_pixels",))
    face.ledger["reason"] = "no_prototype"
    face.measured["face_px"] = 84.0
    assert "size 84 px" in measured_words(face)
    told = " ".join(why_words(face, QualitySettings(strict_face_px=112)))
    assert "Of the strict gate it fails: too small (quality.strict_face_px: 112)." in told
    assert set(STRICT_GATE) == {each.code for each in strict_requirements(QualitySettings())}


def test_a_better_picture_of_something_else_than_its_moment_says_so(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_faces([lost(None)], "ride", 0, QualitySettings())
    assert "does not show what the moment" in " ".join(capsys.readouterr().out.split())
    print_faces([lost(2)], "ride", 0, QualitySettings())
    assert "the moment" not in capsys.readouterr().out
