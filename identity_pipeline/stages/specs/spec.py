"""What is written down of an asset: the type of an entry in `stages.specs.assets`.

What belongs here: facts that hold before anything runs. What does not: computing anything, Dagster,
or which assets there are.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from identity_pipeline.settings import Settings
from identity_pipeline.tables import TABLES, Table

GPU: Final = "gpu"
"""Pool with one slot per GPU."""
LIBRARY_POOL: Final = "library"
"""Pool of one run of the library at a time: each reads the one before."""


class Of(Enum):
    """What there is one output of; an asset of one of many has a partition for each."""

    VIDEO = "a video"
    PHOTO_SET = "a set of photographs"
    PERSON_AND_CONSUMER = "a person and somebody who reads their pictures"
    ALL = "everything together"


class Kept(Enum):
    """Where an output lies, and so what must be there for it to be whole."""

    TABLE = "a table"
    SOURCE = "a table of one row on the source file, which is looked at in every run"
    CROPS = "an archive of pictures"
    EXPORT = "a table, and the folder of files that it lists"
    INDEX = "points in the vector index"
    AS_A_RIDE = "tables called like those of a ride, and nothing else: see `writes`"
    ELSEWHERE = "a store of its own, which tells whether it is up to date"


@dataclass(frozen=True)
class Cost:
    """What a step costs until this machine has measured it, and what counts its work.

    Attributes:
        bundled_ms: milliseconds per sampled frame of a video, measured on two of the bundled rides
            with the bundled models on two busy cores (`identity-pipeline plan --costs`);
            production models cost several times as much, and the proportions are what matters for
            a share. Of what is made of all videos, per unit, and chosen for want of a labelled
            library, but for `identity_library`.
        unit: of its work, in the plural.
        counted_by: the asset of the same video with a row per unit; None where the step counts.
    """

    bundled_ms: float
    unit: str = "faces"
    counted_by: str | None = "face_detections"


@dataclass(frozen=True, kw_only=True)
class Learnt:
    """What an output is made of besides where its video keeps a model of its camera, or its ride.

    Where it keeps none, the output is what it would be if there were no models.

    Attributes:
        tables: of the model.
        settings: that shape it then.
        inputs: assets whose tables it reads then; it always comes behind them.
        code: raise it with every change of what is computed then.
    """

    tables: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ()
    code: str = "1"


@dataclass(frozen=True, kw_only=True)
class AssetSpec:
    """One asset.

    Attributes:
        key: its name, and that of its table.
        group: under which Dagster shows it.
        kinds: what it is made with, as Dagster shows it.
        inputs: assets that it is made of: whose tables it reads, or, where it is made of all
            videos, behind which it comes.
        settings: that shape it, by group or dotted name. Too many, and it is made again for
            nothing; one that is missing cannot be read: see `stages.specs.view`.
        batches: settings that it may read and that change at most the last bits of a number, so
            that what was computed with others is not mixed with it.
        operates: settings that it may read though they shape nothing, such as limits.
        models: that it runs: `face_pack`, `perception`, `vision`.
        unless_off: of these, the models that it does without where a phase is off: phase by model.
        highlights: settings that shape it where the video has a list of highlights, of which it is
            made then; None where it is not made of one.
        banks: settings that shape it where riders of the video are known, of whose memory banks it
            is made then; None where it is not made of any.
        pictures: settings that shape it where humans decided on pictures of the video, by what of
            it they decided (`stages.curation.picture_uses`), of which it is made then.
        camera: what it is made of besides where its video keeps a model of its camera.
        ride: the same of a model of the camera's ride.
        redacted: whether it is made of pixels of the source, and so of what of them must not be
            looked at.
        consents: whether it is made of what the riders of the video consent to, once consent is
            required.
        code: raise it with every change of what is computed; without it old results are reused.
        step: what makes it; several assets may come of one step. Its own name by default.
        one_pass: the step makes all of its outputs if one of them is wanted.
        of: what there is one of.
        kept: where it lies.
        writes: tables and crops called like those of a ride that its step puts in their place too,
            so that whatever reads a ride's reads them: of them it is not whole without.
        phases: that it belongs to; with one of them switched off, it is empty and needs nothing.
        shows_names: it prints the models' names and the digest of all settings.
        cost: of the step; None where nobody waits for it.
        pool: that the step waits for.
        nightly: the night brings it up to date, so that Dagster may say that it is overdue.
        description: of an asset whose step makes several; else the step's function says it.
    """

    key: str
    group: str
    kinds: tuple[str, ...]
    inputs: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()
    batches: tuple[str, ...] = ()
    operates: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    unless_off: Mapping[str, str] = field(default_factory=dict)
    highlights: tuple[str, ...] | None = None
    banks: tuple[str, ...] | None = None
    pictures: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    camera: Learnt | None = None
    ride: Learnt | None = None
    redacted: bool = False
    consents: bool = False
    code: str = "1"
    step: str = ""
    one_pass: bool = False
    of: Of = Of.VIDEO
    kept: Kept = Kept.TABLE
    writes: tuple[str, ...] = ()
    phases: tuple[str, ...] = ()
    shows_names: bool = False
    cost: Cost | None = None
    pool: str | None = None
    nightly: bool = False
    description: str | None = None

    def __post_init__(self) -> None:
        """Most steps make one asset and are called like it."""
        object.__setattr__(self, "step", self.step or self.key)

    @property
    def per_video(self) -> bool:
        """Whether there is one of each video."""
        return self.of is Of.VIDEO

    @property
    def table(self) -> Table | None:
        """Its table: columns, dtypes, key, ranges; None where it keeps none."""
        return TABLES.get(self.key)

    @property
    def learnt(self) -> dict[str, Learnt]:
        """What it is made of where a model is kept, by what the model is of."""
        both = {"camera": self.camera, "ride": self.ride}
        return {of: learnt for of, learnt in both.items() if learnt is not None}

    def inputs_with(self, known: Collection[str]) -> tuple[str, ...]:
        """Its inputs, those among them that count only where a model is kept.

        Args:
            known: `camera` and `ride`, those of which the video keeps a model.
        """
        more = (name for of, one in self.learnt.items() if of in known for name in one.inputs)
        return tuple(dict.fromkeys((*self.inputs, *more)))

    @property
    def behind(self) -> tuple[str, ...]:
        """All that it may be made of, and so comes behind."""
        return self.inputs_with(self.learnt)

    def runs(self, settings: Settings) -> tuple[str, ...]:
        """The models that it runs with these settings."""
        off = {model for model, phase in self.unless_off.items() if switched_off(settings, phase)}
        return tuple(model for model in self.models if model not in off)

    def off(self, settings: Settings) -> str | None:
        """Why it is not made: one of its phases is switched off. None where it is made."""
        return switched_off(settings, *self.phases)

    def leaves_nothing(self, settings: Settings) -> bool:
        """Whether there is no trace of it: what is off is an empty table, if it has a table."""
        return self.table is None and self.off(settings) is not None


def switched_off(settings: Settings, *phases: str) -> str | None:
    """Why an output is not made, when one of its phases is off; else None."""
    off = [phase for phase in phases if not getattr(settings.phases, phase)]
    return f"switched off by settings phases.{off[0]}" if off else None
