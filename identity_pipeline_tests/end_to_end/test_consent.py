"""Consent on the bundled solo ride: what is made with it, what a withdrawal takes, what blocks."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest
from click.testing import CliRunner

from identity_pipeline.cli.main import cli
from identity_pipeline.definitions import build_defs
from identity_pipeline.defs.automation.picture_sensor import pictures_decided
from identity_pipeline.defs.instance.partitions import CONSUMER, PERSON, people
from identity_pipeline.defs.resources.progress import ProgressReporters
from identity_pipeline.defs.resources.resources import SettingsResource, all_resources
from identity_pipeline.models.hub import ModelHub
from identity_pipeline.settings import Settings, load_settings
from identity_pipeline.stages.learning.training_data import build_training_set
from identity_pipeline.stages.library.consented import known_without_consent
from identity_pipeline.stages.planning.staleness import Models, Verdict, judge_video
from identity_pipeline.stages.progress.protocol import Progress
from identity_pipeline.stages.publishing.publishing import Publisher
from identity_pipeline.stages.stores import LibraryStores
from identity_pipeline_tests.conftest import BUNDLED
from identity_pipeline_tests.library import QUIET, VideoLibrary

RIDE = BUNDLED / "rides" / "demo_solo.mp4"
NOW = "2026-01-02T03:04:05Z"
AFTER_SETS = ("identity_dataset", "frame_ledger", "face_index")


class Park:
    """A data folder that requires consent, and somebody who notes it."""

    def __init__(self, library: VideoLibrary, bucket: Path) -> None:
        required = {"required": True}
        self.library = replace(library, groups={**library.groups, "consent": required})
        self.library.groups["publish"] = {"url": f"file://{bucket}"}
        self.video_id, self.cursor = library.video_id("demo_solo"), None

    @property
    def settings(self) -> Settings:
        return load_settings(**self.library.groups)

    @property
    def stores(self) -> LibraryStores:
        return LibraryStores.of(self.library.store)

    def say(self, *words: str) -> str:
        told = CliRunner().invoke(cli, ["--data", str(self.library.root), *words, "--as", "me"])
        assert told.exit_code == 0, told.output
        return told.output

    def withdraw(self) -> None:
        self.say("consent", "withdraw", self.video_id, "--scope", "export")

    def withdrawn(self) -> bool:
        consents = self.stores.ledger.history().state.consents.values()
        return any(one.answer == "withdrawn" for said in consents for one in said.values())

    def outdated(self, **consent: Any) -> dict[str, tuple[str, ...]]:
        """What would surely be made anew, and why."""
        settings = load_settings(
            **{**self.library.groups, "consent": {"required": True, **consent}}
        )
        models = Models(*ModelHub(settings.models).here())
        judged = judge_video(self.library.store, settings, models, self.video_id, thorough=False)
        return {n: one.reasons for n, one in judged.items() if one.verdict is Verdict.COMPUTE}

    def run(self, *assets: str) -> dict[str, tuple[bool, str]]:
        """Makes assets of the ride; what each check of consent said."""
        return checks(self.library.run(RIDE, assets=assets or None))

    def job(
        self, name: str, resources: dict[str, Any] | None = None, **more: Any
    ) -> dg.ExecuteInProcessResult:
        defs = build_defs(SettingsResource.of(**self.library.groups), **(resources or {}))
        return defs.resolve_job_def(name).execute_in_process(
            instance=self.library.instance, run_config=QUIET, raise_on_error=False, **more
        )

    def images(self) -> list[str]:
        export = self.library.export("demo_solo")
        return [
            path.relative_to(export).as_posix()
            for path in sorted(export.rglob("*.jpg"))
        ]  # fmt: skip

    def manifest(self) -> dict[str, Any]:
        return json.loads((self.library.export("demo_solo") / "manifest.json").read_text())

    def page(self) -> str:
        return (self.library.export("demo_solo") / "index.html").read_text()

    def tick(self) -> list[str]:
        resources = all_resources(SettingsResource.of(**self.library.groups))
        with dg.build_sensor_context(
            instance=self.library.instance,
            cursor=self.cursor,
            resources={name: resources[name] for name in ("store", "settings")},
        ) as context:
            result = pictures_decided(context)
            self.cursor = getattr(result, "cursor", None) or context.cursor
            return [str(r.partition_key) for r in getattr(result, "run_requests", None) or []]


def checks(result: dg.ExecuteInProcessResult) -> dict[str, tuple[bool, str]]:
    """Passed or not, and the words of each check of consent in a run."""
    names = {"shown_consent", "known_consent", "taught_consent", "published_consent", "consented"}
    return {
        e.check_name: (e.passed, e.description or "")
        for e in result.get_asset_check_evaluations()
        if e.check_name in names
    }


@pytest.fixture(scope="module")
def park(demo: VideoLibrary, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Park]:
    root = tmp_path_factory.mktemp("park") / "data"
    shutil.copytree(demo.root, root, symlinks=True)
    groups = {**demo.groups, "paths": {"data": str(root)}}
    with dg.DagsterInstance.ephemeral() as instance:
        made = replace(demo, root=root, instance=instance, groups=groups)
        yield Park(made, root.parent / "bucket")


def test_a_ride_is_shown_with_consent_and_taken_away_without(park: Park) -> None:
    # Off: nothing is outdated, whatever was answered, and pages say that nobody asks.
    assert "Consent is not tracked here." in park.page()
    assert park.manifest()["consent"] == {"tracked": False, "reason": "consent is not tracked here"}
    park.say("consent", "refuse", park.video_id)
    assert park.outdated(required=False) == {}
    # On: exactly what is shown is outdated.
    assert park.images()
    assert park.outdated() == {"identity_dataset": ("consent is required now",)}
    assert (park.tick(), park.tick(), park.tick()) == ([], [park.video_id], [])
    passed, why = park.run(*AFTER_SETS)["shown_consent"]
    assert passed and why.endswith("Left out: person_0: consent was refused.")
    assert park.images() == [] and "person_0: consent was refused." in park.page()
    left = {one["code"] for one in park.manifest()["left_out"]}
    rider = json.loads((park.library.export("demo_solo") / "meta" / "person_0.json").read_text())
    assert left == {"no_consent"} and rider["no_set_reason"] == "no_consent"
    reasons = park.library.table("frame_ledger", "demo_solo")["reason"].unique().to_list()
    assert "no_consent" in reasons and not {"anchor", "coverage"} & set(reasons)

    park.say("consent", "grant", park.video_id, "--adult", "--evidence", "ticket 1", "--by", "Ada")
    assert park.outdated() == {"identity_dataset": ("consent of person_0: consent was granted",)}
    assert (park.tick(), park.tick()) == ([], [park.video_id])
    assert park.run(*AFTER_SETS)["shown_consent"][0]
    assert park.images() and park.outdated() == {} and park.tick() == []
    told = park.manifest()["consent"]["riders"]["0"]
    [event] = told["evidence"]
    assert told["allowed"] and park.stores.ledger.history().event(event).kind == "consent"
    assert "ticket 1" not in json.dumps(park.manifest()) + park.page()

    # Withdrawn while pictures are cut: the check finds it, and nothing is made of them.
    class Withdrawn(ProgressReporters):
        def reporter(self, context: dg.AssetExecutionContext) -> Progress:
            return lambda *_: None if park.withdrawn() else park.withdraw()

    shutil.rmtree(park.library.export("demo_solo"))
    before = park.library.store.noted("frame_ledger", park.video_id)
    found = park.job(
        "per_video",
        resources={"progress": Withdrawn()},
        partition_key=park.video_id,
        asset_selection=[dg.AssetKey(name) for name in AFTER_SETS],
    )
    passed, why = checks(found)["shown_consent"]
    assert not found.success and not passed, "the check is blocking"
    assert "Run the ride again: person_0: consent was withdrawn." in why
    made = [e.asset_key.path[-1] for e in found.get_asset_materialization_events()]
    assert made == ["identity_dataset"]
    assert park.library.store.noted("frame_ledger", park.video_id) == before
    told = CliRunner().invoke(
        cli,
        ["--data", str(park.library.root), "verify", str(park.library.export("demo_solo"))],
        env={"IDENTITY_PIPELINE__CONSENT__REQUIRED": "true"},
    )
    assert told.exit_code == 1 and "consent was withdrawn" in told.output
    assert park.run(*AFTER_SETS)["shown_consent"][0] and park.images() == []
    park.say("undo", "last")


@pytest.mark.slow
def test_nobody_is_known_taught_or_made_a_dataset_of_without_consent(park: Park) -> None:
    track = park.stores.tables.read("track_templates", park.video_id)["track_id"][0]
    park.say("label", f"{park.video_id}:{track}", "--name", "Ada")
    park.run(*AFTER_SETS)
    assert checks(park.job("library"))["known_consent"][0]
    [person] = park.stores.ledger.history().state.active
    known = known_without_consent(park.stores, park.settings)
    assert known.tracks and not known.withheld and park.stores.profiles.get(person)
    assert build_training_set(park.stores, park.settings, NOW).height
    park.library.instance.add_dynamic_partitions(str(people.name), [person])
    key = dg.MultiPartitionKey({PERSON: person, CONSUMER: "imagefolder"})
    made = park.job("datasets", partition_key=key)
    assert made.success and checks(made)["consented"][0]
    [folder] = park.library.store.layout.datasets.glob("*/imagefolder")
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["consent"]["scopes"] == ["export", "training"]
    assert "consent was granted" in (folder / "README.md").read_text()

    park.say("consent", "withdraw", "Ada", "--scope", "training")
    assert build_training_set(park.stores, park.settings, NOW).height == 0
    verified = CliRunner().invoke(
        cli,
        ["--data", str(park.library.root), "verify", "--no-faces"],
        env={"IDENTITY_PIPELINE__CONSENT__REQUIRED": "true"},
    )
    assert verified.exit_code == 1 and "consent was withdrawn" in verified.output
    made = park.job("datasets", partition_key=key)
    passed, why = checks(made)["consented"]
    assert not made.success and not passed and "consent was withdrawn" in why
    assert not folder.exists(), "what was made of them is gone"

    park.say("consent", "withdraw", "Ada", "--scope", "profile")
    before = known_without_consent(park.stores, park.settings)
    assert before.without, "the library still knows them"
    done = park.job("library")
    assert done.success and checks(done)["known_consent"][0]
    after = known_without_consent(park.stores, park.settings)
    assert (after.tracks, after.without, after.withheld) == (0, frozenset(), 1)
    assert park.stores.profiles.get(person) is None
    assigned = park.stores.generations.open().table("person_assignments")
    assert assigned.filter(pl.col("person_id") == person).height, "what humans said stays"


def test_what_is_published_goes_when_they_withdraw(park: Park) -> None:
    park.say("consent", "grant", "Ada", "--adult")
    park.run()
    work = Publisher.of(park.library.store.layout, park.settings)
    assert work.publish(park.video_id).why_not is None and work.unconsented() == {}
    park.say("consent", "withdraw", "Ada")
    assert list(work.unconsented()) == [park.video_id]
    told = park.job("publish")
    assert told.success
    assert "consent was withdrawn" in str(work.refused()[park.video_id])
    assert work.store.subjects() in ([], ["library"]) and work.unconsented() == {}
