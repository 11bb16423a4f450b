"""What cannot be made again, kept safe: `backup`, `restore`, `accept-ledger`, `migrate`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from identity_pipeline.cli.curating import actor_option, counted, now
from identity_pipeline.cli.lists import say
from identity_pipeline.cli.options import (
    data_option,
    find_layout,
    merged_settings,
    open_store,
    overrides,
)
from identity_pipeline.cli.spoken import DATA_OPTION

if TYPE_CHECKING:
    from identity_pipeline.stages.publishing.restoring import Restored
    from identity_pipeline.storage.layout import Layout

NAMED = 5


@click.command("accept-ledger")
@actor_option
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--dry-run", is_flag=True, help="Say what would be given up, and write nothing.")
@data_option
def accept_ledger(actor: str, yes: bool, dry_run: bool, data: str | None) -> None:
    """Go on with the ledger that is there, where decisions that were acknowledged are lost.

    Every command that needs the ledger refuses where it is gone, shorter than it was, or of
    another data folder: people would silently vanish. The way back is
    `identity-pipeline restore BACKUP`. Where there is no backup, this says what is lost, records
    who gave it up, and lets the commands go on with what is left.

    \b
      identity-pipeline accept-ledger --dry-run   what would be given up
      identity-pipeline accept-ledger             give it up
    """
    from identity_pipeline.ledger.store import LedgerStore

    ledger = LedgerStore(open_store(merged_settings(overrides(data))).layout)
    lost = ledger.accept(actor, now(), write=False)
    known, left = lost[0].seq, lost[0].left
    has = f"{counted(left, 'event')} {'is' if left == 1 else 'are'} there"
    say(f"{counted(known, 'event')} were acknowledged, {has} in {ledger.path}.")
    say(
        "Names, merges and other decisions of the missing events are lost for good; what is "
        "there stays."
        if left < known
        else "The ledger is another one: decisions that this data folder had seen are not in "
        "it, and its own count from now on."
    )
    if dry_run:
        return
    if not yes:
        click.confirm("Go on without what is missing?", abort=True)
    ledger.accept(actor, now())
    say(
        f"Recorded in {ledger.layout.acknowledged}. Next: `identity-pipeline recluster` brings the "
        "library in step with the ledger."
    )


@click.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option(
    "--keys",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the keys of names to this file, in another folder than FILE.",
)
@data_option
def backup(file: Path, keys: Path | None, data: str | None) -> None:
    """Write FILE with everything of the data folder that cannot be made again.

    That is: every human decision (the ledger), the settings, which video an id is, truths written
    by hand, trained heads and which one is live, people's profiles, where forgotten faces are
    hidden, the receipts of forgettings, and the photographs that were taken in. Not in it are
    videos, tables, crops and image sets: those are copied with the means of the disk, or made
    again. FILE is readable by you alone; equal content gives equal bytes. A ledger that is damaged
    or lost is refused, so that no good backup is replaced by a bad one.

    Names and words of decisions are sealed in it, and the keys are not in it; profiles and
    photographs bear names in plain text. FILE is not in the data folder, which a forgetting
    searches. Without the keys nobody reads whom a decision names, so keep a copy of them in
    another place, and remove older copies: whoever has one can read who was forgotten since.

    \b
      identity-pipeline backup /backups/identities-$(date +%F).zip --keys /safe/identities.keys
      identity-pipeline restore /backups/identities-2026-01-02.zip
    """
    from identity_pipeline.stages.publishing.restoring import back_up

    layout = open_store(merged_settings(overrides(data))).layout
    manifest = back_up(layout, file, now(), keys)
    size = sum(packed.size for packed in manifest.files.values()) / 1e6
    say(
        f"{counted(manifest.events, 'event')} of the ledger and "
        f"{counted(len(manifest.files), 'file')} ({size:.1f} MB) are in {file}; "
        f"`identity-pipeline restore {file}` brings them back."
    )
    if keys is None:
        say(
            "Names of decisions are sealed in it, and their keys stay in this data folder alone; "
            "--keys FILE writes a copy of them, to another folder."
        )
    else:
        say(f"The keys of names are in {keys}; keep them apart from the backup.")


@click.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option(
    "--force",
    is_flag=True,
    help="Replace what differs, also a ledger with more or other events; it is kept beside.",
)
@click.option(
    "--keys",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The keys of its names, as `backup --keys` wrote them.",
)
@actor_option
@data_option
def restore(file: Path, force: bool, keys: Path | None, actor: str, data: str | None) -> None:
    """Bring back what `backup` wrote to FILE, into the data folder, which may be empty.

    FILE is checked whole before anything is written. What is there stays: the ledger may only
    become longer, other files are not replaced, and settings.toml is put beside one that differs.
    Where the folder has, or had acknowledged, events that are not in FILE, nothing is done without
    --force. What was forgotten here since is never brought back.

    \b
      identity-pipeline restore /backups/identities-2026-01-02.zip --keys /safe/identities.keys
      identity-pipeline recluster    the library in step with the ledger
    """
    from identity_pipeline.settings import settings_file
    from identity_pipeline.stages.publishing.restoring import restore as put_back
    from identity_pipeline.storage.folder.data_folder import claim_data_folder

    layout = open_store(merged_settings(overrides(data)), new=True).layout
    target = settings_file() or Path("settings.toml")
    done = put_back(layout, file, target, actor, now(), force=force, keys=keys)
    claim_data_folder(layout, lambda sentence: say(sentence, err=True))
    tell_restored(layout, done)


def _other_folder(layout: Layout) -> str:
    """A sentence where the settings, by now, name another data folder; hints then name this one."""
    from identity_pipeline.settings import SettingsError, load_settings

    try:
        named = Path(load_settings().paths.data)
    except SettingsError as error:
        return str(error)
    given = click.get_current_context().meta
    if given.get(DATA_OPTION) or named.resolve() == layout.root.resolve():
        return ""
    given[DATA_OPTION] = str(layout.root)
    return (
        f"The settings name another data folder, {named}, and this is {layout.root}: name it with "
        "--data, or change paths.data."
    )


def tell_restored(layout: Layout, done: Restored) -> None:
    """Prints what a restore did, and what to do next."""
    say(f"{counted(done.events, 'event')} in {layout.ledger}.")
    if done.beside:
        say(f"The ledger that was there is {done.beside}.")
    if done.lost:
        say(
            f"{counted(done.lost[0].seq, 'event')} had been acknowledged; what is not in the "
            f"backup is given up, and recorded in {layout.acknowledged}."
        )
    say(f"{counted(len(done.written), 'other file')} put in place.")
    if done.kept:
        shown = ", ".join(done.kept[:NAMED]) + (", ..." if len(done.kept) > NAMED else "")
        say(f"{counted(len(done.kept), 'file')} differ and stayed as they are: {shown}")
    for sentence in (done.settings, done.unreadable, _other_folder(layout)):
        if sentence:
            say(sentence)
    say(
        "Next: drop the videos into the inbox again if the tables are gone too; then "
        "`identity-pipeline recluster`."
    )


@click.command()
@click.option("--dry-run", is_flag=True, help="Say what would be done, and write nothing.")
@data_option
def migrate(dry_run: bool, data: str | None) -> None:
    """Bring a data folder of an older version to the present format.

    Every command does that by itself when it opens the folder, once, after a backup of what cannot
    be made again (in backups/ of the data folder). This says what it would be, or does it now.
    """
    from identity_pipeline.storage.folder.data_folder import FORMAT, noted_folder, pending

    layout = find_layout(merged_settings(overrides(data)))
    steps = pending(layout)
    if dry_run and steps:
        noted = noted_folder(layout)
        say(f"{layout.root} has format {noted.format if noted else 1}, not {FORMAT}:")
        for step in steps:
            say(f"  it {step.what}")
        return
    open_store(merged_settings(overrides(data)))
    if not steps:
        say(f"{layout.root} has the present format, {FORMAT}; there is nothing to do.")
