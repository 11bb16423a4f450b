"""The version of the gates on every image changes with the settings that decide, and no others."""

from __future__ import annotations

import pytest

from identity_pipeline.settings import Settings
from identity_pipeline.stages.specs.assets import VIDEO_SPECS
from identity_pipeline.stages.specs.cache_key import deciding_settings

SETTINGS = Settings()
BEFORE = deciding_settings(SETTINGS, emphasised=False)
GATES_AND_CHOICE = ("face_quality", "identity_stability", "candidates", "selection", "anchor_set")


def changed(group: str, field: str) -> Settings:
    """The settings with another value of one of them."""
    values = getattr(SETTINGS, group).model_copy(update={field: "another"})
    return SETTINGS.model_copy(update={group: values})


def fields() -> list[tuple[str, str]]:
    return [
        (group, field)
        for group in Settings.model_fields
        for field in type(getattr(SETTINGS, group)).model_fields
    ]


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_it_changes_with_what_gates_and_chooses() -> None:
    changing = {
        f"{group}.{field}"
        for group, field in fields()
        if deciding_settings(changed(group, field), emphasised=False) != BEFORE
    }
    declared = {name for key in GATES_AND_CHOICE for name in VIDEO_SPECS[key].settings}
    whole = {name for name in declared if "." not in name}
    assert {name for name in declared if "." in name} <= changing
    assert all(any(name.startswith(f"{group}.") for name in changing) for group in whole)
    assert {"quality.strict_face_px", "selection.min_gap_s", "export.min_side_px"} <= changing
    # What is only written, looked at or run with does not choose.
    still = ("export.jpeg_quality", "models.device", "paths.data", "index.", "match.", "train.")
    assert not any(name.startswith(still) for name in changing)


def test_highlights_count_where_a_video_has_some() -> None:
    bonus = changed("highlights", "quality_bonus")
    assert deciding_settings(bonus, emphasised=False) == BEFORE
    assert deciding_settings(bonus, emphasised=True) != deciding_settings(SETTINGS, emphasised=True)
