"""What follows decisions, made anew behind the curtain by commands in processes of their own.

A page shows a decision at once, by replay; matching, groups, profiles and image sets follow here:
`recluster` after decisions on people, `run` after decisions on pictures. One command works at a
time, and what is decided meanwhile is in the next. Whatever else does the same work (a sensor of
Dagster, a command line) finds it done, or does it first.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Condition, Thread
from time import monotonic
from typing import Any, Final

from identity_pipeline.errors import IdentityPipelineError
from identity_pipeline.storage.files.tracebacks import keep_traceback

PAUSE_S: Final = 1.5
"""So long nothing more must be decided before work begins; chosen: a run of keys is one."""
PATIENCE_S: Final = 20.0
"""After so long work begins all the same; chosen."""
STOP_S: Final = 30.0
"""So long a command may take to stop by itself; chosen: several times what a step's chunk takes."""
MODULE: Final = "identity_pipeline"
Asked = tuple[Sequence[tuple[str | None, str]], Sequence[str], Mapping[str, Path], bool]
"""Whom to forget, cameras to renew, rides whose sets are to be made again, whether the library."""


@dataclass(frozen=True)
class Strip:
    """What the strip says.

    Attributes:
        at_work: what is made anew now; empty: nothing.
        waiting: whether something is about to be.
        said: what the last work did; empty: nothing yet.
        failed: why the last work was not done, with what to do; empty: it was.
        generation: raised with each work that was done.
    """

    at_work: str = ""
    waiting: bool = False
    said: str = ""
    failed: str = ""
    generation: int = 0

    @property
    def busy(self) -> bool:
        """Whether it will say something else soon."""
        return self.waiting or bool(self.at_work)


@dataclass
class Behind:
    """The one worker of a desk.

    Attributes:
        root: the data folder.
        faces_of: how many faces tracks have together; null where that is not known.
        pause_s: see `PAUSE_S`.
    """

    root: Path
    faces_of: Callable[[Sequence[str]], int | None]
    pause_s: float = PAUSE_S
    _changed: Condition = field(default_factory=Condition)
    _library: bool = False
    _videos: dict[str, Path] = field(default_factory=dict)
    _forgetting: list[tuple[str | None, str]] = field(default_factory=list)
    _renewing: list[str] = field(default_factory=list)
    _asked: tuple[float, float] | None = None
    _strip: Strip = Strip()
    _process: subprocess.Popen[str] | None = None
    _thread: Thread | None = None
    _over: bool = False
    _failed: dict[str, str] = field(default_factory=dict)

    def update(self) -> None:
        """Asks for the library to be brought up to date."""
        self._ask(library=True)

    def remake(self, videos: Mapping[str, Path]) -> None:
        """Asks for the image sets of rides to be made again: their files by id."""
        if videos:
            self._ask(videos=videos)

    def forget(self, word: str | None, actor: str) -> None:
        """Asks for a person or a ride to be forgotten, which comes before everything else.

        Args:
            word: as the command `forget` takes it; None goes on with what was stopped.
            actor: who asks.
        """
        with self._changed:
            self._forgetting.append((word, actor))
        self._ask()

    def renew(self, camera: str) -> None:
        """Asks for the videos of a camera to keep its newest model.

        Args:
            camera: as the command `camera renew` takes it.
        """
        with self._changed:
            self._renewing.append(camera)
        self._ask()

    def strip(self) -> Strip:
        """What is to be said now."""
        with self._changed:
            return replace(self._strip, waiting=self._asked is not None)

    def end(self) -> None:
        """Stops working, calmly: what is half done is kept by the steps themselves."""
        with self._changed:
            self._over = True
            if self._process is not None:
                self._process.terminate()
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join(timeout=STOP_S)
        with self._changed:
            if self._process is not None:
                self._process.kill()

    def _ask(self, *, library: bool = False, videos: Mapping[str, Path] = {}) -> None:
        with self._changed:
            now = monotonic()
            self._library |= library
            self._videos.update(videos)
            self._asked = (self._asked[0] if self._asked else now, now)
            if self._thread is None and not self._over:
                self._thread = Thread(target=self._work, name="desk-behind", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def _work(self) -> None:
        while (asked := self._next()) is not None:
            forgetting, renewing, videos, library = asked
            for word, actor in forgetting:
                target = ["--resume"] if word is None else ["--yes", "--", word]
                command = ["forget", "--json", "--as", actor, *target]
                self._carry_out("the library without whom was forgotten", command, _forgotten)
            for camera in renewing:
                command = ["camera", "renew", "--json", "--", camera]
                self._carry_out(f"what the videos of camera {camera} keep", command, _renewed)
            if videos:
                files = [str(path) for path in videos.values()]
                self._carry_out(_words_of(list(videos)), ["run", "--json", *files], _remade)
            if library and not self._over:
                self._carry_out("the library", ["recluster", "--json"], self._moved)

    def _next(self) -> Asked | None:
        """What to do now, after waiting for it; null at the end."""
        with self._changed:
            while not self._over:
                if self._asked is None:
                    self._changed.wait()
                    continue
                first, last = self._asked
                due = min(last + self.pause_s, first + PATIENCE_S) - monotonic()
                if due > 0:
                    self._changed.wait(due)
                    continue
                found = self._forgetting, self._renewing, self._videos, self._library
                self._forgetting, self._renewing, self._videos = [], [], {}
                self._library, self._asked = False, None
                return found
        return None

    def _carry_out(self, what: str, arguments: Sequence[str], told: Callable[[str], str]) -> None:
        command = [sys.executable, "-m", MODULE, "--data", str(self.root), *arguments]
        with self._changed:
            if self._over:
                return
            self._strip = replace(self._strip, at_work=what)
        try:
            said, failed = self._done(command, told)
        except (OSError, IdentityPipelineError) as error:
            said, failed = "", str(error)
        except Exception as error:  # noqa: BLE001 - the next work is tried all the same
            kept = keep_traceback(error, self.root)
            said, failed = "", f"{type(error).__name__}; the traceback is in {kept}"
        with self._changed:
            self._failed.pop(arguments[0], None)
            if failed:
                self._failed[arguments[0]] = f"{what}: {failed}"
            self._strip = Strip(
                said=said or self._strip.said,
                failed="; ".join(self._failed.values()),
                generation=self._strip.generation + 1,
            )

    def _done(self, command: Sequence[str], told: Callable[[str], str]) -> tuple[str, str]:
        """Runs a command; what it did, and why it did not, each empty where there is none."""
        with self._changed:
            if self._over:
                return "", ""
            process = self._process = subprocess.Popen(  # noqa: S603 - our own program, no shell
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                start_new_session=True,
            )
        out, error = process.communicate()
        with self._changed:
            self._process = None
        return (told(out), "") if process.returncode == 0 else ("", _why(error or out))

    def _moved(self, out: str) -> str:
        """What `recluster --json` printed, in words."""
        try:
            told: Mapping[str, Any] = json.loads(out)
        except ValueError:
            return "The library is up to date."
        tracks = [track for move in told.get("moves", ()) for track in move.get("tracks", ())]
        suggested = len(told.get("suggested", ()))
        if not tracks and not suggested:
            return "The library is up to date; nothing else moved."
        faces = self.faces_of(tracks)
        number, noun = (len(tracks), "track") if faces is None else (faces, "face")
        moved = f"+{number} {noun}{'' if number == 1 else 's'}"
        asked = f", {suggested} newly in doubt" if suggested else ""
        return f"The library moved on: {moved}{asked}."


def _words_of(videos: Sequence[str]) -> str:
    return f"the sets of {videos[0]}" if len(videos) == 1 else f"the sets of {len(videos)} rides"


def _remade(out: str) -> str:
    del out
    return "The sets are as decided."


def _why(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "it ended without a word; `identity-pipeline status` says more."


def _forgotten(out: str) -> str:
    """What `forget --json` printed, in words."""
    del out  # it ends with another status where something is not proved
    return "Forgotten, and proved: the receipt is below Privacy."


def _renewed(out: str) -> str:
    """What `camera renew --json` printed, in words."""
    moved = len(json.loads(out)["outdated"])
    if not moved:
        return "Every video keeps the newest model of its camera already."
    return f"{moved} videos keep the newest model now; a run of each makes them anew."
