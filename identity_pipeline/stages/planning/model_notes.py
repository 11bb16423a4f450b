"""What a person should know of the models before a run: others than before, or without numbers.

A change of the face pack is a migration: its recogniser's vectors lie in a space of their own, so
videos are measured anew and the library moves once most of them are. What belongs here: saying so.
What does not: which steps a run would do (`stages.planning.plans`), and the moving itself, which is
nothing but running the videos (`stages.library.spaces`, `stages.curation.settling`).
"""

from __future__ import annotations

from collections import Counter

from identity_pipeline.media.wording import counted
from identity_pipeline.settings import Settings
from identity_pipeline.stages.library.spaces import CALIBRATE, pack_of_space, spaces_of_videos
from identity_pipeline.storage.video.known_notes import notes_of
from identity_pipeline.storage.video.tables import TableStore


def model_notes(store: TableStore, settings: Settings) -> tuple[str, ...]:
    """Sentences on the models in use; none where there is nothing to say.

    Args:
        store: the tables, whose templates say which pack they are of.
        settings: a run would have.
    """
    changed = (*_changed_pack(store, settings), *_changed_encoder(store, settings))
    return (*_without_numbers(settings), *changed)


def _without_numbers(settings: Settings) -> tuple[str, ...]:
    numbers = settings.numbers
    if not numbers.unknown:
        return ()
    used = ", ".join(f"{name} {_value(settings, name):g}" for name in numbers.unknown)
    return (
        f"The face pack {numbers.pack} carries no numbers of its own and is not known to be like "
        f"ArcFace: videos are measured with the defaults ({used}), and the library decides "
        f"nothing. Measure it on your own rides: {CALIBRATE}; or say models.arcface_like = true.",
    )


def _value(settings: Settings, name: str) -> float:
    group, _, own = name.partition(".")
    return getattr(getattr(settings, group), own)


def _changed_pack(store: TableStore, settings: Settings) -> tuple[str, ...]:
    """One sentence group for each pack that videos are of and that is not the one in use."""
    now = settings.numbers.pack
    before: Counter[str] = Counter()
    here = 0
    for space, videos in spaces_of_videos(store).items():
        names = pack_of_space(space)
        if names is not None and names[0] != now:
            before[names[0]] += len(videos)
        else:
            here += len(videos)
    moved = f" ({counted(here, 'video')} already)" if here else ""
    return tuple(
        f"{counted(videos, 'video')} made with the face pack {pack}; the settings name {now}"
        f"{moved}. A run makes them anew from the detection on, in a space of its own. Kept: every "
        f"decision, found again by where the faces are, and the library in the space of {pack}, "
        f"which stays in force until most videos are of {now}. Begin anew: calibration, learned "
        f"heads, and who is matched without asking. Until a video has run again it counts as "
        f'before, and a new one not yet. To stay with the old pack: [models] face_pack = "{pack}" '
        "in settings.toml (its folder, if it was one)."
        for pack, videos in before.items()
    )


def _changed_encoder(store: TableStore, settings: Settings) -> tuple[str, ...]:
    """A sentence group for each vision encoder that videos were seen by and that is not in use."""
    from identity_pipeline.models.vision_encoder import space_name

    if not settings.phases.vision:
        return ()
    now = space_name(settings.models)
    before: Counter[str] = Counter()
    notes = notes_of(store, "vision_embeddings")
    for video_id in store.videos_with("vision_embeddings"):
        noted = notes.get(video_id)
        name = (noted.space or "").partition("@")[0] if noted else ""
        before.update([name] if name and name != now else [])
    return tuple(
        f"{counted(videos, 'video')} seen by the vision encoder {_called(name)}; the settings name "
        f"{_called(now)}. A run sees their faces anew, in a space "
        "of its own, and chooses the image sets by it; who is who does not change. To stay with "
        f"the old encoder: [models] {_encoder_settings(name)} in settings.toml (its folder, if it "
        "was one)."
        for name, videos in before.items()
    )


def _called(space: str) -> str:
    """An encoder and its precision, by the name of its space, as the settings call it."""
    from identity_pipeline.models.vision_encoder import BUNDLED, BUNDLED_FOLDER

    name, plus, precision = space.partition("+")
    return f"{BUNDLED if name == BUNDLED_FOLDER.name else name}{plus}{precision}"


def _encoder_settings(space: str) -> str:
    """The settings by which vectors come into a space, by its name."""
    name, _, precision = _called(space).partition("+")
    return f'vision_encoder = "{name}", vision_precision = "{precision or "full"}"'
