"""Settings of what is exported of a person over all rides and photographs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

from pydantic import field_validator

from identity_pipeline.settings.base import Group, tunable

CAPTION_WORDS: Final[Mapping[str, str]] = {
    "frontal": "facing the camera",
    "turned_left": "head turned to the left",
    "turned_right": "head turned to the right",
    "far_left": "head turned far to the left",
    "far_right": "head turned far to the right",
    "up": "head tilted up",
    "down": "head tilted down",
    "lean_left": "head leaning to the left",
    "lean_right": "head leaning to the right",
    "gaze_left": "looking to the left",
    "gaze_right": "looking to the right",
    "eyes_closed": "eyes closed",
    "eyes_lowered": "eyes lowered",
    "wink": "one eye closed",
    "smile": "smiling",
    "mouth_open": "mouth open",
    "neutral": "neutral expression",
    "dark": "in dim light",
    "overexposed": "in glaring light",
    "partly_covered": "face partly covered",
    "mostly_covered": "face mostly covered",
}
"""What a caption says of each thing that can be measured, in the order in which it is said."""


class DatasetSettings(Group):
    """A person's dataset."""

    consumers: tuple[str, ...] = tunable(
        (),
        "Consumers whose datasets are made by themselves, and again when a person's rides, "
        "photographs or labels change.",
        unit="names",
        source="chosen: nothing leaves the library unasked",
    )
    assigned: Literal["known", "confirmed"] = tunable(
        "known",
        "Whose pictures are a person's: those of all tracks that are known to be theirs, also by "
        "the machine, or those alone that a human confirmed.",
        unit="name",
        source="chosen: the machine names somebody only where strangers are held to "
        "match.fpir_assign; the manifest says of each source who said so",
    )
    count: int = tunable(
        30,
        "So many pictures of a person are chosen, unless the consumer takes fewer.",
        unit="pictures",
        source="chosen: trainers of LoRAs recommend 15 to 40",
        ge=1,
        le=500,
    )
    anchor_share: float = tunable(
        0.2,
        "Share of a person's pictures, and of the first n of them, that are portraits at least.",
        unit="share",
        source="identity_builder design (momentscan): 20 : 70 : 10, the weights of a ride's sets",
        ge=0,
        le=1,
    )
    challenge_share: float = tunable(
        0.1,
        "Share of a person's pictures, and of the first n of them, that may be hard ones.",
        unit="share",
        source="identity_builder design (momentscan): 20 : 70 : 10, the weights of a ride's sets",
        ge=0,
        le=1,
    )
    balance_weight: float = tunable(
        2.0,
        "What it counts that pictures lie evenly over rides, looks, poses, expressions and light, "
        "where a bin of pose or expression counts 1 to 2.",
        unit="weight",
        source="chosen: as much as a bin that few pictures are in",
        ge=0,
    )
    newest_bonus: float = tunable(
        0.05,
        "What a picture of the newest ride counts for more than one of the oldest.",
        unit="score",
        source="chosen: less than an open eye or a sharp face counts",
        ge=0,
        le=1,
    )
    look_margin: float = tunable(
        0.08,
        "Two rides show two looks of a person (glasses, hair) where their faces find so much less "
        "of their like in the other ride than in their own.",
        unit="cosine",
        source="real clips, bundled vision encoder: 3 people in 2 or 3 clips each, in which they "
        "look the same, differ by at most .04, 8 riders from each other by at least .10; no clips "
        "of one person with two looks were there",
        ge=0,
        le=2,
    )
    validation_share: float = tunable(
        0.15,
        "Share of a person's pictures that is held out for validation, in whole rides, where there "
        "are three sources or more; 0: nothing is.",
        unit="share",
        source="chosen: a tenth to a fifth is usual",
        ge=0,
        le=0.5,
    )
    validation_for: tuple[str, ...] = tunable(
        ("imagefolder", "webdataset", "coco", "fiftyone"),
        "Consumers whose pictures are split so. Trainers that are named here get a folder of "
        "validation pictures, and as many fewer to train on; what shows pictures, such as comfyui, "
        "has no place for them and gets all.",
        unit="names",
        source="chosen: those that load datasets; who trains on one person needs every ride",
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
    repeats: int = tunable(
        1,
        "A trainer that counts repeats shows each picture so often in an epoch.",
        unit="times",
        source="chosen: an epoch is every picture once",
        ge=1,
        le=1000,
    )
    caption: str = tunable(
        "photo of {token} {class_word}",
        "How a caption begins, and the whole prompt of trainers that know one for all pictures.",
        unit="text",
        source="chosen: DreamBooth's prompt, arXiv 2208.12242",
        min_length=1,
    )
    caption_words: tuple[str, ...] = tunable(
        tuple(f"{name}: {words}" for name, words in CAPTION_WORDS.items()),
        "What a caption goes on to say, in this order: NAME: WORDS of each thing that can be "
        "measured; what is not named here is not said. Left and right are the picture's.",
        unit="names: words",
        source="chosen: says what the columns of the table candidates say, and no more",
    )
    captioner: str = tunable(
        "",
        "A model of transformers that captions pictures: a folder that save_pretrained wrote, or "
        "a Hugging Face id; empty: captions are put together from what was measured.",
        unit="folder or id",
        source="chosen: none ships with the package",
    )
    captioner_revision: str = tunable(
        "",
        "Commit of the captioner on the Hugging Face hub, in 40 hex digits.",
        unit="commit",
        source="chosen: a name alone is whatever its owner put there last",
        pattern="^([0-9a-f]{40})?$",
    )
    captioner_prompt: str = tunable(
        "",
        "What the captioner is asked; empty: it just goes on.",
        unit="text",
        source="chosen: captioners such as BLIP are asked nothing",
    )
    captioner_tokens: int = tunable(
        60,
        "The captioner says so many tokens at most.",
        unit="tokens",
        source="chosen: CLIP's text encoder reads 77",
        ge=5,
        le=500,
    )

    @field_validator("caption", "token", "class_word")
    @classmethod
    def _one_line(cls, value: str) -> str:
        """Loaders take each line of a caption for a caption of its own."""
        if value != " ".join(value.split()):
            raise ValueError("must be one line without double spaces")
        return value

    @field_validator("caption_words")
    @classmethod
    def _known(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for one in value:
            name, colon, words = one.partition(":")
            if not colon or name.strip() not in CAPTION_WORDS or words != f" {words.strip()}":
                raise ValueError(
                    f"must be a list of NAME: WORDS, which {one!r} is not; "
                    f"the names: {', '.join(CAPTION_WORDS)}"
                )
        return value
