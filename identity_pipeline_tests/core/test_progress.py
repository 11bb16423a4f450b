"""Shares that can be believed: states of phases, batches with a fixed scope, replayed histories."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from identity_pipeline.core.progress.shares import (
    KEPT,
    Batch,
    Facts,
    Key,
    Seen,
    State,
    observe,
    overall,
    state_of,
)

STEPS = ("watch", "embed", "export")
COSTS = {"watch": 80.0, "embed": 15.5, "export": 0.1}


class World:
    """What truly happens to some videos; it knows when which step was finished."""

    def __init__(self) -> None:
        self.now = 0.0
        self.current: set[Key] = set()
        self.there: set[Key] = set()
        self.videos: list[str] = []
        self.finished: list[tuple[float, Key]] = []

    def arrive(self, video: int, _: int) -> None:
        name = f"v{video}"
        if name not in self.videos:
            self.videos.append(name)

    def finish(self, video: int, step: int) -> None:
        """A step ends well, if all that it needs is there."""
        if not self.videos:
            return
        name = self.videos[video % len(self.videos)]
        needed = {(name, earlier) for earlier in STEPS[:step]}
        if needed <= self.current:
            key = (name, STEPS[step])
            self.current.add(key)
            self.there.add(key)
            self.finished.append((self.now, key))

    def turn_stale(self, video: int, step: int) -> None:
        """A setting changed: the step and all after it must be made again."""
        if self.videos:
            name = self.videos[video % len(self.videos)]
            self.current -= {(name, later) for later in STEPS[step:]}

    def forget(self, video: int, _: int) -> None:
        if self.videos:
            self.videos.pop(video % len(self.videos))

    def nothing_lasting(self, video: int, step: int) -> None:
        """A start, an advance, a failure, a retry, a kill: nothing is finished by any of them."""

    def picture(self) -> dict[Key, Seen]:
        keys = [(video, step) for video in self.videos for step in STEPS]
        return {
            k: Seen(k in self.current, COSTS[k[1]] * (1 + self.now), k in self.there) for k in keys
        }

    def truly_done(self, batch: Batch) -> float:
        """The share of a batch's work that was finished since it was opened."""
        done = {key for at, key in self.finished if at >= batch.opened_at} & batch.keys()
        whole = sum(w for steps in batch.work.values() for w in steps.values())
        return sum(batch.work[video][step] for video, step in done) / whole


EVENTS = ("arrive", "finish", "finish", "finish", "turn_stale", "forget", "nothing_lasting")
histories = st.lists(
    st.tuples(st.sampled_from(EVENTS), st.integers(0, 3), st.integers(0, 2), st.booleans()),
    max_size=60,
)
"""(what, of which video, at which step, whether somebody looks afterwards)."""


@settings(max_examples=400, deadline=None)
@given(histories)
def test_a_share_never_falls_and_never_runs_ahead_of_the_work(
    history: list[tuple[str, int, int, bool]],
) -> None:
    world, batches = World(), ()
    for event, video, step, somebody_looks in history:
        world.now += 1
        getattr(world, event)(video, step)
        if not somebody_looks:
            continue
        before = {batch.number: batch for batch in batches}
        batches = observe(batches, world.picture(), world.now)
        for batch in batches:
            assert 0 <= batch.share_done <= world.truly_done(batch) + 1e-9
            assert (batch.share_done == 1) == (batch.done_keys() == batch.keys())
            earlier = before.get(batch.number)
            if earlier is not None:
                assert batch.work == earlier.work and batch.opened_at == earlier.opened_at
                assert batch.share_done >= earlier.share_done
        open_now = [key for batch in batches for key in batch.open_keys()]
        assert len(open_now) == len(set(open_now)), "no phase is counted twice"
        assert {k for k, seen in world.picture().items() if not seen.done} <= set(open_now)


def seen(*done: str, video: str = "a") -> dict[Key, Seen]:
    return {(video, step): Seen(step in done, COSTS[step]) for step in STEPS}


def test_a_new_video_does_not_move_the_share_of_the_batch_before_it() -> None:
    batches = observe(observe((), seen(), 1), seen("watch"), 2)
    share = batches[0].share_done
    batches = observe(batches, {**seen("watch"), **seen(video="b")}, 3)
    assert batches[0].share_done == share > 0
    assert [batch.share_done for batch in batches[1:]] == [0]


def test_what_turns_stale_is_the_work_of_another_batch() -> None:
    batches = observe(observe((), seen(), 1), seen(*STEPS), 2)
    stale = {k: replace(s, again=True) for k, s in seen("watch").items()}
    batches = observe(batches, stale, 3)
    assert batches[0].share_done == 1
    assert batches[1].open_keys() == {("a", "embed"), ("a", "export")}
    assert batches[1].because == "to be made again: 2 steps of 1 video"


def test_what_was_done_stays_done_in_its_batch_though_it_turns_stale_while_others_go_on() -> None:
    both = {**seen("watch"), **seen("watch", video="b")}
    batches = observe(observe((), {**seen(), **seen(video="b")}, 1), both, 2)
    share = batches[0].share_done
    batches = observe(batches, {**seen(), **seen("watch", "embed", video="b")}, 3)
    assert batches[0].share_done > share
    assert batches[1].open_keys() == {("a", "watch")}


def test_the_weights_are_those_of_the_opening() -> None:
    batches = observe((), seen(), 1)
    dearer = {k: replace(s, weight=99.0) for k, s in seen("watch").items()}
    assert observe(batches, dearer, 2)[0].work == batches[0].work


def test_work_without_a_known_weight_is_counted_by_steps() -> None:
    batches = observe((), {k: replace(s, weight=0.0) for k, s in seen().items()}, 1)
    done = {k: replace(s, weight=0.0) for k, s in seen("watch").items()}
    assert observe(batches, done, 2)[0].share_done == pytest.approx(1 / 3)


def test_finished_batches_are_forgotten_in_the_end_and_open_ones_never() -> None:
    batches = observe((), seen(video="failed"), 0)
    for n in range(1, KEPT + 5):
        name = f"v{n}"
        batches = observe(batches, {**seen(video="failed"), **seen(video=name)}, 2 * n)
        batches = observe(batches, {**seen(video="failed"), **seen(*STEPS, video=name)}, 2 * n + 1)
    assert len(batches) == KEPT + 1
    assert batches[0].open_keys() == {("failed", step) for step in STEPS}


@pytest.mark.parametrize(
    ("facts", "state"),
    [
        (Facts(), State.PENDING),
        (Facts(current=True, there=True), State.DONE),
        (Facts(there=True), State.STALE),
        (Facts(there=True, alive=True), State.RUNNING),
        (Facts(died=True), State.INTERRUPTED),
        (Facts(died=True, there=True, current=True), State.DONE),
        (Facts(queued=True, there=True), State.QUEUED),
        (Facts(queued=True, failed=True), State.QUEUED),
        (Facts(failed=True, died=True), State.FAILED),
        (Facts(stopped=True, there=True), State.PAUSED),
        (Facts(hopeless=True), State.SKIPPED),
        (Facts(off=True, there=True), State.SKIPPED),
        (Facts(current=True, questions=2), State.WAITING),
    ],
)
def test_each_phase_has_one_state(facts: Facts, state: State) -> None:
    assert state_of(facts) is state


all_facts = st.builds(
    Facts,
    questions=st.integers(0, 2),
    **{name: st.booleans() for name in Facts.__dataclass_fields__ if name != "questions"},
)


@given(all_facts)
def test_a_phase_is_only_done_if_it_is_current_and_only_running_if_it_lives(facts: Facts) -> None:
    state = state_of(facts)
    assert state is not State.DONE or facts.current
    assert state is not State.RUNNING or facts.alive


@given(st.lists(st.sampled_from(State), min_size=1))
def test_a_whole_is_done_only_if_nothing_is_left(states: list[State]) -> None:
    assert (overall(states) is State.DONE) == (set(states) <= {State.DONE, State.SKIPPED})


def test_a_failed_video_is_not_called_pending_and_a_rerun_one_is_running() -> None:
    assert overall([State.DONE, State.FAILED, State.PENDING]) is State.FAILED
    assert overall([State.RUNNING, State.FAILED, State.PENDING]) is State.RUNNING
