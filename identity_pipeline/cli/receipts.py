"""`identity-pipeline receipts`: what was forgotten, proved, and comparing that with a key."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from identity_pipeline.cli.curating import counted
from identity_pipeline.cli.lists import echo_json, echo_table, json_option, say
from identity_pipeline.cli.options import data_option, find_layout, merged_settings, overrides

if TYPE_CHECKING:
    from identity_pipeline.stages.privacy.receipts import Receipt
    from identity_pipeline.storage.layout import Layout


@click.group()
def receipts() -> None:
    """Receipts of what was forgotten: list, read and verify them.

    A receipt says what of a person, video or track was removed where, and what a scan of
    everything that lies in the data folder found afterwards. It names nobody.

    \b
      identity-pipeline receipts list                  all of them, and the site's public key
      identity-pipeline receipts show 5f2c             one of them
      identity-pipeline receipts verify FILE --public-key KEY
    """


@receipts.command("list")
@json_option
@data_option
def list_receipts(as_json: bool, data: str | None) -> None:
    """List the receipts of the data folder, the newest first, and the public key of the site."""
    from identity_pipeline.stages.privacy.receipts import receipts as all_receipts
    from identity_pipeline.storage.folder.receipts import public_key

    layout = _layout(data)
    found, key = list(all_receipts(layout)), public_key(layout)
    if as_json:
        echo_json({"public_key": key, "receipts": [_row(receipt) for receipt in found]})
        return
    if not found:
        say("Nothing was forgotten here yet, so there is no receipt.", err=True)
    else:
        rows = ((r.receipt_id, r.written, r.told["target"], _proof(r), r.path) for r in found)
        echo_table(("receipt", "written", "of", "proof", "file"), rows)
    if key is not None:
        say(f"Public key of this site: {key}")


@receipts.command()
@click.argument("receipt_id", metavar="ID")
@json_option
@data_option
def show(receipt_id: str, as_json: bool, data: str | None) -> None:
    """Show the receipt ID, of which the first characters are enough."""
    from identity_pipeline.stages.privacy.receipts import receipts as all_receipts

    fitting = [r for r in all_receipts(_layout(data)) if r.receipt_id.startswith(receipt_id)]
    if len(fitting) != 1:
        raise click.UsageError(
            f"{counted(len(fitting), 'receipt')} {'begins' if len(fitting) == 1 else 'begin'} with "
            f"{receipt_id!r}; `identity-pipeline receipts list` names them all."
        )
    (receipt,) = fitting
    if as_json:
        echo_json(dict(receipt.told))
        return
    _tell(receipt)


@receipts.command()
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option(
    "--public-key",
    metavar="KEY",
    help="The site's, as `receipts list` prints it there.  [default: the one in FILE]",
)
@json_option
def verify(file: Path, public_key: str | None, as_json: bool) -> None:
    """Compare the receipt FILE with its signature and its page; needs no data folder.

    Exits with 0 where all is as it was signed, 1 where it is not, 2 where FILE is no receipt.
    """
    from identity_pipeline.storage.folder.receipts import verify as compare

    found = compare(file, public_key)
    if as_json:
        told = {"public_key": found.public_key, "wrong": found.wrong, "notes": found.notes}
        echo_json({"file": str(file), **told})
    else:
        for sentence in (*found.wrong, *found.notes):
            say(sentence)
        verdict = "NOT as it was signed" if found.wrong else "as it was signed"
        say(f"{file}: {verdict} by the key {found.public_key}.")
        if not found.wrong and found.receipt.get("proved") is not True:
            say("The receipt itself says that it is not proved that nothing is left.")
    if found.wrong:
        raise SystemExit(1)


def _layout(data: str | None) -> Layout:
    return find_layout(merged_settings(overrides(data)))


def _row(receipt: Receipt) -> dict[str, Any]:
    return {
        "receipt": receipt.receipt_id,
        "written": receipt.written,
        "of": receipt.told["target"],
        "proved": receipt.proved,
        "file": str(receipt.path),
    }


def _proof(receipt: Receipt) -> str:
    return "nothing left" if receipt.proved else "open"


def _tell(receipt: Receipt) -> None:
    told = receipt.told
    say(f"{receipt.receipt_id}, written {receipt.written}: a {told['target']} was forgotten.")
    if told["removed"]:
        columns = ("place", "kind of data", ">things", ">bytes", "how")
        rows = (
            (one["place"], one["data_class"], one["count"], one["bytes"], one["how"])
            for one in told["removed"]
        )
        echo_table(columns, rows)
    for scan in told["scans"]:
        left = counted(scan["hit_places"], "place")
        positive = "found" if scan["positive"] else "NOT found"
        say(
            f"Scan of {scan['place']}: {counted(scan['files'], 'file')} read, something is left in "
            f"{left}; the control was {positive}."
        )
        for hit in scan["hits"]:
            say(f"  left: {hit['file']} ({hit['kind']}, {hit['form']})")
    for one in told["unreached"]:
        say(f"Not reached: {one['place']}: {one['why']}")
    for one in told["exports_to_revoke"]:
        say(f"To ask back: {one['export_id']} for {one['consumer']}")
    for one in told["backups"]:
        until = one["expires"] or "for ever"
        say(f"Held still by the backup {one['backup_id']} until {until}.")
    say(f"The page: {receipt.path.with_suffix('.html')}")
