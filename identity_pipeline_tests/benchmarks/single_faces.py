"""How single faces are judged: own anchors named, strangers' anchors not, own faces in quarantine.

The library is computed in memory from the templates that lie in a data folder; the anchors are
found and embedded on the exported images. Run the videos first, with their truth files beside them.

    python -m identity_pipeline_tests.benchmarks.single_faces DATA --models PACK --truth FOLDER
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
import polars as pl

from identity_pipeline.core.library.identity_profile import IdentityProfile, NewEmbeddings, made_of
from identity_pipeline.core.matching.budget import budget_of, references_of
from identity_pipeline.core.matching.gallery import gallery_of, identify
from identity_pipeline.core.matching.templates import track_key, usable_faces
from identity_pipeline.core.matching.thresholds import Thresholds, thresholds_of
from identity_pipeline.core.vectors import to_matrix
from identity_pipeline.media.crops import align, decode_image
from identity_pipeline.models.hub import ModelHub
from identity_pipeline.settings import Settings, load_settings
from identity_pipeline.stages.library.profiles import quarantine_below
from identity_pipeline.stages.library.spaces import read_video
from identity_pipeline.stages.library.statistics import true_people
from identity_pipeline.stages.stores import LibraryStores
from identity_pipeline.storage.layout import Layout
from identity_pipeline.storage.video.tables import TableStore
from identity_pipeline_tests.benchmarks.library_quality import library, person_id
from identity_pipeline_tests.library_tables import LibraryTables, read_templates


@dataclass(frozen=True)
class Anchor:
    """The face on an exported anchor image."""

    person: str
    vector: np.ndarray


def anchors(store: TableStore, truth: Mapping[str, str], settings: Settings) -> list[Anchor]:
    """All exported anchors of riders whose true person is known; the largest face on each."""
    pack = ModelHub(settings.models).face_pack
    found = []
    for video_id in store.videos_with("riders"):
        riders = store.read("riders", video_id).drop_nulls("person_id")
        for track, rider in riders.select("track_id", "person_id").iter_rows():
            person = truth.get(track_key(video_id, track))
            folder = store.layout.export(video_id) / f"person_{rider}" / "anchors"
            if person is None:
                continue
            for path in sorted(folder.glob("*.jpg")):
                picture = decode_image(path.read_bytes())
                faces = pack.detect(picture)
                if not len(faces.boxes):
                    continue
                box = np.asarray(faces.boxes)
                largest = int(np.argmax((box[:, 2] - box[:, 0]) * (box[:, 3] - box[:, 1])))
                vector = pack.embed([align(picture, faces.key_points[largest])])[0]
                found.append(Anchor(person, np.asarray(vector)))
    return found


def own_anchors(
    inputs: LibraryTables, found: list[Anchor], truth: Mapping[str, str], settings: Settings
) -> Counter[str]:
    """What is said of each anchor when everybody is known by all their tracks."""
    tables = library(inputs, settings, truth).tables
    gallery = gallery_of(tables["person_references"])
    thresholds = thresholds_of(tables["calibration"], inputs.space, "probe", settings.match)
    counts: Counter[str] = Counter()
    for anchor in found:
        told = identify(anchor.vector, inputs.space, gallery, thresholds, settings.match)
        named = told.person_id or told.probable_id
        right = named == person_id(anchor.person)
        counts[
            told.answer if named is None else f"{told.answer} {'right' if right else 'wrong'}"
        ] += 1
    return counts


def strangers(
    inputs: LibraryTables, found: list[Anchor], truth: Mapping[str, str], settings: Settings
) -> Counter[str]:
    """What is said of the anchors and tracks of each person when nobody has named that person."""
    counts: Counter[str] = Counter()
    for person in sorted(set(truth.values())):
        others = {key: name for key, name in truth.items() if name != person}
        tables = library(inputs, settings, others).tables
        gallery = gallery_of(tables["person_references"])
        thresholds = thresholds_of(tables["calibration"], inputs.space, "probe", settings.match)
        for anchor in found:
            if anchor.person == person:
                told = identify(anchor.vector, inputs.space, gallery, thresholds, settings.match)
                counts[f"anchor {told.answer}"] += 1
        own = [key for key, name in truth.items() if name == person]
        rows = tables["person_assignments"].filter(pl.col("track_key").is_in(own))
        counts.update(f"track {state}" for state in rows["state"].to_list())
    return counts


def quarantined(
    store: TableStore, truth: Mapping[str, str], threshold: float | None, space: str
) -> tuple[int, int]:
    """Own faces that profiles keep out, and all own faces; everybody known by all their tracks."""
    of_person: dict[str, list[NewEmbeddings]] = {}
    for video_id in store.videos_with("track_templates"):
        faces = usable_faces(read_video(store, video_id))
        keys = pl.Series([track_key(video_id, t) for t in faces["track_id"].to_list()])
        for key in sorted(set(keys.to_list()) & truth.keys()):
            own = faces.filter(keys == key)
            new = NewEmbeddings(video_id, space, own["face_id"].to_list(), to_matrix(own["e_id"]))
            of_person.setdefault(truth[key], []).append(new)
    out = total = 0
    for person, sources in sorted(of_person.items()):
        profile = IdentityProfile(str(uuid.UUID(int=0)), person, space)
        made, _ = made_of(profile, sources, threshold, "2026-01-01")
        out += made.quarantined_count
        total += made.quarantined_count + made.embedding_count
    return out, total


def shown(thresholds: Thresholds) -> str:
    """The thresholds of one level, for one reference."""
    values = {name: point.at()[0] for name, point in thresholds.points.items()}
    return ", ".join(
        f"{name} {'not measured' if v is None else f'{v:.3f}'}" for name, v in values.items()
    )


@click.command()
@click.argument("data", type=click.Path(exists=True, file_okay=False))
@click.option("--models", "pack", help="Face pack.  [default: the setting]")
@click.option(
    "--truth", "folder", type=click.Path(exists=True, path_type=Path), help="Truth files."
)
@click.option("--also", multiple=True, metavar="STEM=NAME", help="Who rides alone in a clip.")
def main(data: str, pack: str | None, folder: Path | None, also: tuple[str, ...]) -> None:
    """Print how the single faces of the data folder DATA are judged."""
    chosen = {"models": {"face_pack": pack}} if pack else {}
    settings, store = load_settings(**chosen), TableStore(Layout(Path(data)))
    inputs = read_templates(store)
    truth, _ = true_people(LibraryStores.of(store), folder)
    alone = dict(item.split("=", 1) for item in also)
    for key, video in inputs.templates.select("track_key", "video_id").iter_rows():
        names = [name for stem, name in alone.items() if video.startswith(f"{stem}-")]
        truth |= {key: names[0]} if names else {}
    present = set(inputs.templates["track_key"])
    truth = {key: name.removesuffix(".mp4") for key, name in truth.items() if key in present}
    tables = library(inputs, settings, truth).tables
    calibration = tables["calibration"]
    for level in ("template", "probe"):
        thresholds = thresholds_of(calibration, inputs.space, level, settings.match)
        click.echo(f"level {level}: {shown(thresholds)}")
    references = references_of(tables["person_references"])
    click.echo(budget_of(calibration, inputs.space, references, settings.match).sentence)
    found = anchors(store, truth, settings)
    own, other = (told(inputs, found, truth, settings) for told in (own_anchors, strangers))
    click.echo(f"own anchors ({len(found)}): {dict(sorted(own.items()))}")
    click.echo(f"strangers: {dict(sorted(other.items()))}")
    threshold = quarantine_below(calibration, settings)
    out, total = quarantined(store, truth, threshold, inputs.space)
    below = "nothing is" if threshold is None else f"below {threshold:.3f}"
    click.echo(f"own faces in quarantine: {out} of {total} ({out / max(1, total):.2%}); {below}")


if __name__ == "__main__":
    main()
