"""From photographs to the tables of a ride: rendered ones with all kinds of faults, and real."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pillow_heif
import polars as pl
import pytest
from PIL import Image, ImageFilter, ImageOps

from identity_pipeline.core.matching.templates import track_key
from identity_pipeline.core.tracks.photo_choice import Limits, choose_faces
from identity_pipeline.media.crops import align
from identity_pipeline.media.stills import read_still
from identity_pipeline.models.hub import ModelHub
from identity_pipeline.settings import Settings, load_settings
from identity_pipeline.stages.library.spaces import tables_of_video, templates_of_video
from identity_pipeline.stages.photos.faces import measure_photos
from identity_pipeline.stages.photos.looking import faces_of_still
from identity_pipeline.stages.photos.reading import photo_table, take_in
from identity_pipeline.storage.layout import VIDEO_ID, Layout
from identity_pipeline.storage.photos.photo_sets import PhotoSet, PhotoSets
from identity_pipeline.storage.video.tables import Manifest, TableStore
from identity_pipeline.tables import conform
from identity_pipeline.tables.soundness import faults
from identity_pipeline_tests.conftest import BUNDLED

PHOTOS = BUNDLED / "photos"
OWN = ("1_park", "2_room", "3_evening", "4_together")


class Enrolled:
    """A set of photographs, and all that was measured of it."""

    def __init__(self, root: Path, pictures: list[Path], settings: Settings, hub: ModelHub) -> None:
        self.photos = PhotoSets(Layout(root / "data"))
        self.registered = take_in(self.photos, "Ada", pictures, settings)
        assert self.registered.photo_set is not None
        self.set: PhotoSet = self.registered.photo_set
        self.pictures = photo_table(self.set, self.photos, settings)
        self.crops = root / "crops"
        self.crops.mkdir()
        self.tables = measure_photos(
            self.set, self.pictures, self.photos, self.crops, hub, settings
        )
        video = tables_of_video(
            self.set.set_id, self.tables["face_embeddings"], self.tables.__getitem__
        )
        self.templates = templates_of_video(video, settings)

    @property
    def told(self) -> dict[str, str | None]:
        """The reason of each picture, by its name; null of those that were chosen."""
        return dict(self.tables["photo_faces"].select("name", "reason").iter_rows())

    @property
    def template(self) -> np.ndarray:
        return np.array(self.templates["track_templates"]["template"][0])


@pytest.fixture(scope="module")
def settings() -> Settings:
    return load_settings()


@pytest.fixture(scope="module")
def hub(open_pack: Path, settings: Settings) -> ModelHub:
    return ModelHub(settings.models.model_copy(update={"face_pack": str(open_pack)}))


@pytest.fixture(scope="module")
def enrol(
    tmp_path_factory: pytest.TempPathFactory, settings: Settings, hub: ModelHub
) -> Callable[[list[Path]], Enrolled]:
    def make(pictures: list[Path]) -> Enrolled:
        return Enrolled(tmp_path_factory.mktemp("photos"), pictures, settings, hub)

    return make


@pytest.fixture(scope="module")
def mixed(
    tmp_path_factory: pytest.TempPathFactory, enrol: Callable[[list[Path]], Enrolled]
) -> Enrolled:
    """Good photographs of a person in several formats, and everything that may lie among them."""
    folder = tmp_path_factory.mktemp("mixed")
    for shot in OWN:
        shutil.copy(PHOTOS / "rider_200031" / f"{shot}.jpg", folder)
    park = ImageOps.exif_transpose(Image.open(folder / "1_park.jpg"))
    pillow_heif.from_pillow(park).save(folder / "phone.heic", quality=90)
    shutil.copy(folder / "2_room.jpg", folder / "2_room_again.jpg")
    Image.open(folder / "2_room.jpg").filter(ImageFilter.GaussianBlur(14)).save(
        folder / "blurred.jpg"
    )
    small = Image.open(folder / "3_evening.jpg").reduce(6)
    canvas = Image.new("RGB", (1600, 1200), (90, 120, 90))
    canvas.paste(small, (700, 500))
    canvas.save(folder / "small.png")
    Image.new("RGB", (400, 300), (90, 120, 200)).save(folder / "sky.jpg")
    shutil.copy(PHOTOS / "rider_200018" / "1_park.jpg", folder / "stranger.jpg")
    (folder / "text.jpg").write_text("no picture", encoding="utf-8")
    (folder / "half.jpg").write_bytes((folder / "3_evening.jpg").read_bytes()[:20000])
    frames = [Image.new("RGB", (80, 80), (n * 60, 0, 0)) for n in range(3)]
    frames[0].save(folder / "moving.webp", save_all=True, append_images=frames[1:])
    return enrol(sorted(folder.iterdir()))


def test_each_picture_is_taken_or_refused_with_one_reason(mixed: Enrolled) -> None:
    refused = {one.path.name: one.code for one in mixed.registered.not_taken}
    assert refused == {
        "2_room_again.jpg": "twice",
        "half.jpg": "truncated",
        "moving.webp": "animated",
        "text.jpg": "not_a_picture",
    }
    assert mixed.told == {
        **{f"{shot}.jpg": None for shot in OWN},
        "blurred.jpg": "blurred",
        "phone.heic": None,
        "sky.jpg": "no_face",
        "small.png": "too_small",
        "stranger.jpg": "other_person",
    }
    table = mixed.tables["photo_faces"]
    assert table.filter(pl.col("reason").is_not_null())["sentence"].null_count() == 0
    assert table.filter(pl.col("reason").is_null())["sentence"].null_count() == 5


def test_the_tables_are_those_of_a_ride(mixed: Enrolled) -> None:
    for name, table in {**mixed.tables, **mixed.templates, "photo_set": mixed.pictures}.items():
        assert faults(name, conform(name, table)) == [], name
    person = set(mixed.tables["photo_faces"]["face_id"].drop_nulls())
    for name in ("face_tracks", "face_landmarks", "face_buckets", "moments", "candidates"):
        assert set(mixed.tables[name]["face_id"]) == person, name
    assert set(mixed.tables["face_quality"]["face_id"]) > person
    moments = mixed.tables["moments"]
    assert moments["moment_id"].n_unique() == moments.height == 5
    assert set(mixed.tables["candidates"]["standing"]) == {"candidate"}
    row = mixed.templates["track_templates"].row(0, named=True)
    assert row["track_key"] == track_key(mixed.set.set_id, 0) and row["face_count"] == 5
    assert VIDEO_ID.fullmatch(row["video_id"])
    assert not mixed.templates["calibration_pairs"].height
    assert mixed.templates["face_samples"].height == 5


def test_another_person_is_far_and_one_picture_is_enough(
    mixed: Enrolled, enrol: Callable[[list[Path]], Enrolled]
) -> None:
    other = enrol([PHOTOS / "rider_200018" / "1_park.jpg"])
    assert other.told == {"1_park.jpg": None}
    assert other.tables["identity_stability"]["stable"].to_list() == [True]
    assert other.tables["candidates"]["standing"].to_list() == ["candidate"]
    assert mixed.template @ other.template < 0.6
    assert mixed.tables["photo_faces"].drop_nulls("face_id")["fit"].min() > 0.7  # type: ignore[operator]


def test_a_damaged_copy_is_left_out_and_the_same_pictures_give_the_same_bytes(
    enrol: Callable[[list[Path]], Enrolled], settings: Settings, hub: ModelHub, tmp_path: Path
) -> None:
    made = enrol([PHOTOS / "rider_200031" / f"{shot}.jpg" for shot in OWN[:2]])
    made.photos.path(made.set, made.set.pictures[0]).write_bytes(b"spoilt")
    table = photo_table(made.set, made.photos, settings)
    assert table["reason"].to_list() == ["damaged_copy", None]
    first, again = (
        measure_photos(made.set, table, made.photos, folder, hub, settings)
        for folder in (tmp_path / "1", tmp_path / "2")
        if not folder.mkdir()
    )
    assert first["photo_faces"]["reason"].to_list() == ["damaged_copy", None]
    for name, made_first in first.items():
        assert made_first.equals(again[name]), name
    (part,) = (tmp_path / "1").iterdir()
    assert (tmp_path / "2" / part.name).read_bytes() == part.read_bytes()


def test_pictures_of_a_set_that_shows_nobody_may_come_again_with_others(
    enrol: Callable[[list[Path]], Enrolled], settings: Settings
) -> None:
    made = enrol([PHOTOS / "rider_200031" / "4_together.jpg"])
    assert made.told == {"4_together.jpg": "several_faces"}
    shown = [PHOTOS / "rider_200031" / f"{shot}.jpg" for shot in OWN]
    assert [one.code for one in take_in(made.photos, "Ada", shown, settings).not_taken] == ["known"]
    store = TableStore(Layout(made.photos.layout.root))
    for name, table in made.templates.items():
        store.write(name, made.set.set_id, table, "f")
    store.note("photo_templates", made.set.set_id, Manifest("f", "d", 0))
    again = take_in(made.photos, "Ada", [PHOTOS / "rider_200031" / "4_together.jpg"], settings)
    assert again.photo_set == made.set
    other = PHOTOS / "rider_200012" / "1_park.jpg"
    more = take_in(made.photos, "Ada", [shown[3], other], settings)
    assert more.photo_set is not None and len(more.photo_set.pictures) == 2 and not more.not_taken


def test_the_bundled_photographs_are_small_and_private_in_nothing() -> None:
    pictures = sorted(PHOTOS.glob("*/*.jpg"))
    assert len(pictures) == 12 and sum(p.stat().st_size for p in pictures) < 1_000_000
    for picture in pictures:
        assert set(Image.open(picture).getexif()) <= {0x0112}


@pytest.fixture(scope="module", params=["open", "mobile"])
def real_hub(
    request: pytest.FixtureRequest, real: Path, open_pack: Path
) -> tuple[ModelHub, Settings]:
    folder = open_pack if request.param == "open" else real / "models" / "mobile"
    settings = load_settings(models={"face_pack": str(folder)})
    return ModelHub(settings.models), settings


def test_real_photographs_of_one_person_agree_and_a_stranger_is_left_out(
    real: Path, real_hub: tuple[ModelHub, Settings]
) -> None:
    hub, settings = real_hub
    limits = Limits(4.0, settings.stability.stable_min, settings.photos.lead)
    of: dict[str, list[str]] = {}
    for row in csv.DictReader((real / "pairs" / "people.csv").open(encoding="utf-8")):
        of.setdefault(row["person"], []).append(row["file"])
    rows = {
        name: _face(real / "pairs" / name, hub, settings) for names in of.values() for name in names
    }
    for person, own in of.items():
        for stranger in sorted(set(rows) - set(own)):
            table = _numbered([rows[name] for name in (*own, stranger)])
            told = choose_faces(table, table["frame_idx"].to_list(), limits)
            # Two and a stranger, or one and a stranger, who never are one person.
            assert [c.reason for c in told.values()] == [None] * len(own) + ["other_person"], person
            pair = _numbered([rows[own[0]], rows[stranger]])
            assert {c.reason for c in choose_faces(pair, [1, 2], limits).values()} == {
                "no_majority"
            }


def _face(path: Path, hub: ModelHub, settings: Settings) -> dict[str, object]:
    """The one face of a photograph."""
    bgr = read_still(path, settings.photos).bgr
    found = faces_of_still(bgr, hub.face_pack, settings)
    ((x1, y1, x2, y2),) = found.boxes
    (e_id,) = hub.face_pack.embed([align(bgr, found.key_points[0])])
    return {"area": float((x2 - x1) * (y2 - y1)), "fault": None, "e_id": e_id.tolist()}


def _numbered(rows: list[dict[str, object]]) -> pl.DataFrame:
    ids = [{"face_id": f"{n:06d}-0", "frame_idx": n} for n in range(1, len(rows) + 1)]
    schema = {"e_id": pl.List(pl.Float32), "fault": pl.String}
    return pl.DataFrame(
        [i | row for i, row in zip(ids, rows, strict=True)], schema_overrides=schema
    )


def test_real_faces_that_fill_the_picture_are_found(
    real: Path, real_hub: tuple[ModelHub, Settings]
) -> None:
    hub, settings = real_hub
    for path in sorted((real / "pairs").glob("*.jpg"))[::2]:
        bgr = read_still(path, settings.photos).bgr
        (box,) = faces_of_still(bgr, hub.face_pack, settings).boxes
        x1, y1, x2, y2 = (int(max(0, v)) for v in box)
        tight = np.ascontiguousarray(bgr[y1:y2, x1:x2])
        (close,) = faces_of_still(tight, hub.face_pack, settings).boxes
        assert (close[2] - close[0]) * (close[3] - close[1]) > 0.6 * tight[..., 0].size, path.name
