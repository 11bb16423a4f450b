"""The inputs that the pipeline gave to its networks, to run each network alone on the same."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

from identity_pipeline.models.hub import ModelHub

KEPT_PER_SHAPE = 64
"""So many inputs of one shape are kept and taken in turn: a detector's input is megabytes."""


@dataclass
class Calls:
    """All calls of one network in their order.

    Attributes:
        name: role of the network.
        run: runs the bare network on one input.
        shapes: shape of the input of every call.
        kept: inputs by shape.
    """

    name: str
    run: Callable[[Any], object]
    shapes: list[tuple[int, ...]] = field(default_factory=list)
    kept: dict[tuple[int, ...], list[Any]] = field(default_factory=dict)

    def note(self, given: Any) -> None:
        """Remembers one call."""
        shape = tuple(int(side) for side in given.shape)
        self.shapes.append(shape)
        inputs = self.kept.setdefault(shape, [])
        if len(inputs) < KEPT_PER_SHAPE:
            inputs.append(given)

    @property
    def items(self) -> int:
        """Frames, faces or crops over all calls."""
        return sum(shape[0] for shape in self.shapes)

    @property
    def batches(self) -> str:
        """Batch sizes and how often each was run."""
        counted = Counter(shape[0] for shape in self.shapes)
        return ", ".join(f"{n} x {size}" for size, n in counted.most_common(3))

    def replay(self) -> None:
        """Runs the bare network as often, and on the same shapes, as the pipeline did."""
        turn: Counter[tuple[int, ...]] = Counter()
        for shape in self.shapes:
            inputs = self.kept[shape]
            self.run(inputs[turn[shape] % len(inputs)])
            turn[shape] += 1


@contextmanager
def recorded(hub: ModelHub) -> Iterator[list[Calls]]:
    """Notes what every network of loaded models is given; networks never called are left out."""
    every: list[Calls] = []
    found: list[Calls] = []
    with ExitStack() as stack:
        # The loaded networks are in the objects' own dictionaries: both load them lazily.
        for task, model in vars(hub.face_pack)["_models"].items():
            # The detector runs one session per input size, which it makes from its first one.
            sessions = getattr(model, "resolution_sessions", {}).values()
            for session in {id(s): s for s in (model.session, *sessions)}.values():
                every.append(_record_session(task, model, session, stack))
        every.append(_record_vision(vars(hub.vision)["_model"], stack))
        yield found
    found.extend(calls for calls in every if calls.shapes)


def _record_session(task: str, model: Any, session: Any, stack: ExitStack) -> Calls:
    original = session.run
    calls = Calls(task, lambda given: original(model.output_names, {model.input_name: given}))

    def run(names: Any, feed: dict[str, Any], *rest: Any, **options: Any) -> Any:
        calls.note(feed[model.input_name])
        return original(names, feed, *rest, **options)

    session.run = run
    stack.callback(lambda: vars(session).pop("run", None))
    return calls


def _record_vision(model: Any, stack: ExitStack) -> Calls:
    import torch

    def run(given: Any) -> object:
        with torch.inference_mode():
            return model(pixel_values=given)

    calls = Calls("vision", run)

    def note(_module: Any, _args: Any, keywords: dict[str, Any]) -> None:
        calls.note(keywords["pixel_values"])

    handle = model.register_forward_pre_hook(note, with_kwargs=True)
    stack.callback(handle.remove)
    return calls
