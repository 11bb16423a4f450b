"""Settings of what is exported of a person over all rides and photographs."""

from __future__ import annotations

from identity_pipeline.settings.base import Group, tunable


class DatasetSettings(Group):
    """A person's dataset."""

    count: int = tunable(
        30,
        "So many pictures of a person are chosen, unless the consumer takes fewer.",
        unit="pictures",
        source="chosen: trainers of LoRAs recommend 15 to 40",
        ge=1,
        le=500,
    )
    token: str = tunable(
        "{slug}",
        "The word that stands for a person in captions and prompts; {slug} is their name in "
        "letters, digits and hyphens.",
        unit="text",
        source="chosen: unique for each person, and says whom it means",
        min_length=1,
    )
    class_word: str = tunable(
        "person",
        "What a person is, which trainers put after the token.",
        unit="text",
        source="chosen: nobody's sex or age is measured",
        min_length=1,
    )
    judge: str | None = tunable(
        None,
        "The face pack, by name or folder, that says what pictures are worth; it must not be the "
        "one that chose them. Unset: nothing is measured.",
        unit="name",
        source="none ships beside the one in use",
    )
