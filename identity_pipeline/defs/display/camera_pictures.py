"""Metadata of what is known of cameras: the figures that are watched, and their picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from identity_pipeline.defs.display.metadata import numbers, records, svg
from identity_pipeline.settings import CameraSettings
from identity_pipeline.storage.cameras.cameras import NO_NAME

if TYPE_CHECKING:
    from identity_pipeline.stages.library.camera_model import Known
    from identity_pipeline.stages.library.camera_watch import Look
    from identity_pipeline.storage.cameras.cameras import Cameras

PICTURES_MAX = 6
"""Of so many cameras the seats are drawn: metadata is kept with each run; chosen."""


def sentences(look: Look) -> list[str]:
    """What a video says against its camera; nothing where all is as usual."""
    told = [f"It does not count for its camera: {look.left_out}"] if _is_left_out(look) else []
    if look.causes:
        told.append(f"{_capital('; '.join(look.causes))}, since {look.begun}.")
    unlike = [each.sentence for each in look.verdict.unlike]
    return [*told, f"{_capital('; '.join(unlike))}."] if unlike else told


def _is_left_out(look: Look) -> bool:
    """Whether enough videos are there to say that this one is another camera's."""
    from identity_pipeline.core.camera.watch import UNLIKE_MIN

    return look.left_out is not None and look.verdict.compared >= UNLIKE_MIN


def as_usual(look: Look, settings: CameraSettings) -> str:
    """What is said where nothing is unusual."""
    if look.left_out:
        return f"It does not count for its camera, of which little is known: {look.left_out}"
    before = look.verdict.compared
    few = "" if before >= settings.videos_min else "; too few to tell a change"
    return f"As the {before} videos of {look.camera or NO_NAME} before it{few}."


def describe_look(look: Look) -> dict[str, Any]:
    """The figures of the video, and their picture over the videos before it."""
    from identity_pipeline.core.camera.watch import WATCHED
    from identity_pipeline.media.watch_figure import watch_svg

    loud = [each.figure for each in (*look.verdict.changes, *look.verdict.unlike)]
    counts = look.told and not look.left_out
    shown = watch_svg(look.told, look.begun, loud) if counts else None
    return {
        "camera": look.camera or NO_NAME,
        "version": look.version,
        "videos_before": look.verdict.compared,
        **({"first_video_of_the_version": look.begun} if look.begun else {}),
        **numbers({name: look.figures.get(name) for name in WATCHED}),
        **({"figures": svg(shown, "what is watched, video by video")} if shown else {}),
    }


def describe_models(known: Sequence[Known], cameras: Cameras) -> dict[str, Any]:
    """What is known of each camera, who was left out of it, and the seats of what was made now."""
    made = sum(len(each.made) for each in known)
    rows = [
        {
            "camera": each.camera or NO_NAME,
            "version": each.version,
            "model": each.damage or each.sentence,
            "made_now": ", ".join(map(str, each.made)) or "nothing",
            "left_out": "; ".join(f"{v}: {why}" for v, why in each.left_out.items()) or "nothing",
        }
        for each in known
    ]
    told = {"reused": not made, "models_made": made, "cameras": records(rows)}
    return {**told, **_seats_of([each for each in known if each.made][:PICTURES_MAX], cameras)}


def _seats_of(made: Sequence[Known], cameras: Cameras) -> dict[str, Any]:
    from identity_pipeline.media.camera_figures import seats_svg

    found = {}
    for each in made:
        model = cameras.edition(each.camera, each.made[-1])
        if model.table("camera_seats").height:
            drawn = seats_svg(model.table("camera_seats"), float(model.about["aspect"]))
            called = each.camera or NO_NAME
            found[f"seats of {called}"] = svg(drawn, f"where riders of {called} sit")
    return found


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
