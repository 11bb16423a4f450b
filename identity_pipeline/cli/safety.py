"""What cannot be recomputed, kept safe: `accept-ledger`."""

from __future__ import annotations

import click

from identity_pipeline.cli.curating import actor_option, counted, now
from identity_pipeline.cli.lists import say
from identity_pipeline.cli.options import data_option, merged_settings, open_store, overrides


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
