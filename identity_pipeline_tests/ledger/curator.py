"""A curator for tests: commands one after the other, with ids that are the same every time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

from identity_pipeline.ledger import commands
from identity_pipeline.ledger import events as ev
from identity_pipeline.ledger.commands import Planned, Stamp
from identity_pipeline.ledger.effects import Facts
from identity_pipeline.ledger.replay import History
from identity_pipeline.ledger.state import LibraryState

TIME = "2026-01-02T03:04:05Z"


def t(number: int, video: str = "ride") -> str:
    return f"track:{video}:{number}"


def f(number: int, video: str = "ride") -> str:
    """A face; of its own frame."""
    return f"face:{video}:{number:06d}-0"


def anchor(subject: str, frame_idx: int = 10, x: float | None = None) -> ev.Anchor:
    """The face of a subject: tracks lie side by side, 100 px apart."""
    left = 100.0 * int(subject.rpartition(":")[2].partition("-")[0]) if x is None else x
    return ev.Anchor(subject=subject, frame_idx=frame_idx, box=(left, 0, left + 50, 60))


class Curator:
    """Keeps a history; each command returns what was planned and is carried out."""

    def __init__(self, history: History | None = None, salt: int = 0) -> None:
        self.history = history or History()
        self.facts = Facts()
        self._count = salt << 64

    def new_id(self) -> str:
        self._count += 1
        return str(UUID(int=self._count))

    def plan(self, command: Callable[..., Planned], *args: Any, **options: Any) -> Planned:
        subjects = {
            subject
            for value in (*args, *options.values())
            if isinstance(value, list | tuple | str)
            for subject in ([value] if isinstance(value, str) else value)
            if isinstance(subject, str) and subject.startswith(("track:", "face:"))
        }
        stamp = Stamp("tester", TIME, "why", map(anchor, sorted(subjects)), self.facts, self.new_id)
        return command(self.history, stamp, *args, **options)

    def do(self, command: Callable[..., Planned], *args: Any, **options: Any) -> str:
        """Carries a command out and returns its event's id."""
        planned = self.plan(command, *args, **options)
        self.history = planned.history
        return planned.event.id

    def person(self, name: str, *subjects: str) -> str:
        """Names a new person and returns their id."""
        self.do(commands.name, name, subjects)
        event = self.history.events[-1]
        assert isinstance(event, ev.Created)
        return event.person_id

    def undo(self, event_id: str) -> str:
        return self.do(commands.undo, event_id)

    @property
    def state(self) -> LibraryState:
        return self.history.state

    @property
    def hash(self) -> str:
        return self.state.state_hash
