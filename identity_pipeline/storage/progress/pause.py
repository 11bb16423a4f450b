"""The flag that stops all runs: a file below the data folder, seen by every run on it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from identity_pipeline.storage.files import atomic, small_files
from identity_pipeline.storage.layout import Layout


@dataclass(frozen=True)
class Pause:
    """An order to stop.

    Attributes:
        since: when it was given, ISO 8601.
        by: who gave it.
        reason: why; may be empty.
    """

    since: str
    by: str
    reason: str = ""

    def sentence(self) -> str:
        """What a person is told wherever a pause keeps something from running."""
        why = f" ({self.reason})" if self.reason else ""
        return (
            f"Paused by {self.by} since {self.moment}{why}; `identity-pipeline continue` lets the "
            "runs go on."
        )

    @property
    def moment(self) -> str:
        """When it was given, to the second; as it stands where it is no time."""
        try:
            return f"{datetime.fromisoformat(self.since).astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
        except ValueError:
            return self.since


def paused(layout: Layout) -> Pause | None:
    """The pause in force, or None. A flag that cannot be read (made by hand) is one too."""
    try:
        return small_files.parse(layout.pause.read_bytes(), Pause)
    except FileNotFoundError:
        return None
    except (OSError, ValueError):
        return Pause("some time", "a file made by hand", str(layout.pause))


def pause(layout: Layout, order: Pause) -> bool:
    """Gives the order; returns False, and leaves the older one, where there is one."""
    if paused(layout):
        return False
    atomic.write_json(layout.pause, asdict(order))
    return True


def go_on(layout: Layout) -> Pause | None:
    """Takes the order back and returns it; None where there was none."""
    order = paused(layout)
    layout.pause.unlink(missing_ok=True)
    return order
