"""What a person's exported pictures are worth, judged by a face pack that did not choose them.

What belongs here: pictures embedded by the judge, and the result as JSON and files. What does not:
the values (`core.datasets.worth`). Without a judge nothing is measured, and that is said: the
recogniser that chose the pictures would only praise its own choice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from identity_pipeline.core.datasets.worth import (
    POSE_APART_DEG,
    TRIALS,
    Curve,
    Shown,
    Trial,
    Worth,
    worth_of,
)
from identity_pipeline.errors import IdentityPipelineError, printable
from identity_pipeline.media.crops import align, decode_image
from identity_pipeline.media.worth_plot import PROXY, worth_svg
from identity_pipeline.models.face_pack import FacePack
from identity_pipeline.models.licences import licence_of
from identity_pipeline.settings import Settings
from identity_pipeline.stages.curation.snapshot import LibrarySnapshot
from identity_pipeline.stages.datasets.cutting import Cutter
from identity_pipeline.stages.datasets.facing import degrees
from identity_pipeline.stages.datasets.layouts import LAYOUTS
from identity_pipeline.stages.datasets.pictures import Picture
from identity_pipeline.stages.datasets.sources import DatasetError, material_of, people_of
from identity_pipeline.stages.datasets.trying import try_pictures
from identity_pipeline.stages.progress.protocol import Progress, silent
from identity_pipeline.storage.files import atomic

if TYPE_CHECKING:
    from identity_pipeline.models.hub import ModelHub

DIGITS: Final = 4
FILE: Final = "worth.json"
CURVE: Final = "worth.svg"
CONSUMER: Final = "imagefolder"
"""Whose pictures are judged: the one that asks for least."""


class NoJudgeError(IdentityPipelineError, ValueError):
    """Nothing was measured, for nobody can judge; the sentence says what to set."""


@dataclass(frozen=True)
class Judged:
    """What one person's pictures are worth.

    Attributes:
        name: of the person.
        pictures: the best first.
        trials: what they are worth, by which references a target has.
        judge: space of the recogniser that judged.
        licence: of the judge's weights; null where nobody knows it.
        chosen_by: space of the one that chose.
    """

    name: str
    pictures: Sequence[Picture]
    trials: Mapping[Trial, Worth]
    judge: str
    licence: str | None
    chosen_by: str

    def as_json(self) -> dict[str, Any]:
        """For machines: what it is, the curves, and what each picture adds."""
        return {
            "proxy": PROXY,
            "person": self.name,
            "judge": self.judge,
            "judge_licence": self.licence,
            "chosen_by": self.chosen_by,
            "pose_apart_deg": POSE_APART_DEG,
            "pictures": len(self.pictures),
            **{trial: self._trial(worth) for trial, worth in self.trials.items()},
        }

    def _trial(self, worth: Worth) -> dict[str, Any]:
        curves = {curve.mode: self._curve(curve) for curve in worth.curves}
        return {"targets": worth.targets, "targets_by_source": worth.by_source, "curves": curves}

    def _curve(self, curve: Curve) -> dict[str, Any]:
        keys = [picture.key for picture in self.pictures]
        return {
            "points": [_rounded(asdict(point)) for point in curve.points],
            "enough": curve.enough,
            "held_out_share": _rounded(curve.held_out),
            "greedy": [{"key": keys[k.index], "share": _rounded(k.share)} for k in curve.greedy],
            "loss_without": {
                key: _rounded(float(loss)) for key, loss in zip(keys, curve.loss, strict=True)
            },
        }


def pictures_of(
    library: LibrarySnapshot,
    person_id: str,
    settings: Settings,
    models: ModelHub,
    count: int | None = None,
    rides: Sequence[str] = (),
    progress: Progress = silent,
) -> list[Picture]:
    """The pictures of a person that an export for a consumer with few wishes would have.

    Args:
        library: as it is now.
        person_id: whose.
        settings: all settings.
        models: the pack in use.
        count: of pictures at most; null: `datasets.count`.
        rides: only these rides and photo sets; all where none is named.
        progress: called as pictures are cut.

    Raises:
        DatasetError: there is no picture of the person that can be shown.
    """
    (person,) = people_of(library, (person_id,), settings.datasets)
    material = material_of(library, person, settings, tuple(rides))
    cutter = Cutter(library.stores.tables, models.face_pack, settings, None)
    tried = try_pictures(material, LAYOUTS[CONSUMER], count, cutter, settings, progress)
    if not tried.passed:
        raise DatasetError(
            f"None of the {len(tried.pictures)} pictures of {person.name} that were cut is fit to "
            f"be shown; `identity-pipeline export` for {CONSUMER} says why."
        )
    return tried.passed


def judge_of(settings: Settings, selecting: FacePack) -> FacePack:
    """The pack that judges.

    Args:
        settings: `datasets.judge` and `models`.
        selecting: the pack in use.

    Raises:
        NoJudgeError: none is set, or its recogniser is the one that chose.
        FacePackError: it cannot be found or opened.
    """
    name = settings.datasets.judge
    if name is None:
        raise NoJudgeError(
            "What pictures are worth was not measured: a second recogniser has to judge, and none "
            "is named. Set datasets.judge, or --judge, to a face pack other than "
            f"{selecting.name}, by name or folder."
        )
    judge = FacePack(settings.models.model_copy(update={"face_pack": name}))
    if judge.space.sha256 == selecting.space.sha256:
        raise NoJudgeError(
            f"What pictures are worth was not measured: the recogniser of {judge.name} is the one "
            "that chose them. Set datasets.judge, or --judge, to another pack."
        )
    return judge


def worth_of_pictures(
    pictures: Sequence[Picture], judge: FacePack, selecting: FacePack, progress: Progress = silent
) -> Judged:
    """What the pictures of one person are worth.

    Args:
        pictures: of one person, the best first.
        judge: from `judge_of`.
        selecting: the pack in use, which chose.
        progress: called per picture.
    """
    vectors = []
    for number, picture in enumerate(pictures, 1):
        aligned = align(decode_image(picture.jpeg), picture.key_points)
        vectors.append(judge.embed([aligned])[0])
        progress("worth", number, len(pictures), "pictures")
    shown = Shown(
        np.stack(vectors) if vectors else np.zeros((0, judge.space.dimension), np.float32),
        [picture.source.source_id for picture in pictures],
        _angles(pictures, "yaw"),
        _angles(pictures, "pitch"),
    )
    name = pictures[0].person.name if pictures else ""
    trials: dict[Trial, Worth] = {trial: worth_of(shown, trial) for trial in TRIALS}
    licence = judge.card.licence or licence_of(judge.name)
    return Judged(name, pictures, trials, judge.space.key, licence, selecting.space.key)


def _angles(pictures: Sequence[Picture], axis: str) -> np.ndarray:
    """Before the lens, where pictures of all cameras can be compared."""
    values = [degrees(picture, axis) for picture in pictures]
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)


def write_worth(folder: Path, judged: Judged) -> None:
    """`worth.json` and `worth.svg`, in place of older ones.

    Raises:
        DatasetError: something else is in the folder.
        OSError: it cannot be written; what was there is unchanged.
    """
    refuse_foreign(folder)
    title = f"What pictures of {judged.name} are worth as references"
    with atomic.new_folder(folder) as new:
        (new / FILE).write_bytes(atomic.json_bytes(judged.as_json()))
        (new / CURVE).write_text(worth_svg(judged.trials, title), encoding="utf-8")


def refuse_foreign(folder: Path) -> None:
    """A measurement takes the place of an older one, and of nothing else.

    Raises:
        DatasetError: something else is there.
    """
    if not folder.exists() and not folder.is_symlink():
        return
    if not folder.is_dir() or {path.name for path in folder.iterdir()} - {FILE, CURVE}:
        raise DatasetError(
            f"{printable(str(folder))} is there already and holds something else; name another "
            "folder with --out, or move it away."
        )


def _rounded(value: Any) -> Any:
    """The same with rounded numbers."""
    if isinstance(value, float):
        return round(value, DIGITS)
    if isinstance(value, Mapping):
        return {name: _rounded(own) for name, own in value.items()}
    return value
