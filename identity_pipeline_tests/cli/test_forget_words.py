"""What `forget` says where it is not proved that nothing is left."""

from __future__ import annotations

from pathlib import Path

from identity_pipeline.cli.forget import why_not_proved


def told(*files: str) -> dict[str, object]:
    return {"scans": [{"hits": [{"file": file} for file in files]}]}


def test_a_data_folder_within_is_named_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "demo").mkdir()
    for folder in (tmp_path, tmp_path / "demo"):
        (folder / "folder.json").write_text("{}")

    (demo,) = why_not_proved(tmp_path, told("demo/tables/a.parquet", "demo/crops/b"))
    assert f"{tmp_path / 'demo'} is a data folder of its own" in demo
    assert f"identity-pipeline --data {tmp_path / 'demo'} forget" in demo

    own, *more = why_not_proved(tmp_path, told("tables/a.parquet", "logs/b", "logs/c"))
    assert "still found in logs/b and 2 other files" in own and not more


def test_a_search_that_was_not_whole_is_said(tmp_path: Path) -> None:
    (said,) = why_not_proved(tmp_path, told())
    assert "not all could be searched" in said
