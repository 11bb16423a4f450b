"""What work cost, as it is kept: by machine and models, and safe against torn lines."""

from __future__ import annotations

import json
from pathlib import Path

from identity_pipeline.core.progress.costs import Sample
from identity_pipeline.storage.layout import Layout
from identity_pipeline.storage.progress.costs import TAIL_BYTES, Costs

SAMPLE = Sample(1.5, 10, 5)


def file_of(tmp_path: Path) -> Path:
    return tmp_path / "progress" / "costs" / "watch.jsonl"


def test_samples_come_back_in_order_and_by_models(tmp_path: Path) -> None:
    costs = Costs(Layout(tmp_path))
    costs.add("watch", SAMPLE, "cpu pack:1")
    costs.add("watch", Sample(2.0, 10, 5), "cpu pack:2")
    costs.add("watch", Sample(3.0, 10, None), "cpu pack:1")
    assert costs.samples("watch", "cpu pack:1") == [SAMPLE, Sample(3.0, 10, None)]
    assert costs.samples("riders", "") == []


def test_what_another_machine_took_is_no_price_of_this_one(tmp_path: Path) -> None:
    costs = Costs(Layout(tmp_path))
    costs.add("watch", SAMPLE, "")
    noted = json.loads(file_of(tmp_path).read_text())
    file_of(tmp_path).write_text(json.dumps({**noted, "host": "elsewhere"}) + "\n")
    assert costs.samples("watch", "") == []


def test_a_torn_line_and_a_long_history_are_passed_over(tmp_path: Path) -> None:
    costs = Costs(Layout(tmp_path))
    for _ in range(3 * TAIL_BYTES // 90):
        costs.add("watch", SAMPLE, "")
    with file_of(tmp_path).open("a") as stream:
        stream.write('{"seconds": 1.')
    samples = costs.samples("watch", "")
    assert set(samples) == {SAMPLE} and 100 < len(samples) < TAIL_BYTES // 60
