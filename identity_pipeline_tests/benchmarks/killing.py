"""Who is killed when: drawn from a seed beforehand, and carried out while a deployment works."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass, field
from typing import Final, Literal

from identity_pipeline_tests.benchmarks.operated import Deployment
from identity_pipeline_tests.benchmarks.rework import Rework

Victim = Literal["run worker", "code server", "daemon", "everything"]
SHARES: Final[dict[Victim, float]] = {
    "run worker": 0.55,
    "code server": 0.15,
    "daemon": 0.15,
    "everything": 0.15,
}
LAST: Final = 0.97
"""No kill is due later, in shares of the work, so that all of them find something to disturb."""
SPREAD_S: Final = 15.0


@dataclass(frozen=True)
class Kill:
    """One SIGKILL.

    Attributes:
        share: due once this share of the videos' steps is done,
        wait_s: and then so many seconds later: other kills may come in between.
        victim: a run worker in the middle of a step, a service, or all processes at once.
    """

    share: float
    wait_s: float
    victim: Victim


def plan(kills: int, rng: random.Random) -> list[Kill]:
    """So many kills, the first during the arrival; each kind at least once if there are enough."""
    kinds = list(SHARES)
    victims: list[Victim] = [
        *kinds[:kills],
        *rng.choices(kinds, list(SHARES.values()), k=max(0, kills - 4)),
    ]
    rng.shuffle(victims)
    shares = sorted([0.0, *(rng.uniform(0.0, LAST) for _ in range(kills - 1))])
    return [
        Kill(share, rng.uniform(0.0, SPREAD_S), victim)
        for share, victim in zip(shares, victims, strict=True)
    ]


@dataclass
class Killer:
    """Carries out a plan.

    Attributes:
        done: what was killed: (seconds since the start, what, in the middle of what).
        idle: whether all that is left of the plan was due at the last look, and nobody was there.
    """

    deployment: Deployment
    kills: list[Kill]
    rng: random.Random
    rework: Rework
    done: list[tuple[float, Victim, str]] = field(default_factory=list)
    idle: bool = False
    _started: float = field(default_factory=time.monotonic)
    _due: dict[int, float] = field(default_factory=dict)
    _over: set[int] = field(default_factory=set)

    @property
    def finished(self) -> bool:
        """Whether all of the plan is done."""
        return len(self._over) == len(self.kills)

    def look(self, share: float) -> None:
        """Kills what is due.

        Args:
            share: of the videos' steps that are done.
        """
        now, nobody = time.monotonic(), 0
        for number, kill in enumerate(self.kills):
            if number in self._over or share < kill.share:
                continue
            if now >= self._due.setdefault(number, now + kill.wait_s):
                found = self._find(kill.victim)
                if found is None:  # nobody of that kind lives now: at the next look
                    nobody += 1
                    continue
                pids, where = found
                working = [s.video_id for s in self.deployment.working() if s.pid in pids]
                if self.deployment.kill(pids):
                    for video_id in working:
                        self.rework.a_run_died(video_id)
                    self._over.add(number)
                    self.done.append((now - self._started, kill.victim, where))
                    print(f"  {now - self._started:6.0f} s  killed {kill.victim}: {where}")
        self.idle = nobody + len(self._over) == len(self.kills)

    def _find(self, victim: Victim) -> tuple[list[int], str] | None:
        """Processes to kill, and what they are in the middle of."""
        working = self.deployment.working()
        at = ", ".join(f"{step.step} of {step.video_id or 'the library'}" for step in working)
        if victim == "run worker":
            if not working:
                return None
            step = self.rng.choice(working)
            return [step.pid], f"{step.step} of {step.video_id or 'the library'}"
        living = self.deployment.processes()
        if victim == "everything":
            return ([process.pid for process in living], at or "nothing") if working else None
        pids = [process.pid for process in living if process.role == victim]
        return (pids, f"during {at or 'nothing'}") if pids else None
