"""What consent allows: by a grid of answers, and whatever the answers are."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity_pipeline.core.privacy.consent import NOT_TRACKED, Said, judge, together
from identity_pipeline.settings import ConsentSettings

TODAY = "2026-06-15"
ON = ConsentSettings(required=True)
LAX = ConsentSettings(required=True, unknown="allow", minors="allow")
ANSWERS = st.builds(
    Said,
    st.sampled_from(["granted", "refused", "withdrawn", "unknown"]),
    st.uuids().map(str),
    st.none() | st.dates().map(str),
    st.none() | st.booleans(),
)
MANY = st.lists(ANSWERS, max_size=5)
SETTINGS = st.builds(
    ConsentSettings,
    required=st.just(True),
    unknown=st.sampled_from(["block", "allow"]),
    minors=st.sampled_from(["block", "allow"]),
)


@pytest.mark.parametrize(
    ("said", "settings", "code"),
    [
        ([], ON, "unknown"),
        ([], LAX, "allowed"),
        ([("granted", None, False)], ON, "granted"),
        ([("granted", TODAY, False)], ON, "granted"),
        ([("granted", "2026-06-14", False)], ON, "ended"),
        ([("granted", "2026-06-14", False)], LAX, "allowed"),
        ([("granted", "2026-06-14", False), ("granted", "2027-01-01", None)], ON, "granted"),
        ([("granted", None, None)], ON, "age_unknown"),
        ([("granted", None, None)], LAX, "granted"),
        ([("granted", None, False), ("granted", None, True)], ON, "minor"),
        ([("granted", None, True)], LAX, "granted"),
        ([("granted", None, False), ("refused", None, None)], LAX, "refused"),
        ([("withdrawn", None, None), ("granted", None, False)], LAX, "withdrawn"),
        ([("unknown", None, False)], ON, "unknown"),
        ([], ConsentSettings(required=True, unknown="allow"), "age_unknown"),
    ],
)
def test_each_answer_has_its_verdict(
    said: list[tuple[str, str | None, bool | None]], settings: ConsentSettings, code: str
) -> None:
    answers = [Said(answer, f"e{n}", until, minor) for n, (answer, until, minor) in enumerate(said)]
    verdict = judge(answers, [one.minor for one in answers], settings, TODAY)
    assert verdict.code == code and verdict.allowed == (code in {"granted", "allowed"})
    assert set(verdict.evidence) <= {one.evidence for one in answers}


@given(MANY, SETTINGS)
def test_while_it_is_off_nothing_is_forbidden(said: list[Said], settings: ConsentSettings) -> None:
    off = settings.model_copy(update={"required": False})
    assert judge(said, [one.minor for one in said], off, TODAY) == NOT_TRACKED


@given(MANY, SETTINGS, st.randoms(use_true_random=False))
def test_a_verdict_hangs_on_no_order_and_a_no_outweighs_all(
    said: list[Said], settings: ConsentSettings, random: object
) -> None:
    minors = [one.minor for one in said]
    verdict = judge(said, minors, settings, TODAY)
    mixed = list(said)
    random.shuffle(mixed)  # type: ignore[attr-defined]
    assert judge(mixed, [one.minor for one in mixed], settings, TODAY) == verdict
    no = Said("refused", "no")
    refused = judge([*said, no], minors, settings, TODAY)
    assert not refused.allowed and refused.code == "refused" and "no" in refused.evidence
    assert not together([verdict, refused]).allowed


@given(MANY, SETTINGS)
def test_what_is_allowed_strictly_is_allowed_laxly_and_names_its_grants(
    said: list[Said], settings: ConsentSettings
) -> None:
    minors = [one.minor for one in said]
    verdict = judge(said, minors, settings, TODAY)
    if verdict.allowed:
        assert judge(said, minors, LAX, TODAY).allowed
    if verdict.code == "granted":
        by_id = {one.evidence: one for one in said}
        grants = [by_id[name] for name in verdict.evidence]
        assert grants and all(one.answer == "granted" for one in grants)
        assert all(one.until is None or one.until >= TODAY for one in grants)
