"""What weights may be used for, by what their licence is called."""

from __future__ import annotations

import pytest

from identity_pipeline.models.licences import licence_of, purpose_fault, use_of

OPEN = "CC0-1.0 (recogniser) and Apache-2.0 (detector, mesh, iris), converted"


@pytest.mark.parametrize(
    ("licence", "use"),
    [
        (None, "unknown"),
        ("", "unknown"),
        ("my own", "unknown"),
        ("proprietary, ask us", "unknown"),
        ("MIT", "any"),
        (OPEN, "any"),
        ("CC-BY-4.0.", "any"),
        ("CC-BY-NC-4.0", "research"),
        ("CC BY-NC-SA 4.0", "research"),
        ("MIT AND Apache-2.0", "any"),
        ("GPL-3.0 OR MIT", "any"),
        ("MIT and GPL-3.0", "unknown"),
        ("MIT (code), weights: ask us", "unknown"),
        (f"recogniser: MIT; the other nets: {OPEN}", "any"),
        (f"recogniser: ask us; the other nets: {OPEN}", "unknown"),
        ("recogniser: MIT; the other nets: None", "unknown"),
        ("MIT (code); weights for non-commercial research", "research"),
        ("Academic use", "research"),
        ("apache-2.0", "any"),
        ("not MIT", "unknown"),
        ("Apache-2.0 except military use", "unknown"),
        ("Apache-2.0 for evaluation only", "unknown"),
        ("MIT (code only; weights: ask us)", "unknown"),
        ("weights not covered by: MIT", "unknown"),
        (licence_of("buffalo_l"), "research"),
        (licence_of("facebook/dinov2-small"), "any"),
    ],
)
def test_a_licence_is_read_by_its_name(licence: str | None, use: str) -> None:
    assert use_of(licence) == use


def test_only_a_commercial_purpose_refuses_and_names_the_weights() -> None:
    models = [("open", OPEN), ("buffalo_l", licence_of("buffalo_l")), ("mine", None)]
    assert purpose_fault("research", models) is None
    assert purpose_fault("unspecified", models) is None
    assert purpose_fault("commercial", models[:1]) is None
    fault = purpose_fault("commercial", models)
    assert fault and "buffalo_l (research only), mine (licence not known)" in fault
    assert "open" in fault
