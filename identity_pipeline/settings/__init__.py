"""Every tunable number of the pipeline, typed, bounded, and with the source it comes from.

What belongs here: thresholds, sizes, names of models and folders; anything a person may tune.
What does not: constants of a definition (bin edges live here because cameras differ; the number
of key points of a face does not).

The settings are read in one place, `load_settings`, from (strongest first) environment variables
`IDENTITY_PIPELINE__<GROUP>__<NAME>`, the TOML file named by `IDENTITY_PIPELINE_SETTINGS`, or
`settings.toml` in the data folder's parent; then from the cards of the models that they name
(`settings.numbers`). Every field says its unit and where its default comes from;
`identity-pipeline settings` prints them all.
"""

from __future__ import annotations

import os
import tomllib
from itertools import pairwise
from pathlib import Path
from typing import Any

from pydantic import PrivateAttr, ValidationError, model_validator
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)
from pydantic_settings import SettingsError as UnreadableVariableError

from identity_pipeline.errors import system_words
from identity_pipeline.settings.camera import CameraSettings
from identity_pipeline.settings.consent import ConsentSettings
from identity_pipeline.settings.datasets import DatasetSettings
from identity_pipeline.settings.desk import DeskSettings
from identity_pipeline.settings.detection import (
    CropSettings,
    HighlightSettings,
    ModelSettings,
    TrackingSettings,
    VideoSettings,
)
from identity_pipeline.settings.imagesets import (
    ExportSettings,
    MomentSettings,
    PictureSettings,
    SelectionSettings,
)
from identity_pipeline.settings.learning import TrainSettings
from identity_pipeline.settings.library import ClusterSettings, CopySettings
from identity_pipeline.settings.matching import MatchSettings
from identity_pipeline.settings.measurement import (
    BankSettings,
    BucketSettings,
    QualitySettings,
    RiderSettings,
    StabilitySettings,
)
from identity_pipeline.settings.numbers import Numbers, with_numbers
from identity_pipeline.settings.operation import (
    IngestSettings,
    PathSettings,
    PhaseSettings,
    RetentionSettings,
    WorkerSettings,
)
from identity_pipeline.settings.photos import PhotoSettings
from identity_pipeline.settings.recall import RecallSettings
from identity_pipeline.settings.ride import RideSettings
from identity_pipeline.settings.stores import CatalogueSettings, IndexSettings, PublishSettings
from identity_pipeline.settings.wording import (
    ENVIRONMENT_PREFIX,
    SettingsError,
    check_variables,
    invalid_words,
    without_retired,
)

SETTINGS_FILE_VARIABLE = "IDENTITY_PIPELINE_SETTINGS"

__all__ = [
    "ENVIRONMENT_PREFIX",
    "SETTINGS_FILE_VARIABLE",
    "BankSettings",
    "BucketSettings",
    "CameraSettings",
    "CatalogueSettings",
    "ClusterSettings",
    "ConsentSettings",
    "CopySettings",
    "CropSettings",
    "DatasetSettings",
    "DeskSettings",
    "ExportSettings",
    "HighlightSettings",
    "IndexSettings",
    "IngestSettings",
    "MatchSettings",
    "ModelSettings",
    "MomentSettings",
    "PathSettings",
    "PhaseSettings",
    "PhotoSettings",
    "PictureSettings",
    "PublishSettings",
    "QualitySettings",
    "RecallSettings",
    "RetentionSettings",
    "RideSettings",
    "RiderSettings",
    "SelectionSettings",
    "Settings",
    "SettingsError",
    "StabilitySettings",
    "TrackingSettings",
    "TrainSettings",
    "VideoSettings",
    "WorkerSettings",
    "all_but",
    "chosen",
    "load_settings",
    "settings_file",
]


class Settings(BaseSettings):
    """All settings. Immutable; read once by `load_settings`."""

    model_config = SettingsConfigDict(
        frozen=True,
        extra="forbid",
        env_prefix=ENVIRONMENT_PREFIX,
        env_nested_delimiter="__",
    )

    paths: PathSettings = PathSettings()
    ingest: IngestSettings = IngestSettings()
    workers: WorkerSettings = WorkerSettings()
    phases: PhaseSettings = PhaseSettings()
    camera: CameraSettings = CameraSettings()
    retention: RetentionSettings = RetentionSettings()
    consent: ConsentSettings = ConsentSettings()
    video: VideoSettings = VideoSettings()
    highlights: HighlightSettings = HighlightSettings()
    models: ModelSettings = ModelSettings()
    crops: CropSettings = CropSettings()
    quality: QualitySettings = QualitySettings()
    tracking: TrackingSettings = TrackingSettings()
    riders: RiderSettings = RiderSettings()
    recall: RecallSettings = RecallSettings()
    ride: RideSettings = RideSettings()
    buckets: BucketSettings = BucketSettings()
    moments: MomentSettings = MomentSettings()
    stability: StabilitySettings = StabilitySettings()
    bank: BankSettings = BankSettings()
    selection: SelectionSettings = SelectionSettings()
    pictures: PictureSettings = PictureSettings()
    export: ExportSettings = ExportSettings()
    datasets: DatasetSettings = DatasetSettings()
    photos: PhotoSettings = PhotoSettings()
    cluster: ClusterSettings = ClusterSettings()
    copies: CopySettings = CopySettings()
    match: MatchSettings = MatchSettings()
    train: TrainSettings = TrainSettings()
    index: IndexSettings = IndexSettings()
    catalogue: CatalogueSettings = CatalogueSettings()
    publish: PublishSettings = PublishSettings()
    desk: DeskSettings = DeskSettings()

    _numbers: Numbers = PrivateAttr(default_factory=Numbers)

    @property
    def numbers(self) -> Numbers:
        """How the numbers of models came into these settings."""
        return self._numbers

    def with_note(self, numbers: Numbers) -> Settings:
        """These settings with a note of how the numbers of models came into them."""
        noted = self.model_copy()
        noted._numbers = numbers
        return noted

    @model_validator(mode="after")
    def _edges_ascend(self) -> Settings:
        for name in ("yaw_edges", "pitch_edges"):
            edges = getattr(self.buckets, name)
            if any(b <= a for a, b in pairwise(edges)):
                raise ValueError(f"buckets.{name} must ascend, got {edges}")
        if self.export.crop_expand_min > self.export.crop_expand:
            raise ValueError("export.crop_expand_min must not exceed export.crop_expand")
        if self.export.crop_expand > self.export.crop_expand_max:
            raise ValueError("export.crop_expand must not exceed export.crop_expand_max")
        rates = (self.match.far_assign, self.match.far_suggest, self.match.far_exclude)
        if list(rates) != sorted(rates):
            raise ValueError("match: far_assign <= far_suggest <= far_exclude must hold")
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Explicit arguments beat the environment, which beats the TOML file."""
        del dotenv_settings, file_secret_settings
        variables = without_retired(env_settings(), f"the variables {ENVIRONMENT_PREFIX}...")
        environment = InitSettingsSource(settings_cls, variables)
        toml = InitSettingsSource(settings_cls, _file_values())
        return init_settings, environment, toml


def settings_file() -> Path | None:
    """The TOML file that `load_settings` reads, or None.

    Raises:
        SettingsError: the variable names a file that does not exist.
    """
    named = os.environ.get(SETTINGS_FILE_VARIABLE)
    if named:
        path = Path(named)
        if not path.is_file():
            what = "is a folder" if path.is_dir() else "does not exist"
            raise SettingsError(
                f"the settings file {path} (from --settings or {SETTINGS_FILE_VARIABLE}) {what}; "
                "name another, create it, or leave it out."
            )
        return path
    default = Path("settings.toml")
    return default if default.is_file() else None


def _file_values() -> dict[str, Any]:
    """What the settings file says.

    Raises:
        SettingsError: it cannot be read, or is no TOML.
    """
    path = settings_file()
    if path is None:
        return {}
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise SettingsError(f"{path} is no text in UTF-8; save it as UTF-8.") from error
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(
            f"{path} is no TOML: {error}. It holds lines such as [selection] and, below it, "
            "novelty_min = 0.2."
        ) from error
    except OSError as error:
        raise SettingsError(f"the settings file cannot be read. {system_words(error)}") from error
    return without_retired(values, str(path))


def load_settings(**groups: Any) -> Settings:
    """Reads the settings; keyword arguments (whole or partial groups) win over everything.

    What is of a model's scale and was not set is what the card of the model says.

    Raises:
        SettingsError: a file, a variable or a value cannot be used; the sentence says which.
    """
    check_variables(Settings, os.environ)
    groups = without_retired(groups, "given with the command")
    try:
        given = Settings(**groups)
    except ValidationError as error:
        words = invalid_words(error, Settings, groups, settings_file())
        raise SettingsError(words) from error
    except UnreadableVariableError as error:
        cause = f" ({error.__cause__})" if error.__cause__ else ""
        raise SettingsError(
            f"a variable {ENVIRONMENT_PREFIX}... cannot be read: {error}{cause}; a list or a whole "
            "group is written as JSON, such as [-10, 0, 10]."
        ) from error
    return with_numbers(given)


def chosen(settings: Settings, names: tuple[str, ...]) -> dict[str, Any]:
    """The values of some settings, by group (`quality`) or single name (`tracking.min_iou`).

    Raises:
        AttributeError: there is no such setting.
    """
    values: dict[str, Any] = {}
    for name in names:
        group, _, field = name.partition(".")
        whole = getattr(settings, group)
        values[name] = getattr(whole, field) if field else whole.model_dump(mode="json")
    return values


def all_but(group: str, *names: str) -> tuple[str, ...]:
    """The names of all settings of a group but some, as `chosen` takes them.

    Raises:
        ValueError: there is no such setting.
    """
    fields = type(Settings.model_fields[group].default).model_fields
    unknown = set(names) - set(fields)
    if unknown:
        raise ValueError(f"no such settings in {group}: {', '.join(sorted(unknown))}")
    return tuple(f"{group}.{name}" for name in fields if name not in names)
