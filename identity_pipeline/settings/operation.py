"""Settings of day-to-day operation: folders, sensor, sweep, phases, checks, what is kept."""

from __future__ import annotations

import re
from typing import Any, Literal

from pydantic import field_validator

from identity_pipeline.settings.base import Group, tunable


class IngestSettings(Group):
    """The sensor and the sweep."""

    extensions: tuple[str, ...] = tunable(
        (".mp4", ".mov", ".m4v", ".mkv", ".avi", ".webm", ".mts", ".ts"),
        "Files that the sensor looks at; others are ignored.",
        unit="suffix",
        source="containers of on-board cameras",
    )
    max_new_per_tick: int = tunable(
        50, "New videos per sensor tick.", unit="videos", source="operations", ge=1
    )
    max_retries: int = tunable(
        3,
        "The sweep retries a failed video at most this often.",
        unit="runs",
        source="operations",
        ge=0,
    )
    library_every_s: float = tunable(
        600.0,
        "While videos wait or run, finished ones go into the library at most this often; decisions "
        "go in at once.",
        unit="s",
        source="chosen: in a rush the library would be computed again after nearly every video",
        ge=0,
    )
    step_retries: int = tunable(
        2,
        "A step is tried again so often within its run, where the error heals by waiting.",
        unit="times",
        source="chosen: what lasts longer is left to the hourly sweep",
        ge=0,
    )
    step_retry_wait_s: float = tunable(
        15.0,
        "Wait before the first of these; each next wait is four times as long.",
        unit="s",
        source="chosen: a share that is mounted anew is back within a minute",
        ge=0,
    )
    free_mb_min: float = tunable(
        512.0,
        "With less free space in the data folder nothing is begun.",
        unit="MiB",
        source="chosen: the tables of a ride, the library and Dagster's log of a run take a tenth",
        ge=0,
    )
    bytes_per_source_byte: float = tunable(
        2.0,
        "Free space that a video wants besides, as a multiple of its file.",
        unit="ratio",
        source="chosen: room goes by faces, not by bytes; the bundled rides, of 2.4 MB each, leave "
        "ten times their size, which free_mb_min covers, and a camera's files are larger",
        ge=0,
    )
    not_ready_wait_s: float = tunable(
        600.0,
        "After a run found that what it needs is not there, the sensors ask for one video at a "
        "time, and not more often than this, until one begins.",
        unit="s",
        source="chosen: a model that is mended, or a setting, is noticed at once",
        ge=0,
    )
    camera_pattern: str = tunable(
        "",
        "Which camera a video is of: the first group of this regular expression in the file's stem "
        "(`^(cam[0-9]+)_`). Empty, or no match: the camera without a name.",
        unit="regular expression",
        source="chosen: file names differ from park to park",
    )

    @field_validator("camera_pattern")
    @classmethod
    def _one_group(cls, pattern: str) -> str:
        try:
            groups = re.compile(pattern).groups
        except re.error as error:
            raise ValueError(f"camera_pattern is no regular expression: {error}") from error
        if pattern and not groups:
            raise ValueError("camera_pattern needs a group in parentheses: the camera's name")
        return pattern


class WorkerSettings(Group):
    """Processes that do one run after another, with everything open."""

    runs: int = tunable(
        200,
        "A worker is replaced after so many runs.",
        unit="runs",
        source="chosen: what a library loses it loses to no end",
        ge=1,
    )
    growth_mb: float = tunable(
        1024.0,
        "It is replaced earlier once its resident memory has grown by so much since its first run.",
        unit="MiB",
        source="chosen: the library of a large site leaves as much behind",
        gt=0,
    )
    idle_s: float = tunable(
        900.0,
        "A worker that nobody needed for so long is let go, and its memory with it.",
        unit="s",
        source="chosen: longer than the pause between two rides of a day",
        gt=0,
    )


class PhaseSettings(Group):
    """Phases that can be switched off; their assets then say so and hold nothing."""

    vision: bool = tunable(
        True,
        "Vision embeddings. Off, nothing tells what is new in an image, so the image sets stay "
        "empty: for hosts that only feed the library.",
        unit="switch",
        source="design",
    )
    pair_sets: bool = tunable(True, "Images of both riders.", unit="switch", source="design")
    library: bool = tunable(
        True,
        "Who is who across videos: templates, people, clusters, profiles.",
        unit="switch",
        source="design",
    )
    index: bool = tunable(True, "The vector index.", unit="switch", source="design")


def _kept(what: str) -> Any:
    """A setting of how long something is kept."""
    return tunable(
        None,
        f"The nightly job drops {what}.",
        unit="days",
        source="unset: kept until somebody decides how long",
        ge=0,
    )


class RetentionSettings(Group):
    """What is kept, for how long. Nothing is deleted or archived until it is switched on."""

    delete: bool = tunable(
        False,
        "Whether the nightly job `retention` drops what it finds, or only says what it would.",
        unit="switch",
        source="design: nothing is deleted by default",
    )
    archive_after_days: float | None = tunable(
        None,
        "The nightly job archives videos finished longer ago.",
        unit="days",
        source="unset: off. Dagster asks for at most 100 000 partitions",
        ge=0,
    )
    runs_days: float = tunable(
        30.0,
        "Dagster's records and logs of older runs may be dropped, where no open partition needs "
        "them.",
        unit="days",
        source="chosen: the same as for ticks in dagster.yaml",
        ge=0,
    )
    crops_days: float | None = tunable(
        None,
        "The nightly job drops the crops of videos finished longer ago, also where the video is "
        "gone.",
        unit="days",
        source="unset: off, for a later re-run decodes these videos again",
        ge=0,
    )
    sources_days: float | None = _kept("the files of rides finished longer ago")
    embeddings_days: float | None = _kept(
        "faces as numbers (all tables of a ride but those of its sets) of rides finished longer ago"
    )
    sets_days: float | None = _kept("the exported sets of rides finished longer ago")
    datasets_days: float | None = _kept("the datasets of people that were made longer ago")
    profiles: Literal["keep", "ephemeral"] = tunable(
        "keep",
        "Whether statistics of known people are kept in profiles; ephemeral: none is written, and "
        "those that are there go when the library is next made.",
        unit="name",
        source="chosen: profiles outlive their videos, which is what they are for",
    )
    photos_days: float | None = _kept(
        "nothing, but lists sets of photographs taken in longer ago, which `forget` removes"
    )
    backups_days: float = tunable(
        30.0,
        "A backup expires so long after it was made: the nightly job removes it where it can "
        "reach it, and the receipt of a forgetting names the day.",
        unit="days",
        source="chosen: long enough to notice a loss",
        ge=0,
    )
    logs_days: float | None = _kept("logs and tracebacks older than that")
    without_consent_days: float | None = _kept(
        "nothing, but lists riders without consent of rides finished longer ago, once consent is "
        "required, whom `forget` removes"
    )


class PathSettings(Group):
    """Where things lie."""

    data: str = tunable(
        "data", "Root of everything the pipeline writes.", unit="path", source="project layout"
    )
    pack_after_days: float | None = tunable(
        1.0,
        "The nightly job packs the tables of a finished video into one file so long after the last "
        "of them changed; unset: never. Every command reads both; programs of your own that read "
        "tables by their path want it unset.",
        unit="days",
        source="chosen: what is changed at all is mostly changed on the same day",
        ge=0,
    )
    look_groups: str = tunable(
        "",
        "Optional: a CSV file with the columns person,group, a free word for how somebody looks. "
        "`models confusions` and the library's report then also say how often people of one group "
        "are taken for each other. It decides nothing and is stored nowhere else.",
        unit="path",
        source="unset: nobody is put into a group",
    )
    group_may_read: bool = tunable(
        False,
        "The data folder's group may read it (modes 0750 and 0640). Otherwise nobody but its owner "
        "may (0700 and 0600).",
        unit="yes/no",
        source="chosen: faces and names of people are private unless somebody decides otherwise",
    )
