"""The inputs that the pipeline gave to its networks, to run each network alone on the same."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from threading import Lock
from typing import Any, NamedTuple

import onnxruntime

from identity_pipeline.models.hub import ModelHub

KEPT_PER_SHAPE = 64
"""So many inputs of one shape are kept and taken in turn: a detector's input is megabytes."""
Windows = Mapping[str, tuple[float, float]]
"""When each step of a run began and ended, seconds since the epoch."""


class Call(NamedTuple):
    """One call of a network: when, and the shape of its input."""

    at: float
    shape: tuple[int, ...]


@dataclass
class Calls:
    """All calls of one network, or those of them that one step made.

    Attributes:
        name: role of the network.
        step: that made them; empty where all are meant.
        made: every call in its order; several threads may call at once.
        kept: by shape of the input, what runs the bare network on one such input.
    """

    name: str
    step: str = ""
    made: list[Call] = field(default_factory=list)
    kept: dict[tuple[int, ...], list[Callable[[], object]]] = field(default_factory=dict)
    lock: Lock = field(default_factory=Lock, repr=False)

    def note(self, given: Any, run: Callable[[], object]) -> None:
        """Remembers one call."""
        shape = tuple(int(side) for side in given.shape)
        with self.lock:
            self.made.append(Call(time.time(), shape))
            inputs = self.kept.setdefault(shape, [])
            if len(inputs) < KEPT_PER_SHAPE:
                inputs.append(run)

    @property
    def items(self) -> int:
        """Frames, faces or crops over all calls."""
        return sum(call.shape[0] for call in self.made)

    @property
    def batches(self) -> str:
        """Batch sizes and how often each was run."""
        counted = Counter(call.shape[0] for call in self.made)
        return ", ".join(f"{n} x {size}" for size, n in counted.most_common(3))

    def replay(self) -> None:
        """Runs the bare network as often, and on the same shapes, as the pipeline did."""
        turn: Counter[tuple[int, ...]] = Counter()
        for _, shape in self.made:
            inputs = self.kept[shape]
            inputs[turn[shape] % len(inputs)]()
            turn[shape] += 1


def by_step(calls: list[Calls], windows: Windows) -> list[Calls]:
    """The same calls, those of each step on their own; calls outside all steps are left out."""
    found = []
    for one in calls:
        for step, (begin, end) in windows.items():
            made = [call for call in one.made if begin <= call.at <= end]
            if made:
                found.append(Calls(one.name, step, made, one.kept))
    return found


@contextmanager
def recorded(hub: ModelHub) -> Iterator[list[Calls]]:
    """Notes what every network of loaded models is given; networks never called are left out."""
    every: dict[str, Calls] = {}
    found: list[Calls] = []
    with ExitStack() as stack:
        _record_sessions(hub, every, stack)
        _record_vision(vars(hub.vision)["_model"], every, stack)
        yield found
    found.extend(every.values())


def _record_sessions(hub: ModelHub, every: dict[str, Calls], stack: ExitStack) -> None:
    """All sessions of ONNX Runtime: a detector opens one for each size of its input."""
    original = onnxruntime.InferenceSession.run
    roles = _roles(hub)

    def run(session: Any, names: Any, feed: dict[str, Any], *rest: Any) -> Any:
        role = roles.get(id(session), "detection")
        calls = every.setdefault(role, Calls(role))
        calls.note(next(iter(feed.values())), lambda: original(session, names, feed, *rest))
        return original(session, names, feed, *rest)

    onnxruntime.InferenceSession.run = run
    stack.callback(setattr, onnxruntime.InferenceSession, "run", original)


def _roles(hub: ModelHub) -> dict[int, str]:
    """What each open session is for; those of the detector's other sizes are not open yet."""
    # The loaded networks are in the objects' own dictionaries, which load them lazily.
    roles = {id(m.session): task for task, m in vars(hub.face_pack)["_models"].items()}
    for owner, names in (
        (hub.perception, {"_mesh": "face_mesh", "_iris": "iris"}),
        (hub.cover, {"_eye": "eye_there", "_face": "face_cover"}),
    ):
        roles |= {id(getattr(owner, attribute)): role for attribute, role in names.items() if owner}
    return roles


def _record_vision(model: Any, every: dict[str, Calls], stack: ExitStack) -> None:
    import torch

    def run(given: Any) -> object:
        with torch.inference_mode():
            return model(pixel_values=given)

    def note(_module: Any, _args: Any, keywords: dict[str, Any]) -> None:
        given = keywords["pixel_values"]
        every.setdefault("vision", Calls("vision")).note(given, lambda: run(given))

    handle = model.register_forward_pre_hook(note, with_kwargs=True)
    stack.callback(handle.remove)
