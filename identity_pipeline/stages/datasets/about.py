"""What lies in `about/` of a dataset: a sheet of each person, and the page.

What belongs here: from what was written to what people look at. What does not: drawing
(`media.sheets`, `media.dataset_page`). It stays out of a loader's way in a folder of its own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import polars as pl

from identity_pipeline.core.faces.angles import ANGLES
from identity_pipeline.core.privacy.consent import NOT_TRACKED_SENTENCE
from identity_pipeline.media.crops import decode_image, encode_jpeg
from identity_pipeline.media.dataset_page import (
    DatasetPage,
    LeftOutCard,
    PersonPart,
    PictureCard,
    SourceRow,
    render_dataset_page,
)
from identity_pipeline.media.sheets import (
    SET_ACCENTS,
    Tile,
    contact_sheet,
    data_uri,
    encode_jpeg_below,
    thumbnail,
)
from identity_pipeline.stages.datasets.facing import degrees
from identity_pipeline.stages.datasets.manifest import NotWritten
from identity_pipeline.stages.datasets.pictures import Layout, Person, Picture, Source
from identity_pipeline.stages.datasets.sources import Material

FOLDER: Final = "about"
COLUMNS, TILE_PX, QUALITY = 6, 224, 90
THUMBNAIL_PX, THUMBNAIL_BYTES = 224, 24_000
PICTURES: Final = frozenset({".jpg", ".jpeg", ".png", ".webp"})
WHY_NOT: Final[Mapping[str, str]] = {
    "near_duplicate": "look the same as a picture before them",
    "too_close_in_time": "are of the same moment as a picture before them",
    "beaten_in_bucket": "are much worse than a picture of the same pose and expression",
    "enough_difficulties": "are hard ones, of which there are enough",
    "not_needed": "come after what was wanted",
    "covered": "are covered",
    "no_light": "are too dark or too bright",
    "not_surely_them": "are hard ones, and not surely them",
    "outranked": "are not among the best of their ride",
}
"""Reasons of the order in words that follow a number."""


@dataclass(frozen=True, eq=False)
class Account:
    """What became of one person's faces.

    Attributes:
        material: their rides and faces.
        pictures: that were written, the best first.
        files: of each picture by key, relative to the folder.
        left: pictures that were tried and not written.
        looked: small pictures of those, by source and face, where there are any.
        order: the order of all faces.
        faults: what the pictures lack as a set.
    """

    material: Material
    pictures: Sequence[Picture]
    files: Mapping[str, Sequence[str]]
    left: Sequence[NotWritten]
    looked: Mapping[tuple[str, str], bytes]
    order: pl.DataFrame
    faults: Sequence[str] = ()

    @property
    def person(self) -> Person:
        """Whose faces."""
        return self.material.person


def write_about(
    folder: Path,
    accounts: Sequence[Account],
    layout: Layout,
    models: Sequence[Mapping[str, Any]],
    gate_version: str,
) -> None:
    """Writes sheets and page into `about/` of a folder.

    Args:
        folder: of the dataset.
        accounts: of each person.
        layout: of the consumer.
        models: as the manifest names them.
        gate_version: of the settings that judged the faces.
    """
    about = folder / FOLDER
    about.mkdir()
    for account in accounts:
        (about / sheet_name(account.person, len(accounts))).write_bytes(sheet_of(account.pictures))
    told = dict.fromkeys(
        (str(m["name"]), str(m["licence"] or "not known"), str(m["sha256"] or "")) for m in models
    )
    parts = tuple(map(_part, accounts))
    consent = tuple(sentence for account in accounts for sentence in consent_words(account))
    page = DatasetPage(layout.name, layout.sentence, parts, tuple(told), gate_version, consent)
    (about / "index.html").write_text(render_dataset_page(page), encoding="utf-8")


def consent_words(account: Account) -> tuple[str, ...]:
    """What is known of a person's consent, a sentence for each ride and photo set."""
    consents = account.material.consents
    if consents is None:
        return (NOT_TRACKED_SENTENCE,)
    name = account.person.name
    return tuple(f"{name} in {s}: {one.reason}." for s, one in sorted(consents.items()))


def sheet_name(person: Person, people: int) -> str:
    """The file of a person's sheet in `about/`."""
    return "sheet.jpg" if people == 1 else f"sheet-{person.slug}.jpg"


def sheet_of(pictures: Sequence[Picture]) -> bytes:
    """All pictures of a person on one sheet, the best first, as JPEG."""
    tiles = [
        Tile(
            thumbnail(decode_image(p.jpeg), TILE_PX),
            f"{p.rank} {p.role}\n{p.source.source_id}",
            SET_ACCENTS[p.role],
        )
        for p in pictures
    ]
    return encode_jpeg(contact_sheet(tiles, columns=COLUMNS, tile_px=TILE_PX), QUALITY)


def _part(account: Account) -> PersonPart:
    counts = Counter(p.source.source_id for p in account.pictures)
    sources = [
        SourceRow(s.source_id, s.kind, _date(s), s.origin, counts[s.source_id])
        for _, s in sorted(account.material.sources.items())
    ]
    sources += [
        SourceRow(s.source_id, "none", None, "-", 0, s.sentence) for s in account.material.skipped
    ]
    return PersonPart(
        account.person.name,
        tuple(_card(p, account.files.get(p.key, ())) for p in account.pictures),
        tuple(_left_card(one, account.looked) for one in account.left),
        tuple(sources),
        _reasons(account.order),
        tuple(account.faults),
    )


def _reasons(order: pl.DataFrame) -> tuple[tuple[str, int], ...]:
    """Why faces have no place in an order, in words, and how many."""
    reasons = Counter(map(str, order.filter(pl.col("rank").is_null())["reason"]))
    return tuple((WHY_NOT.get(code, code), n) for code, n in sorted(reasons.items()))


def why_not_chosen(order: pl.DataFrame) -> str:
    """The same in one clause: `3 are covered, 1 ...`."""
    return ", ".join(f"{n} {words}" for words, n in _reasons(order))


def _date(source: Source) -> str | None:
    if source.date is None:
        return None
    return f"{source.date} (of the file)" if source.date_from == "file" else source.date


def _card(picture: Picture, files: Sequence[str]) -> PictureCard:
    shown = [file for file in files if Path(file).suffix.lower() in PICTURES]
    lines = (
        picture.source.source_id,
        ", ".join(_seen(picture)) or "nothing measured",
        f"{picture.width} × {picture.height} px, {picture.split}",
    )
    href = f"../{shown[0]}" if shown else None
    return PictureCard(picture.key, href, _small(picture.jpeg), picture.role, lines)


def _seen(picture: Picture) -> list[str]:
    """What was measured of a picture, in a few words."""
    told = picture.measured
    forms = {"expression_bin": "{}", "lighting_bin": "{} light"}
    words = [form.format(told[name]) for name, form in forms.items() if told.get(name)]
    words += [picture.variant] if picture.variant else []
    angles = {axis: degrees(picture, axis) for axis in ANGLES}
    pose = [f"{axis} {round(angle)}°" for axis, angle in angles.items() if angle is not None]
    return [*(word.replace("_", " ") for word in words), *pose]


def _left_card(one: NotWritten, looked: Mapping[tuple[str, str], bytes]) -> LeftOutCard:
    jpeg = looked.get((one.source_id, one.face_id))
    name = f"{one.source_id} {one.face_id}"
    return LeftOutCard(name, _small(jpeg) if jpeg else None, one.code, one.sentence)


def _small(jpeg: bytes) -> str:
    small = thumbnail(decode_image(jpeg), THUMBNAIL_PX)
    return data_uri(encode_jpeg_below(small, THUMBNAIL_BYTES), "image/jpeg")


def readme(accounts: Sequence[Account], layout: Layout, usage: str) -> str:
    """`README.md`: how the consumer is pointed at it, and what else lies there."""
    lines = [f"# {', '.join(a.person.name for a in accounts)} for {layout.name}", ""]
    lines += [layout.sentence, "", usage.strip(), "", "## What is here", ""]
    for account in accounts:
        sources = account.material.sources
        counts = Counter(picture.source.source_id for picture in account.pictures)
        of = ", ".join(
            f"{n} of {name} ({sources[name].kind})" for name, n in sorted(counts.items())
        )
        lines.append(f"- {account.person.name}: {len(account.pictures)} pictures: {of}.")
    lines += [
        "- `about/index.html` shows every picture, and those that were refused with the reason.",
        "- `manifest.json` says of every picture where it comes from and what was measured, which "
        "models judged it under which licences, and what is known of consent.",
        "",
        *dict.fromkeys(sentence for account in accounts for sentence in consent_words(account)),
        "",
        "`identity-pipeline verify .` in this folder checks all of it, without a network.",
        "",
    ]
    return "\n".join(lines)
