"""`identity-pipeline enrol`: photographs of a person become evidence, here and now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from identity_pipeline.cli.curating import actor_option, counted, now
from identity_pipeline.cli.index import bar
from identity_pipeline.cli.instance import dagster_instance
from identity_pipeline.cli.lists import echo_json, json_option, say
from identity_pipeline.cli.options import (
    data_option,
    merged_settings,
    model_options,
    open_store,
    overrides,
)
from identity_pipeline.cli.review import put_in_force, tell_followed
from identity_pipeline.cli.run import executed, looked_at, run_tags
from identity_pipeline.cli.run_progress import shown
from identity_pipeline.cli.working import TRY_LATER, refuse_while_paused
from identity_pipeline.errors import printable

if TYPE_CHECKING:
    from identity_pipeline.models.hub import ModelHub
    from identity_pipeline.settings import Settings
    from identity_pipeline.stages.curation.snapshot import LibrarySnapshot
    from identity_pipeline.stages.library.update import Updated
    from identity_pipeline.stages.photos.enrolling import Named
    from identity_pipeline.stages.stores import LibraryStores
    from identity_pipeline.storage.photos.photo_sets import NotTaken, PhotoSet

SHOWN = 5
"""Files of a folder that are left out and named."""


@dataclass
class Told:
    """What came of the pictures, for machines.

    Attributes:
        person: name of the person.
        person_id: theirs; null where nothing was decided.
        photo_sets: ids of the sets that the pictures are.
        pictures: of the sets.
        faces: of them that show the person, and are used.
        refused: picture by picture, why it is not used.
        new: whether anything was decided.
        event: number of the decision; null without one.
        profile: what it did to the profile, in words.
        theirs: whether any of the sets is theirs now.
    """

    person: str
    person_id: str | None = None
    photo_sets: list[str] = field(default_factory=list)
    pictures: int = 0
    faces: int = 0
    refused: dict[str, str] = field(default_factory=dict)
    new: bool = False
    event: int | None = None
    profile: list[str] = field(default_factory=list)
    theirs: bool = False


@click.command()
@click.argument("person")
@click.argument("pictures", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--sure", is_flag=True, help="It is them, however little they resemble themselves.")
@click.option("--reason", default="", help="Why, for the history.")
@actor_option
@click.option("--dry-run", is_flag=True, help="Say what would be taken in, and write nothing.")
@json_option
@data_option
@model_options
def enrol(
    person: str,
    pictures: tuple[Path, ...],
    sure: bool,
    reason: str,
    actor: str,
    dry_run: bool,
    as_json: bool,
    data: str | None,
    pack: str | None,
    vision: str | None,
    device: str | None,
) -> None:
    """Take photographs of PERSON in: evidence for matching, and pictures for their datasets.

    PICTURES are files or folders: JPEG, PNG, WebP, HEIC, TIFF. Each shows one face that can be told
    from all others, or the one that fits the rest; a picture of several is not guessed. PERSON is
    a name (of somebody new too), an id, or its beginning.

    \b
      identity-pipeline enrol Ada photos/*.jpg
      identity-pipeline enrol Ada holiday/ --dry-run
      identity-pipeline undo last                        takes the whole set back

    The pictures are copied into the data folder. Pictures that resemble the person less than
    strangers do are refused, unless you are --sure. The same pictures again change nothing; a
    command that was stopped is completed by giving it again.
    """
    from identity_pipeline.stages.photos.enrolling import NotEnrolledError, pictures_in
    from identity_pipeline.stages.specs.spec import switched_off

    if not actor.strip():
        raise click.UsageError("--as must name somebody.")
    if Path(person).is_file():
        raise click.UsageError(
            f"{printable(person)} is a file; the first word says who it is: "
            "identity-pipeline enrol PERSON PICTURES."
        )
    groups = overrides(data, pack, vision, device)
    settings = merged_settings(groups)
    if off := switched_off(settings, "library"):
        raise NotEnrolledError(f"photographs are evidence for the library, which is {off}.")
    found = pictures_in(pictures)
    _say_passed_over(pictures)
    if dry_run:
        _say_dry_run(settings, person, found, as_json)
        return
    hub = looked_at(settings, found)
    store = open_store(settings, claim=True)
    refuse_while_paused(store)
    from identity_pipeline.stages.stores import LibraryStores

    work = _Enrolment(groups, settings, LibraryStores.of(store), hub, actor, reason, as_json)
    told = work.carry_out(person, found, sure=sure)
    if as_json:
        echo_json(vars(told))


def _say_passed_over(paths: Sequence[Path]) -> None:
    """What lies in the folders that were named and is not called like a picture."""
    from identity_pipeline.stages.photos.enrolling import passed_over

    for folder in filter(Path.is_dir, paths):
        others = passed_over(folder)
        if others:
            shown = ", ".join(map(printable, others[:SHOWN])) + ", ..." * (len(others) > SHOWN)
            what = f"{len(others)} not called like pictures, left out"
            say(f"{printable(str(folder))}: {what}: {shown}", err=True)


def _say_dry_run(settings: Settings, person: str, found: list[Path], as_json: bool) -> None:
    """Which pictures would be taken in as whose; no face is looked for."""
    from identity_pipeline.stages.photos.enrolling import free_pictures, whom
    from identity_pipeline.stages.photos.reading import would_take_in
    from identity_pipeline.stages.stores import LibraryStores

    stores = LibraryStores.of(open_store(settings, new=True))
    library = _library(stores, write=False)
    named = whom(library, person)
    free = free_pictures(library, named.person_id)
    would = would_take_in(stores.photos, named.name, found, settings, free)
    told = Told(named.name, named.person_id)
    told.refused = {str(one.path): one.sentence for one in would.not_taken}
    if would.photo_set is not None:
        told.photo_sets = [would.photo_set.set_id]
        told.pictures = len(would.photo_set.pictures)
    if as_json:
        echo_json(vars(told))
        return
    say("Dry run, nothing is written; faces are not looked for.")
    who = named.name if named.person_id else f"{named.name}, who would be new"
    _say_not_taken(would.not_taken)
    if would.photo_set is None:
        say(f"No picture would be taken in for {who}.")
        return
    say(f"{counted(told.pictures, 'picture')} would be {told.photo_sets[0]}, of {who}.")


def _say_not_taken(refused: tuple[NotTaken, ...], *, err: bool = False) -> None:
    for one in refused:
        colour = "" if one.is_there else "red"
        say(f"{printable(one.path.name)}: {one.sentence}", colour, err=err)


def _library(stores: LibraryStores, *, write: bool) -> LibrarySnapshot:
    from identity_pipeline.stages.curation.snapshot import LibrarySnapshot

    return LibrarySnapshot.open(stores, now(), write=write)


@dataclass
class _Enrolment:
    """One enrolment, from pictures to the profile."""

    groups: dict[str, dict[str, str]]
    settings: Settings
    stores: LibraryStores
    hub: ModelHub
    actor: str
    reason: str
    quiet: bool

    def carry_out(self, word: str, pictures: list[Path], *, sure: bool) -> Told:
        """Every step is one that a second call takes up, wherever the first one ended.

        Raises:
            NotEnrolledError: a set did not become theirs; those before it did.
        """
        from identity_pipeline.stages.photos import enrolling

        person = enrolling.whom(_library(self.stores, write=True), word)
        told = Told(person.name, person.person_id)
        fault = None
        for photo_set in self._taken_in(person, pictures, told):
            try:
                self._enrol(photo_set, person, told, sure=sure)
            except enrolling.NotEnrolledError as error:
                fault = fault or error
            person = replace(person, person_id=told.person_id)
        if told.theirs:
            updated = self._bring_up_to_date()
            grown = updated.profiles.enriched if updated.profiles else ()
            told.profile = [report.message for report in grown]
            if not self.quiet:
                tell_followed(updated)
        if fault is not None:
            raise fault
        return told

    def _enrol(self, photo_set: PhotoSet, person: Named, told: Told, *, sure: bool) -> None:
        """One set, from its pictures to the decision.

        Raises:
            NotEnrolledError: it does not become theirs.
        """
        from identity_pipeline.stages.photos import enrolling

        told.photo_sets.append(photo_set.set_id)
        told.pictures += len(photo_set.pictures)
        self._measure(photo_set)
        self._tell_faces(photo_set, told)
        library = _library(self.stores, write=True)
        if person.person_id is None:  # somebody may have become known while this was measured
            person = enrolling.whom(library, person.name)
        if enrolling.owner_of(library, photo_set.set_id) is None:
            self._decide(library, photo_set, person, told, sure=sure)
        else:
            self._say(f"These pictures are {person.name}'s already (set {photo_set.set_id}).")
        told.theirs = True

    def _say(self, sentence: str, colour: str = "") -> None:
        say(sentence, colour, err=self.quiet)

    def _taken_in(self, person: Named, pictures: list[Path], told: Told) -> list[PhotoSet]:
        """Registers the pictures as a set; the sets that they are.

        Raises:
            NotEnrolledError: they are none that could become the person's.
        """
        from identity_pipeline.stages.photos import enrolling
        from identity_pipeline.stages.photos.reading import take_in

        today, photos = datetime.now(UTC).date().isoformat(), self.stores.photos
        free = enrolling.free_pictures(_library(self.stores, write=True), person.person_id)
        with bar() as report:
            taken = take_in(photos, person.name, pictures, self.settings, today, report, free)
        _say_not_taken(taken.not_taken, err=self.quiet)
        told.refused |= {one.path.name: one.sentence for one in taken.not_taken}
        library = _library(self.stores, write=True)
        sets, others = enrolling.sets_to_decide(library, taken, pictures, person)
        if not sets:
            why = others[0] if others else f"no picture was taken in for {person.name}."
            raise enrolling.NotEnrolledError(why)
        for sentence in others:
            self._say(f"{sentence[0].upper()}{sentence[1:]}", "yellow")
        return sets

    def _measure(self, photo_set: PhotoSet) -> None:
        """Runs the steps of the set; what is there already is reused.

        Raises:
            NotEnrolledError: they failed.
        """
        from identity_pipeline.definitions import build_defs
        from identity_pipeline.defs.instance.partitions import photo_sets
        from identity_pipeline.defs.resources.resources import SettingsResource
        from identity_pipeline.stages.photos.enrolling import NotEnrolledError
        from identity_pipeline.storage.progress.pause import paused

        layout, settings = self.stores.tables.layout, SettingsResource.of(**self.groups)
        with shown(hidden=self.quiet) as progress, dagster_instance(layout) as instance:
            instance.add_dynamic_partitions(str(photo_sets.name), [photo_set.set_id])
            defs = build_defs(settings, progress=progress, models=self.hub)
            progress.begin(1)
            progress.at(photo_set.set_id)
            job = defs.resolve_job_def("per_photo_set")
            why = executed(job, instance, run_tags(), photo_set.set_id)
            progress.ended(finished=why is None)
        if order := paused(layout):
            say(f"{order.sentence()} Then run the same command again.", err=True)
            raise SystemExit(TRY_LATER)
        if why is not None:
            raise NotEnrolledError(
                f"the photographs ({photo_set.set_id}) could not be measured: "
                f"{why.sentence.rstrip('.')}. When that is mended, give the same command again."
            )

    def _tell_faces(self, photo_set: PhotoSet, told: Told) -> None:
        from identity_pipeline.stages.photos import enrolling

        tables = self.stores.tables
        for one in enrolling.refused_pictures(tables, photo_set.set_id):
            told.refused[one.name] = one.sentence
            self._say(f"{printable(one.name)}: {one.sentence}", "yellow")
        told.faces += enrolling.faces_used(tables, photo_set.set_id)

    def _decide(
        self,
        library: LibrarySnapshot,
        photo_set: PhotoSet,
        person: Named,
        told: Told,
        *,
        sure: bool,
    ) -> None:
        """Appends the decision, after a look at whether it can be them.

        Raises:
            NotEnrolledError: it cannot, as far as can be told.
            LedgerError: it contradicts an earlier decision.
        """
        from identity_pipeline.stages.curation.curation import Curator
        from identity_pipeline.stages.photos import enrolling

        found = enrolling.check(library, self.settings, photo_set, person, sure=sure)
        if found.other is not None:
            self._say(
                f"They resemble {found.other} ({found.other_score:.2f}); if they are one person: "
                "identity-pipeline merge.",
                "yellow",
            )
        curator = Curator(library, self.actor, now(), self.reason)
        decided = enrolling.decide(curator, photo_set, person)
        told.new, told.event = True, decided.event.seq
        told.person_id = decided.state.assigned[enrolling.subject_of(photo_set.set_id)]
        faces = enrolling.faces_used(self.stores.tables, photo_set.set_id)
        number, new = decided.event.seq, ", who is new" if person.person_id is None else ""
        self._say(
            f"#{number} {counted(faces, 'face')} of {counted(len(photo_set.pictures), 'picture')} "
            f"{'shows' if faces == 1 else 'show'} {person.name}{new}; `identity-pipeline undo "
            f"{number}` takes the whole set back."
        )

    def _bring_up_to_date(self) -> Updated:
        with bar() as report:
            return put_in_force(self.stores, self.settings, report)
