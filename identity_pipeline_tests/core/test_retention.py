"""What is kept too long, by its kind."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from identity_pipeline.core.privacy.retention import DAY_S, KINDS, Thing, due

things = st.lists(
    st.builds(Thing, st.sampled_from(KINDS), st.sampled_from("abc"), st.floats(0, 100 * DAY_S)),
    max_size=12,
)
days = st.dictionaries(st.sampled_from(KINDS), st.none() | st.floats(0, 90))


@given(things, days)
def test_due_is_exactly_what_is_older_than_its_kind_is_kept(found, kept) -> None:
    now = 100 * DAY_S
    listed = due(found, kept, now)
    assert [one.thing for one in listed] == sorted(
        (
            thing
            for thing in found
            if kept.get(thing.kind) is not None and now - thing.at >= kept[thing.kind] * DAY_S
        ),
        key=lambda thing: (KINDS.index(thing.kind), thing.name),
    )
    assert all(one.age >= one.days for one in listed)


def test_none_is_for_ever_and_nought_is_at_once() -> None:
    thing = Thing("crops", "ride", 0.0)
    assert not due([thing], {"crops": None}, 1e12) and not due([thing], {}, 1e12)
    assert due([thing], {"crops": 0.0}, 0.0)
