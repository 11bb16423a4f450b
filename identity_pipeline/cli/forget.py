"""`identity-pipeline forget`: a person, a ride or a track, for good, with a receipt."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from identity_pipeline.cli.curating import actor_option, counted, now
from identity_pipeline.cli.index import bar
from identity_pipeline.cli.instance import dagster_instance
from identity_pipeline.cli.lists import echo_json, echo_table, json_option, say
from identity_pipeline.cli.options import (
    data_option,
    merged_settings,
    open_stores,
    overrides,
)
from identity_pipeline.stages.progress.protocol import silent

if TYPE_CHECKING:
    from identity_pipeline.settings import Settings
    from identity_pipeline.stages.curation.snapshot import LibrarySnapshot
    from identity_pipeline.stages.privacy.footprint import Footprint, Sources
    from identity_pipeline.stages.privacy.forgetting import Outside
    from identity_pipeline.stages.privacy.journal import Journal
    from identity_pipeline.stages.privacy.receipts import Removed
    from identity_pipeline.stages.progress.protocol import Progress
    from identity_pipeline.stages.stores import LibraryStores


@dataclass(frozen=True)
class _Asked:
    """How a person wants it done."""

    actor: str
    wait: bool
    as_json: bool
    groups: dict[str, dict[str, str]]


@dataclass(frozen=True)
class _How:
    """What of a target is to go, and whether it was said that it shall."""

    sources: Sources
    confirmed_only: bool
    yes: bool


@click.command()
@click.argument("target", required=False)
@click.option("--yes", is_flag=True, help="Do it; without, what goes is listed and asked about.")
@click.option(
    "--keep-sources", is_flag=True, help="No source file goes; each stays under its redaction."
)
@click.option(
    "--sources", "all_sources", is_flag=True, help="Source files of rides with others go, too."
)
@click.option(
    "--confirmed-only",
    is_flag=True,
    help="Of a person only tracks that humans confirmed; what the machine gave them stays.",
)
@click.option("--no-wait", is_flag=True, help="Do nothing where runs are at work.")
@click.option("--resume", is_flag=True, help="Go on with what was stopped; begin nothing.")
@actor_option
@json_option
@data_option
def forget(
    target: str | None,
    yes: bool,
    keep_sources: bool,
    all_sources: bool,
    confirmed_only: bool,
    no_wait: bool,
    resume: bool,
    actor: str,
    as_json: bool,
    data: str | None,
) -> None:
    """Forget TARGET for good: everything that derives from a person, a ride or a track.

    What goes is listed first: crops, tables, embeddings, templates, the profile, references in the
    library, points of the index, exported sets and datasets, heads that were trained with them,
    names and words in the ledger. Runs are paused and waited for. At the end the whole data folder
    is searched for what is left, and a signed receipt says what was found. It cannot be undone.

    \b
    TARGET is any of
      Ada          a person by name or id: all their rides, photographs, and everybody merged in
      ride_7       a ride or photo set (an id, its beginning, or the file), with its copies
      ride_7:4     a track: a video and its number

    A ride in which nobody else rides goes as a whole, with its source file. Of a ride with others
    only their faces go: they are painted over, wherever the source file is read, and others keep
    what is theirs. Source files outside the data folder are named, not removed.

    \b
    Examples:
      identity-pipeline forget Ada             what would go, and the question
      identity-pipeline forget Ada --yes       do it
      identity-pipeline forget ride_7:4        one rider of one ride, whoever that is
      identity-pipeline forget --resume        go on after a crash, or when a store is back

    Killed at any moment it goes on where it was. What is not reached (an object store that is away)
    keeps it unfinished: then there is no receipt yet, runs stay paused, and `status` says so.
    """
    if target is None and not resume:
        _say_how_far(data)
        return
    groups = overrides(data)
    settings = merged_settings(groups)
    stores, asked = open_stores(settings), _Asked(actor, not no_wait, as_json, groups)
    told = _go_on(stores, settings, asked) if resume or yes else []
    if target is not None:
        how = _How(_sources(keep_sources, all_sources), confirmed_only, yes)
        told += _forget(stores, settings, asked, target, how, ended=bool(told))
    elif not told:
        say("Nothing is unfinished.", err=as_json)
    _end(told, as_json)


def _end(told: Sequence[dict[str, Any]], as_json: bool) -> None:
    """Ends the command: what is not proved is a failure."""
    if as_json:
        echo_json(told)
    if any(one.get("proved") is False for one in told):
        say("Forgotten, but not proved: the receipt says what the search found.", err=True)
        raise SystemExit(1)


def _sources(keep: bool, every: bool) -> Sources:
    """Which source files go."""
    if keep and every:
        raise click.UsageError("--keep-sources and --sources exclude each other; give one.")
    return "none" if keep else "all" if every else "whole"


def _say_how_far(data: str | None) -> None:
    """Says what is unfinished, or how to begin."""
    from identity_pipeline.stages.privacy.forgetting import unfinished

    begun = unfinished(open_stores(merged_settings(overrides(data))).layout)
    for journal in begun:
        say(journal.sentence(), "yellow")
    if not begun:
        raise click.UsageError("name whom to forget; `identity-pipeline forget --help` says how.")
    raise SystemExit(1)


def _forget(
    stores: LibraryStores,
    settings: Settings,
    asked: _Asked,
    target: str,
    how: _How,
    *,
    ended: bool,
) -> list[dict[str, Any]]:
    from identity_pipeline.stages.privacy import forgetting
    from identity_pipeline.stages.privacy.footprint import FootprintError
    from identity_pipeline.stages.privacy.whom import AlreadyForgottenError

    try:
        library, found = _found(stores, target, how, write=how.yes)
    except AlreadyForgottenError as error:
        return [_again(stores, error.forgetting_id, str(error), asked)]
    except FootprintError:
        if not ended:
            raise
        say(f"Nothing else is called {target!r} any more.", err=asked.as_json)
        return []
    if not asked.as_json:
        _show(library, found, target)
    if not (how.yes or (not asked.as_json and _confirmed())):
        _say_waiting(forgetting.unfinished(stores.layout), asked)
        return [_listed(found)]
    with _bar(asked) as progress:
        path = forgetting.forget(
            stores,
            settings,
            lambda: _found(stores, target, how, write=True)[1],
            asked.actor,
            wait=asked.wait,
            outside=_outside(stores, asked),
            progress=progress,
        )
    return [_done(stores, path, asked)]


def _found(
    stores: LibraryStores, target: str, how: _How, *, write: bool
) -> tuple[LibrarySnapshot, Footprint]:
    """The library now, and what of it goes."""
    from identity_pipeline.stages.curation.snapshot import LibrarySnapshot
    from identity_pipeline.stages.privacy.footprint import footprint_of
    from identity_pipeline.stages.privacy.whom import find_whom

    library = LibrarySnapshot.open(stores, now(), write=write)
    whom = find_whom(library, target)
    found = footprint_of(library, whom, confirmed_only=how.confirmed_only, sources=how.sources)
    return library, found


def _outside(stores: LibraryStores, asked: _Asked) -> Outside:
    """What only Dagster's side can do."""
    from identity_pipeline.stages.privacy.forgetting import Outside

    def records(footprint: Footprint, progress: Progress) -> Iterable[Removed]:
        from identity_pipeline.defs.instance.forgetting import forget_records

        with dagster_instance(stores.layout) as instance:
            return forget_records(instance, stores.layout, footprint, progress)

    return Outside(lambda videos: _remade(stores, asked, videos), records)


def _remade(stores: LibraryStores, asked: _Asked, videos: Sequence[str]) -> list[str]:
    """Runs rides again, of which others keep something; a sentence on each that fails."""
    from identity_pipeline.cli.run import executed, run_tags
    from identity_pipeline.definitions import build_defs
    from identity_pipeline.defs.instance.partitions import videos as partitions
    from identity_pipeline.defs.instance.tags import BY, FORGETTING
    from identity_pipeline.defs.resources.resources import SettingsResource

    failed = []
    with dagster_instance(stores.layout) as instance:
        job = build_defs(SettingsResource.of(**asked.groups)).resolve_job_def("per_video")
        instance.add_dynamic_partitions(str(partitions.name), list(videos))
        for video_id in videos:
            why = executed(job, instance, {**run_tags(), BY: FORGETTING}, video_id)
            if why is not None:
                failed.append(
                    f"What others keep of a ride is not made anew yet: {why.sentence.rstrip('.')}; "
                    f"`identity-pipeline run` does it."
                )
    return failed


def _say_waiting(begun: Sequence[Journal], asked: _Asked) -> None:
    for journal in begun:
        say(journal.sentence(), "yellow", err=asked.as_json)


def _confirmed() -> bool:
    """Whether a person at a terminal says yes; nobody is asked where nobody can answer."""
    if not sys.stdin.isatty():
        say("Nothing was done; add --yes to do it.")
        return False
    if click.confirm("Forget all of this? It cannot be undone."):
        return True
    say("Nothing was done.")
    return False


def _go_on(stores: LibraryStores, settings: Settings, asked: _Asked) -> list[dict[str, Any]]:
    """Goes on with what was stopped."""
    from identity_pipeline.stages.privacy import forgetting

    begun = forgetting.unfinished(stores.layout)
    if not begun:
        return []
    for journal in begun:
        say(f"Going on with the forgetting of {journal.since[:10]}.", err=asked.as_json)
    with _bar(asked) as progress:
        outside = _outside(stores, asked)
        paths = forgetting.resume(
            stores, settings, wait=asked.wait, outside=outside, progress=progress
        )
    return [_done(stores, path, asked) for path in paths]


def _bar(asked: _Asked) -> Any:
    return nullcontext(silent) if asked.as_json else bar()


def _again(
    stores: LibraryStores, forgetting_id: str, sentence: str, asked: _Asked
) -> dict[str, Any]:
    """That somebody was forgotten before, with the receipt."""
    from identity_pipeline.stages.privacy.forgetting import unfinished
    from identity_pipeline.stages.privacy.receipts import receipt_of

    receipt = receipt_of(stores.layout, forgetting_id)
    where = f" The receipt: {receipt.path}" if receipt else " There is no receipt of it."
    if not asked.as_json:
        begun = [one for one in unfinished(stores.layout) if one.id == forgetting_id]
        say(begun[0].sentence() if begun else sentence + where)
    return {"state": "forgotten before", "receipt": str(receipt.path) if receipt else None}


def _done(stores: LibraryStores, path: Path, asked: _Asked) -> dict[str, Any]:
    """What came of it, told."""
    from identity_pipeline.stages.privacy.receipts import receipt_of

    receipt = receipt_of(stores.layout, path.stem)
    proved = receipt is not None and receipt.proved
    if not asked.as_json:
        if proved:
            say("Forgotten, and proved: a search of the whole data folder finds nothing left.")
        elif receipt is not None:
            for sentence in why_not_proved(stores.layout.root, receipt.told):
                say(f"! {sentence}", "yellow")
        say(f"Receipt: {path} (and the page beside it)")
        for note in receipt.told["notes"] if receipt else ():
            say(f"! {note}", "yellow")
    return {"state": "forgotten", "receipt": str(path), "proved": proved}


def why_not_proved(root: Path, told: Mapping[str, Any]) -> Iterator[str]:
    """Where something of who was forgotten is still found, and what to do about it.

    Args:
        root: the data folder.
        told: what the receipt says.
    """
    from identity_pipeline.storage.folder.data_folder import inner_folder

    left = sorted({hit["file"] for scan in told["scans"] for hit in scan["hits"]})
    within = {file: inner_folder(root, file) for file in left}
    yield from map(_held_by, sorted(set(filter(None, within.values()))))
    if others := [file for file, folder in within.items() if folder is None]:
        more = f" and {counted(len(others) - 1, 'other file')}" if others[1:] else ""
        yield f"Not proved: something of it is still found in {others[0]}{more}; see the receipt."
    if not left:
        yield "Not proved: not all could be searched; the receipt says what and why."


def _held_by(folder: Path) -> str:
    return (
        f"Not proved yet: {folder} is a data folder of its own with copies of the same rides, "
        "which this forgetting does not touch. Forget them there too (identity-pipeline --data "
        f"{folder} forget ...), or remove that folder if nobody needs it (`make demo` makes the "
        "demo's anew)."
    )


def _listed(found: Footprint) -> dict[str, Any]:
    """What would go, for machines."""
    told = asdict(found)
    told["faces"] = {video: len(faces) for video, faces in found.faces.items()}
    return {"state": "would be forgotten", **told}


def _show(library: LibrarySnapshot, found: Footprint, target: str) -> None:
    """What goes, and what is to be known before."""
    from identity_pipeline.stages.privacy.whom import remarks

    names = ", ".join(found.names) or target
    say(f"Forgetting {names} takes:")
    echo_table(("what", ">how many", "which"), rows_of(found))
    for sentence in remarks(library, found):
        say(f"! {sentence}", "yellow")
    for path in found.elsewhere:
        say(f"! {path} lies outside the data folder and stays: remove it yourself.", "yellow")


def rows_of(found: Footprint) -> list[tuple[str, int, str]]:
    """What goes, how much of it, and which."""
    faces = sum(map(len, found.faces.values()))
    machine = sum(track.how == "machine" for track in found.tracks)
    by_machine = f" ({machine} by the machine alone)" if machine else ""
    rows = [
        ("people", found.person_ids),
        ("rides as a whole", found.videos),
        ("rides of which their faces go", found.shared),
        ("photo sets", found.photo_sets),
        ("exported sets", found.exports),
        ("datasets", found.datasets),
        ("trained heads, retired", found.heads),
        ("copies in object stores", [name for _, name in found.published]),
        ("source files", found.inbox),
        ("source files that stay, redacted", found.kept_sources),
    ]
    tracks = ", ".join(subject.removeprefix("track:") for subject in found.subjects)
    return [
        ("names", len(found.names), "their key is destroyed"),
        ("tracks", len(found.tracks), f"{tracks}{by_machine}"),
        ("faces, with crops and vectors", faces, f"in {counted(len(found.faces), 'ride')}"),
        *((what, len(several), ", ".join(several)) for what, several in rows if several),
    ]
