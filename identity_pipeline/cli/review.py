"""Looking through the library: groups of unknown faces, suggestions, and grouping anew."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from identity_pipeline.cli.curating import (
    Columns,
    carry_out,
    counted,
    decision_options,
    looking,
    now,
    open_library,
    short_track,
    show_rows,
)
from identity_pipeline.cli.index import bar
from identity_pipeline.cli.lists import echo_json, json_option, say
from identity_pipeline.cli.options import data_option, merged_settings, open_stores, overrides
from identity_pipeline.cli.working import command_at_work, refuse_unless_ready

if TYPE_CHECKING:
    import polars as pl

    from identity_pipeline.core.library.changes import LibraryChanges
    from identity_pipeline.ledger.commands import Planned
    from identity_pipeline.settings import Settings
    from identity_pipeline.stages.curation.curation import Curator
    from identity_pipeline.stages.curation.snapshot import LibrarySnapshot, SuggestionRow
    from identity_pipeline.stages.library.recompute import Recomputed
    from identity_pipeline.stages.library.update import Updated
    from identity_pipeline.stages.library.view import PendingSuggestion
    from identity_pipeline.stages.progress.protocol import Progress
    from identity_pipeline.stages.stores import LibraryStores


NAMED = 10
NOT_YET = "Nothing was grouped yet; run `identity-pipeline recluster` first."


NOISE: Columns = {
    "display": "display",
    "track": lambda row: short_track(row["track_key"]),
}
CLUSTERS: Columns = {
    "id": lambda row: f"unknown_cluster_{row['cluster_id']}",
    ">tracks": "track_count",
    ">faces": "face_count",
    ">videos": "video_count",
    ">confidence": "confidence",
    "representative": lambda row: short_track(row["representative"]),
    ">settled": lambda row: row["decided"] or "",
}


@click.command()
@click.option(
    "--montage",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Writes a contact sheet (JPEG): a row of the best faces of each group.",
)
@click.option("--noise", is_flag=True, help="The tracks that are in no group.")
@looking
def clusters(
    settings: Settings, library: LibrarySnapshot, montage: Path | None, noise: bool, as_json: bool
) -> None:
    """List the groups of unknown faces, the largest first.

    A group is tracks that are probably one person. Its number is its own: it is kept when the
    library is grouped anew, and never given again. `confidence` is the mean cosine of its tracks.
    """
    from identity_pipeline.stages.curation.snapshot import CurationError
    from identity_pipeline.stages.library.montage import write_montage

    del settings
    if library.generation is None:
        raise CurationError(NOT_YET)
    rows, groups = _alone(library) if noise else _grouped(library)
    shown = 0
    if montage is not None:
        with bar() as report:
            shown = write_montage(library.stores.tables, groups, montage, report)
    none = "Every unknown face is in a group." if noise else "No unknown faces are grouped."
    listed = show_rows(rows, as_json, NOISE if noise else CLUSTERS, none)
    if montage is not None and not as_json:
        say(f"{counted(shown, 'face')} in {montage}")
    elif listed:
        say(
            f"Look at them: identity-pipeline clusters {'--noise ' if noise else ''}--montage "
            f"faces.jpg; then: identity-pipeline label {next(iter(groups))} --name NAME"
        )


Groups = tuple[Sequence[Mapping[str, Any]], dict[str, list[str]]]
"""Rows to be listed, and the tracks of each group by its name."""


def _grouped(library: LibrarySnapshot) -> Groups:
    from identity_pipeline.stages.library.view import cluster_rows

    rows = cluster_rows(library)
    return rows, {f"cluster {row['cluster_id']}": row["tracks"] for row in rows}


def _alone(library: LibrarySnapshot) -> Groups:
    from identity_pipeline.stages.library.view import noise_rows

    rows = noise_rows(library)
    return rows, {row["display"]: [row["track_key"]] for row in rows}


@click.command()
@click.option("--accept", multiple=True, metavar="ID", help="Accept; may be given again.")
@click.option("--reject", multiple=True, metavar="ID", help="Decline; may be given again.")
@click.option("--all-for", metavar="PERSON", help="Accept all that are pending for PERSON.")
@json_option
@decision_options
def suggestions(
    accept: tuple[str, ...],
    reject: tuple[str, ...],
    all_for: str | None,
    as_json: bool,
    data: str | None,
    **stamp: Any,
) -> None:
    """List what the machine would ask, and answer it.

    \b
      identity-pipeline suggestions
      identity-pipeline suggestions --accept 3f9a --reject 77c1
      identity-pipeline suggestions --all-for Ada --dry-run

    A declined suggestion comes back only when its score has risen clearly
    (match.suggestion_regrow); `reject` is for ever.
    """
    from identity_pipeline.stages.library.view import pending_suggestions

    if accept or reject or all_for:
        if set(accept) & set(reject):
            raise click.UsageError("a suggestion cannot be both accepted and rejected.")
        carry_out(_answer, data=data, accept=accept, reject=reject, all_for=all_for, **stamp)
        return
    _, library = open_library(data)
    show_rows(
        pending_suggestions(library),
        as_json,
        {
            "id": lambda row: row["suggestion_id"][:8],
            "track": lambda row: short_track(row["track_key"]),
            "may be": "person",
            ">score": "score",
            "since": "first_seen",
            "until": "expires",
            "why it is asked": _why_asked,
        },
        "No suggestion is pending.",
    )


def _why_asked(row: PendingSuggestion) -> str:
    from identity_pipeline.stages.library.explanation import RULES

    return RULES.get(str(row["rule"]), "it was asked before")


def _answer(
    curator: Curator, accept: tuple[str, ...], reject: tuple[str, ...], all_for: str | None
) -> Iterator[Planned]:
    from identity_pipeline.stages.curation.targets import find_suggestion

    # All are found before the first decision, which changes what is pending.
    accepted = [find_suggestion(curator.library, word) for word in accept]
    declined = [find_suggestion(curator.library, word) for word in reject]
    if all_for:
        accepted += _all_for(curator.library, all_for)
    for row in accepted:
        yield curator.accept(row)
    for row in declined:
        yield curator.decline(row)


def _all_for(library: LibrarySnapshot, person: str) -> Sequence[SuggestionRow]:
    from identity_pipeline.stages.curation.snapshot import CurationError
    from identity_pipeline.stages.curation.targets import find_person
    from identity_pipeline.stages.library.view import pending_suggestions

    found = find_person(library, person)
    rows = [
        row
        for row in pending_suggestions(library)
        if library.state.survivor(row["person_id"]) == found
    ]
    if not rows:
        raise CurationError(f"no suggestion is pending for {library.called(found)}.")
    return rows


@click.command("find-more")
@click.argument("person")
@looking
def find_more(settings: Settings, library: LibrarySnapshot, person: str, as_json: bool) -> None:
    """List the tracks that most resemble PERSON and that no human gave to anybody."""
    from identity_pipeline.stages.curation.targets import find_person
    from identity_pipeline.stages.library.explanation import more_of

    found = find_person(library, person)
    columns = {
        ">#": "rank",
        "track": lambda row: short_track(row["track_key"]),
        ">score": "score",
        "is in": "place",
        "enough to suggest": lambda row: "yes" if row["suggestible"] else "no",
    }
    nothing = f"No unassigned track resembles {library.called(found)}."
    if show_rows(more_of(library, found, settings), as_json, columns, nothing):
        say(f"To say so: identity-pipeline label TRACK --person {found[:8]}")


@click.command()
@click.option(
    "--method",
    type=click.Choice(["agglomerative", "hdbscan", "dbscan"]),
    help="How unknown tracks are grouped, this time.  [default: cluster.method]",
)
@click.option(
    "--person-threshold",
    type=click.FloatRange(-1, 1),
    metavar="COSINE",
    help="Name a known person from this cosine on, this time.  [default: match.pin_assign, "
    "which is unset: calibrated]",
)
@click.option(
    "--min-cluster-size",
    type=click.IntRange(min=2),
    metavar="TRACKS",
    help="Groups of fewer tracks are noise, this time.  [default: cluster.min_cluster_size]",
)
@click.option("--dry-run", is_flag=True, help="Say what would move, and write nothing.")
@json_option
@data_option
def recluster(
    method: str | None,
    person_threshold: float | None,
    min_cluster_size: int | None,
    dry_run: bool,
    as_json: bool,
    data: str | None,
) -> None:
    """Bring the library up to date: thresholds, known people, groups, suggestions, and the rest.

    What humans decided never changes. Says what moved; the result is in force at once, or, after a
    crash, not at all. Then profiles, k-means heads and the names in the index are brought in step,
    and cameras of twenty videos get their models; what could not be is said, with the command that
    does it.

    \b
      identity-pipeline recluster                                  as the settings say
      identity-pipeline recluster --method hdbscan --dry-run       what another method would move
      identity-pipeline recluster --method dbscan --min-cluster-size 3
                                        groups of three tracks or more; others are noise
      identity-pipeline recluster --person-threshold 0.7           your word, not the calibration's:
                                        `stats` says how many strangers it may let in

    A flag holds for this run. The library notes what it was computed with, and `stats` and `plan`
    say so; the next run without flags, by `recluster`, by `run` or by itself after a label or a new
    video, goes back to the settings. To keep a value, write it into settings.toml.
    """
    from identity_pipeline.stages.library.recompute import recompute

    groups = overrides(data)
    by_settings = merged_settings(groups)
    settings = merged_settings({**groups, **_flagged(method, person_threshold, min_cluster_size)})
    stores = open_stores(settings)
    if not dry_run:
        refuse_unless_ready(stores.tables, settings)
    updated = None
    with bar() as report:
        before = in_force(stores)
        if dry_run:
            done = recompute(stores, settings, now(), report, publish=False)
        else:
            updated = put_in_force(stores, settings, report)
            done = updated.library
        changes = compared(stores, done, before)
    if as_json:
        echo_json(
            {
                "generation": done.generation.number,
                "reused": done.reused,
                "moves": [vars(move) for move in changes.moves],
                "new_clusters": changes.new_clusters,
                "retired_clusters": changes.retired_clusters,
                "suggested": changes.suggested,
                "lost": done.lost,
                "damaged": done.damaged,
                "copies": done.tables["video_copies"].to_dicts(),
                "flags": _by_flags(settings, by_settings),
                **_followed_json(updated),
            }
        )
        return
    tell_changes(done, changes, dry_run)
    if updated is not None:
        tell_followed(updated)
    _tell_flags(_by_flags(settings, by_settings), dry_run)


def _flagged(
    method: str | None, person_threshold: float | None, min_cluster_size: int | None
) -> dict[str, dict[str, Any]]:
    """The settings that flags give; a group without any is left out."""
    given = {
        "cluster": {"method": method, "min_cluster_size": min_cluster_size},
        "match": {"pin_assign": person_threshold},
    }
    chosen = {g: {k: v for k, v in one.items() if v is not None} for g, one in given.items()}
    return {group: values for group, values in chosen.items() if values}


def _by_flags(settings: Settings, by_settings: Settings) -> dict[str, Any]:
    """What of the settings of this run is not what the settings say, by dotted name."""
    from identity_pipeline.settings import chosen
    from identity_pipeline.stages.library.recompute import SETTINGS

    used, own = chosen(settings, SETTINGS), chosen(by_settings, SETTINGS)
    return {
        f"{group}.{name}": value
        for group, values in used.items()
        for name, value in values.items()
        if own[group][name] != value
    }


def _tell_flags(flags: dict[str, Any], dry_run: bool) -> None:
    if not flags:
        return
    from identity_pipeline.stages.library.made_with import shown

    used = ", ".join(f"{name} = {shown(value)}" for name, value in flags.items())
    if dry_run:
        say(f"With {used}, by flag.")
        return
    say(
        f"Computed with {used}, by flag. The next run without flags, also an automatic one, goes "
        "back to the settings; to keep this, write it into settings.toml."
    )


def put_in_force(stores: LibraryStores, settings: Settings, shown: Progress) -> Updated:
    """The library and what follows it brought up to date; `status` shows it meanwhile."""
    from identity_pipeline.stages.library.update import update_library

    return update_library(
        stores, settings, now(), lambda step: command_at_work(stores.tables, step, shown)
    )


def tell_followed(updated: Updated) -> None:
    """Prints what became of profiles, heads, cameras and index, and what is not current."""
    profiles, heads = updated.profiles, updated.heads
    told = [report.message for report in profiles.enriched] if profiles else []
    for message in (*told, *(heads.messages if heads else ()), *updated.cameras):
        say(message)
    if profiles and profiles.withdrawn:
        say(f"{counted(len(profiles.withdrawn), 'video')} withdrawn from profiles.")
    if updated.indexed:
        say(f"Names in the index changed for {counted(len(updated.indexed), 'video')}.")
    for behind in updated.behind:
        say(str(behind), err=True)
    if not updated.behind:
        say("Profiles, k-means heads and names in the index are current.")


def _followed_json(updated: Updated | None) -> dict[str, object]:
    if updated is None:
        return {}
    return {
        "profiles": updated.labels,
        "indexed": updated.indexed,
        "cameras": updated.cameras,
        "behind": [vars(behind) for behind in updated.behind],
    }


@dataclass(frozen=True)
class InForce:
    """What is compared with: tracks as they are placed, and who is called what."""

    assignments: pl.DataFrame
    names: Mapping[str, str | None]


def in_force(stores: LibraryStores) -> InForce:
    """The library before a recomputation."""
    from identity_pipeline.tables import empty

    snapshot = stores.generations.newest_whole()
    assignments, people = (
        snapshot.table(name) if snapshot else empty(name)
        for name in ("person_assignments", "people")
    )
    return InForce(assignments, dict(people.select("person_id", "name").iter_rows()))


def compared(
    stores: LibraryStores, done: Recomputed, before: InForce | None = None
) -> LibraryChanges:
    """What a recomputation moves, against what was in force (default: what is)."""
    from identity_pipeline.core.library.changes import library_changes
    from identity_pipeline.stages.curation.snapshot import LibrarySnapshot

    before = before or in_force(stores)
    library = LibrarySnapshot.open(stores, now(), write=False)

    def called(person_id: str) -> str:
        """Also of people whom an undo took away."""
        known = person_id in library.state.people
        earlier = before.names.get(person_id)
        return library.called(person_id) if known else earlier or library.called(person_id)

    return library_changes(before.assignments, done.tables["person_assignments"], called)


def tell_changes(done: Recomputed, changes: LibraryChanges, dry_run: bool) -> None:
    """Prints what a recomputation moved, or would move."""
    if done.unfit:
        say(f"Note: {done.unfit}")
    for video_id, sentence in done.damaged.items():
        say(f"The library is computed without {video_id}: {sentence}")
    if not done.tracks:
        say("No video has faces for the library yet; run `identity-pipeline run` on some.")
        return
    if done.reused:
        say("Nothing has changed since the last time; the library is up to date.")
        return
    _tell_moves(changes, dry_run)
    _tell_clusters("appears", "appear", changes.new_clusters)
    _tell_clusters("is gone", "are gone", changes.retired_clusters)
    if changes.suggested:
        number = counted(len(changes.suggested), "new suggestion")
        say(f"{number}: identity-pipeline suggestions")
    _tell_left_out(done)
    if not dry_run:
        say(f"{counted(done.tracks, 'track')} in generation {done.generation.number}.")


def _tell_moves(changes: LibraryChanges, dry_run: bool) -> None:
    if not changes.moves:
        say("No track would move." if dry_run else "No track moved.")
    elif dry_run:
        say("Dry run, nothing is written. These would move:")
    for move in changes.moves:
        say(str(move))


def _tell_clusters(one: str, several: str, numbers: tuple[int, ...]) -> None:
    if numbers:
        names = ", ".join(f"unknown_cluster_{n}" for n in numbers[:NAMED])
        names += f" and {len(numbers) - NAMED} more" if len(numbers) > NAMED else ""
        verb = one if len(numbers) == 1 else several
        say(f"{counted(len(numbers), 'cluster')} {verb}: {names}")


def _tell_left_out(done: Recomputed) -> None:
    if done.lost:
        say(
            f"{counted(len(done.lost), 'decided track')} not found again in the present videos, "
            f"kept in the ledger: {', '.join(done.lost)}"
        )
    for video, copy_of in done.tables["video_copies"].select("video_id", "copy_of").iter_rows():
        say(f"{video} is a copy of {copy_of}: it is no evidence of another ride.")
    if done.other_space:
        say(
            f"Left out, for they are of another recogniser: {', '.join(done.other_space)}; process "
            "them anew."
        )
