"""Hashes of real files: a ride copied in another encoding, and another ride in the same park."""

from __future__ import annotations

from pathlib import Path

from identity_pipeline.core.video.copies import are_copies, candidate_pairs, keys_of, likeness
from identity_pipeline.core.video.key_table import KeyTable
from identity_pipeline.settings import CopySettings
from identity_pipeline_tests.benchmarks.copies_quality import best, copy, darker, look_at
from identity_pipeline_tests.conftest import BUNDLED

RIDES = BUNDLED / "rides"


def test_a_ride_encoded_anew_is_a_copy_and_another_ride_is_none(tmp_path: Path) -> None:
    source = RIDES / "demo_duo_a.mp4"
    made = copy(
        source, tmp_path / "copy.ts", scale=0.5, fps=15, cut=(1.03, 7.0), crf=34, tone=darker
    )
    ride, copied, other = map(look_at, (source, made, RIDES / "demo_duo_b.mp4"))
    looks = {"a": ride, "b": copied, "c": other}
    pairs = candidate_pairs(
        KeyTable.of({name: ("", keys_of(look)) for name, look in looks.items()})
    )
    (found,) = [pair for pair in pairs if (pair.left, pair.right) == ("a", "b")]
    alike = likeness(ride, copied, found.offsets_ms)
    assert are_copies(alike, ride, copied, CopySettings())
    assert alike.share > 0.98 and abs(alike.offset_ms - 1033) < 50
    assert best(copied, other).share < 0.9
