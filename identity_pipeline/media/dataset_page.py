"""The page of a person's dataset: one HTML file that needs nothing but itself.

What belongs here: what the page shows, as frozen dataclasses, and rendering it. What does not:
where the numbers come from (`stages.datasets.about`). No script, no request, no clock.
"""

from __future__ import annotations

from dataclasses import dataclass

from identity_pipeline.media.page import environment
from identity_pipeline.media.svg import SET_COLOURS


@dataclass(frozen=True)
class PictureCard:
    """One picture that was written.

    Attributes:
        name: its key.
        href: of its file, relative to the page; null where it is inside another file.
        thumbnail: data URI of a small picture.
        role: `anchor`, `coverage` or `challenge`.
        lines: what is said of it, a few words each.
    """

    name: str
    href: str | None
    thumbnail: str
    role: str
    lines: tuple[str, ...]


@dataclass(frozen=True)
class LeftOutCard:
    """One picture that was tried and not written: a small picture where there is one, and why."""

    name: str
    thumbnail: str | None
    code: str
    sentence: str


@dataclass(frozen=True)
class SourceRow:
    """One ride or photo set: what it is, when, who says so, and how many pictures are of it."""

    source_id: str
    kind: str
    date: str | None
    origin: str
    pictures: int
    note: str | None = None


@dataclass(frozen=True)
class PersonPart:
    """One person: their pictures, the best first, those left out, and where they come from.

    Attributes:
        name: of the person.
        pictures: that were written.
        left_out: that were tried and not written.
        sources: of both.
        reasons: how many faces were not chosen, by reason in words.
        faults: what their pictures lack as a set, in sentences.
    """

    name: str
    pictures: tuple[PictureCard, ...]
    left_out: tuple[LeftOutCard, ...]
    sources: tuple[SourceRow, ...]
    reasons: tuple[tuple[str, int], ...]
    faults: tuple[str, ...]


@dataclass(frozen=True)
class DatasetPage:
    """Everything the page shows.

    Attributes:
        consumer: whom it is for.
        sentence: what that is.
        people: in it.
        models: name, licence and SHA-256 of each model that had a part in it.
        gate_version: of the settings that judged the faces.
        consent: what is known of the people's consent, in sentences.
    """

    consumer: str
    sentence: str
    people: tuple[PersonPart, ...]
    models: tuple[tuple[str, str, str], ...]
    gate_version: str
    consent: tuple[str, ...] = ()


def render_dataset_page(page: DatasetPage) -> str:
    """The page as HTML text: the same for the same data."""
    template = environment().get_template("dataset.html.j2")
    return template.render(page=page, set_colours=SET_COLOURS)
