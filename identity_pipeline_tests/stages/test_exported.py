"""Which faces' images are left out of an export, pairs among them."""

from __future__ import annotations

from pathlib import Path

from identity_pipeline.stages.specs.exported import TYPES, left_out_faces
from identity_pipeline.storage.layout import Layout
from identity_pipeline.storage.video.tables import TableStore
from identity_pipeline_tests.storage.small_library import put

RIDE = "ride-a-00000000"


def test_both_faces_of_a_pair_that_is_left_out_say_so(tmp_path: Path) -> None:
    store = TableStore(Layout(tmp_path))
    for name in (*TYPES, "face_quality", "face_landmarks", "identity_stability"):
        put(store, name, RIDE, [])
    assert left_out_faces(store, RIDE) == {}
    pair = [{"face_id": face, "image": "p1", "person_id": n} for n, face in enumerate("ab")]
    put(store, "pair_set", RIDE, pair)
    put(store, "anchor_set", RIDE, [{"face_id": "c", "image": "x", "person_id": 0}])
    lacking = {"file": "pair/p1.jpg", "type": "left_out", "left_out": "other_picture: It: is not."}
    put(store, "identity_dataset", RIDE, [lacking])
    told = left_out_faces(store, RIDE)
    assert told == dict.fromkeys("ab", "other_picture: It: is not.")
