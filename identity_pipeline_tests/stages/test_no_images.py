"""Why a video has no image: what most of its riders' faces ended by."""

from __future__ import annotations

from pathlib import Path

from identity_pipeline.settings import QualitySettings
from identity_pipeline.stages.imagesets.no_images import why_none
from identity_pipeline.storage.layout import Layout
from identity_pipeline.storage.video.tables import TableStore
from identity_pipeline_tests.storage.small_library import put

VIDEO = "ride-00000001"


def test_the_gate_that_most_faces_fail_is_named_with_its_setting(tmp_path: Path) -> None:
    store, settings = TableStore(Layout(tmp_path)), QualitySettings(strict_face_px=112)
    put(store, "frame_ledger", VIDEO, [])
    assert why_none(store, VIDEO, settings) == "no face was found in it."
    fails = [["few_pixels", "blurred"], ["few_pixels"], []]
    faces = [{"face_id": f"{n}-0", "person_id": 0} for n in range(3)]
    unknown = {"state": "no_set", "reason": "no_prototype"}
    put(store, "frame_ledger", VIDEO, [{**face, **unknown} for face in faces])
    rows = [{**face, "strict_fails": codes} for face, codes in zip(faces, fails, strict=True)]
    put(store, "candidates", VIDEO, rows)
    told = "too small: 2 of 3 faces are below 112 px (quality.strict_face_px)."
    assert why_none(store, VIDEO, settings) == told
    gone = {"state": "rejected", "reason": "no_consent"}
    put(store, "frame_ledger", VIDEO, [{**face, **gone} for face in faces])
    assert why_none(store, VIDEO, settings).startswith("of 3 of 3 faces: It was chosen, and whom")
    put(store, "frame_ledger", VIDEO, [{**gone, "face_id": "0-0"}])
    assert why_none(store, VIDEO, settings) == "none of its 1 face is a rider's."
