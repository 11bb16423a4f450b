"""Captions put together from what was measured on a face, and nothing else.

What belongs here: which measure lets a caption say what. What does not: the words (settings
`datasets.caption`, `datasets.caption_words`), or captions of a model (`stages.datasets.captioner`).

A measure that is null, NaN or `unknown` says nothing: a face whose expression nobody could tell is
not called neutral. What holds of most pictures is not said either: light that is normal, a face
that is bare, eyes that are open. Left and right are those of the picture, which is how prompts are
commonly meant; a picture must not be mirrored by a trainer then. Heads are turned as they are in
the picture, wherever its camera stood.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from identity_pipeline.core.faces.angles import ANGLES, before_lens
from identity_pipeline.core.faces.gates import measured
from identity_pipeline.settings import DatasetSettings

FRONTAL: Final = 15.0
"""Degrees from frontal that are still frontal: what `Limits.frontal_share` counts."""
FAR: Final = 45.0
"""Degrees of yaw from which a head is turned far: the last edge of `buckets.yaw_edges`."""
TILTED: Final = 15.0
"""Degrees of pitch and roll from which a head is tilted: half of the outer bin of pitch."""
NEUTRAL: Final = 0.1
"""Smile and open mouth below which a face is called neutral. Chosen: a third of where the bins of
both begin (`buckets.smile_from`, `buckets.mouth_open_from`)."""
GLARING: Final = 200.0
"""Mean luma, 0-255, above which the light is glaring: `buckets.overexposed_above`."""
WIDE_OPEN: Final = 0.6
"""Open mouth from which nobody is said to smile. Chosen: twice where the bin begins."""


def instance_prompt(token: str, class_word: str, beginning: str) -> str:
    """The one prompt that stands for all pictures of a person.

    Args:
        token: the word that stands for them.
        class_word: what they are.
        beginning: setting `datasets.caption`.
    """
    return beginning.replace("{token}", token).replace("{class_word}", class_word)


def template_caption(
    token: str, class_word: str, measures: Mapping[str, Any], settings: DatasetSettings
) -> str:
    """A caption in one line: the prompt, then what was measured, with commas between.

    Args:
        token: the word that stands for the person.
        class_word: what they are.
        measures: columns of the table `candidates` by name, of the picture's face; a column that
            is missing is unmeasured.
        settings: the words, and their order.
    """
    said = set(what_is_seen(measures))
    words = (one.partition(":") for one in settings.caption_words)
    phrases = [phrase.strip() for name, _, phrase in words if name.strip() in said]
    prompt = instance_prompt(token, class_word, settings.caption)
    return ", ".join([prompt, *(phrase for phrase in phrases if phrase)])


def what_is_seen(measures: Mapping[str, Any]) -> Iterator[str]:
    """Names of `datasets.caption_words` that hold of a face.

    Args:
        measures: as `template_caption`.
    """
    yield from _pose(measures)
    yield from _eyes(measures)
    yield from _expression(measures)
    yield from _light(measures)
    covered = {"partial": "partly_covered", "heavy": "mostly_covered"}
    if measures.get("occlusion_bin") in covered:
        yield covered[measures["occlusion_bin"]]


def _expression(measures: Mapping[str, Any]) -> Iterator[str]:
    """What the mouth does, where a bin says so; of closed eyes `_eyes` has spoken.

    Two bins hold more than their names say. `neutral` ends where a smile or an open mouth begins,
    with parted lips and half a smile in it: a caption calls neutral what is far from both. And a
    mouth that is torn open is drawn wide too, be it for laughter or a shout: a caption says no more
    than that it is open.
    """
    expression = measures.get("expression_bin")
    smile, mouth = measured(measures.get("smile")), measured(measures.get("mouth_open"))
    torn_open = mouth is not None and mouth >= WIDE_OPEN
    if expression == "mouth_open" or (expression == "smile" and torn_open):
        yield "mouth_open"
    elif expression == "smile":
        yield "smile"
    elif expression == "neutral" and _is_still(smile) and _is_still(mouth):
        yield "neutral"


def _light(measures: Mapping[str, Any]) -> Iterator[str]:
    """Darkness, and light that has blown the whole face.

    A face with a blown cheek or brow counts as overexposed too; of that a caption says nothing.
    """
    light, luma = measures.get("lighting_bin"), measured(measures.get("luma_mean"))
    if light == "dark" or (light == "overexposed" and luma is not None and luma > GLARING):
        yield light


def _is_still(value: float | None) -> bool:
    return value is not None and value < NEUTRAL


def _pose(measures: Mapping[str, Any]) -> Iterator[str]:
    """Frontal in all of yaw and pitch, or every way in which the head is turned."""
    yaw, pitch = (measured(before_lens(measures, axis)) for axis in ANGLES)
    if yaw is not None and abs(yaw) >= FRONTAL:
        yield f"{'far' if abs(yaw) >= FAR else 'turned'}_{_side(yaw)}"
    if pitch is not None and abs(pitch) >= TILTED:
        yield "up" if pitch > 0 else "down"
    if _is_frontal(yaw, pitch):
        yield "frontal"
    yield from _lean(measured(measures.get("roll")))


def _lean(roll: float | None) -> Iterator[str]:
    if roll is not None and abs(roll) >= TILTED:
        yield f"lean_{_side(roll)}"


def _is_frontal(yaw: float | None, pitch: float | None) -> bool:
    if yaw is None or pitch is None:
        return False
    return abs(yaw) < FRONTAL and abs(pitch) < TILTED


def _eyes(measures: Mapping[str, Any]) -> Iterator[str]:
    """Lids that are down, or where open eyes look."""
    if measures.get("wink") is True:
        yield "wink"
        return
    eyes = measures.get("eyes")
    if eyes in ("closed", "lowered"):
        yield f"eyes_{eyes}"
    if eyes == "open":
        yield from _gaze(measures)


def _gaze(measures: Mapping[str, Any]) -> Iterator[str]:
    """To which side open eyes look.

    `gaze_aside` says that they look elsewhere than the nose points; which way `gaze_offset` tells.
    Eyes that are turned against a turned head may look anywhere between, so nothing is said of
    them. How high eyes look is not measured, so nobody is said to look at the camera.
    """
    aside, offset = measures.get("gaze_aside"), measured(measures.get("gaze_offset"))
    yaw = measured(before_lens(measures, "yaw"))
    if aside is True and offset and yaw is not None and (abs(yaw) < FRONTAL or yaw * offset > 0):
        yield f"gaze_{_side(offset)}"


def _side(value: float) -> str:
    """Positive yaw, roll and gaze are to the picture's right: see `identity_pipeline.tables`."""
    return "right" if value > 0 else "left"
