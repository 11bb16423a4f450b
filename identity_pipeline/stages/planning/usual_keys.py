"""Whether all of a video is as it would be made, told from the notes of its outputs alone.

The rule is that of `stages.planning.staleness`, for the usual video: one that did not fail, without
highlights, redactions, decisions on its pictures, memory banks and consents. The cache keys of two
such videos differ in the data versions of their inputs alone, so the text that is hashed is made
once for each output, with places in it for these. What is not found done here is judged there.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from identity_pipeline.settings import Settings
from identity_pipeline.stages.planning.staleness import Models
from identity_pipeline.stages.specs.assets import VIDEO_SPECS
from identity_pipeline.stages.specs.cache_key import key_parts
from identity_pipeline.stages.specs.spec import AssetSpec, Kept
from identity_pipeline.storage.files.hashing import canonical
from identity_pipeline.storage.video.tables import Manifest

_PLACE: Final = re.compile(r"<([a-z_]+)>")
"""Stands for the data version of an input."""


@dataclass(frozen=True)
class _Output:
    """What holds of an output of a usual video that is done.

    Attributes:
        spec: its entry.
        text: of its key, in parts between which the data versions of inputs stand; None where any
            key will do.
        inputs: whose data version stands after each part but the last.
    """

    spec: AssetSpec
    text: tuple[str, ...] | None
    inputs: tuple[str, ...] = ()

    def made(self, notes: Mapping[str, Manifest], whole: Callable[[AssetSpec], bool]) -> bool:
        """Whether it is there, and of what it would be made of now."""
        noted = notes.get(self.spec.key)
        if noted is None or not whole(self.spec):
            return False
        return self.text is None or noted.fingerprint == self._fingerprint(self.text, notes)

    def _fingerprint(self, text: tuple[str, ...], notes: Mapping[str, Manifest]) -> str:
        versions = (notes[name].data_version for name in self.inputs)
        between = (part for pair in zip(versions, text[1:], strict=True) for part in pair)
        return hashlib.sha256("".join((text[0], *between)).encode()).hexdigest()


class UsualKeys:
    """The keys of all outputs of a usual video, with the settings and models of one look."""

    def __init__(self, settings: Settings, models: Models) -> None:
        """Makes their texts."""
        self._outputs = _outputs(settings, models)

    def done(self, notes: Mapping[str, Manifest], whole: Callable[[AssetSpec], bool]) -> bool:
        """Whether a usual video is done; False also where that cannot be told here.

        Args:
            notes: of its outputs.
            whole: whether the files of an output are there.
        """
        outputs = self._outputs
        return bool(outputs) and all(output.made(notes, whole) for output in outputs)


def _outputs(settings: Settings, models: Models) -> tuple[_Output, ...]:
    """What holds of each output; nothing where a model is not there, or no video is usual."""
    specs = [spec for spec in VIDEO_SPECS.values() if not spec.leaves_nothing(settings)]
    usual = settings.stability.source == "medoid" and not settings.consent.required
    if not usual or not _can_be_made(specs, settings, models):
        return ()
    found = [_output(spec, settings, models) for spec in specs]
    return tuple(output for output in found if output) if all(found) else ()


def _can_be_made(specs: Sequence[AssetSpec], settings: Settings, models: Models) -> bool:
    """Whether every model is there that a run would use."""
    of_each = (spec.runs(settings) for spec in specs if not spec.off(settings))
    usable = models.digests.keys() - models.faults.keys()
    return usable.issuperset(model for several in of_each for model in several)


def _output(spec: AssetSpec, settings: Settings, models: Models) -> _Output | None:
    """What holds of an output; None where a setting reads like one of the places."""
    if spec.kept is Kept.SOURCE:
        return _Output(spec, None)
    parts = key_parts(spec, settings, models.digests, {n: f"<{n}>" for n in spec.inputs})
    split = _PLACE.split(canonical(parts))
    text, inputs = tuple(split[::2]), tuple(split[1::2])
    return _Output(spec, text, inputs) if sorted(inputs) == sorted(parts["inputs"]) else None
