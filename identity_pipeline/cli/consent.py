"""`identity-pipeline consent`: who agreed to what, until when, and who says so."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, cast

import click

from identity_pipeline.cli.curating import counted, decision, looking, show_rows
from identity_pipeline.cli.lists import say
from identity_pipeline.ledger.events import CONSENT_SCOPES

if TYPE_CHECKING:
    from identity_pipeline.ledger import events as ev
    from identity_pipeline.ledger.commands import Planned
    from identity_pipeline.settings import Settings
    from identity_pipeline.stages.curation.curation import Curator
    from identity_pipeline.stages.curation.snapshot import LibrarySnapshot

WHOM = """\b
WHOM is any of
  Ada                   a person by name or id, over all their rides
  ride_7                all riders of a ride, or a set of photographs
  ride_7/0              the rider of a ride who sits first from the left
"""
whom_argument = click.argument("whom", nargs=-1, required=True, metavar="WHOM...")
scope_option = click.option(
    "--scope",
    "scopes",
    multiple=True,
    type=click.Choice(CONSENT_SCOPES),
    help="For what: to be known again over rides, sets of pictures, learning; may be repeated.  "
    "[default: all of it]",
)
age_option = click.option(
    "--minor/--adult", "minor", default=None, help="Whether they are under age."
)
words_options = (
    click.option("--evidence", default="", help="Where it is on paper, such as a ticket's number."),
    click.option("--by", default="", help="Who says so: the rider, a guardian, the ticketing."),
)


def _answering(command: Callable[..., Iterator[Planned]]) -> Callable[..., None]:
    """The options of every answer, and those of every decision."""
    for option in (*reversed(words_options), age_option, scope_option, whom_argument):
        command = option(command)
    return decision(command)


@click.group()
def consent() -> None:
    """Note who consents to be known again, to sets of pictures, and to be learned from.

    \b
      identity-pipeline consent grant Ada --scope export --adult --evidence "form 17" --by Ada
      identity-pipeline consent refuse ride_7/1
      identity-pipeline consent import visits.csv --dry-run
      identity-pipeline consent list

    It is asked for once the setting consent.required is on; until then it is only noted. A refusal
    outweighs every grant, of the person or of the visit.
    """


@consent.command(epilog=WHOM)
@click.option("--until", metavar="DATE", help="The last day, such as 2027-01-31.  [default: none]")
@_answering
def grant(curator: Curator, whom: tuple[str, ...], **said: object) -> Iterator[Planned]:
    """Note that WHOM consents."""
    yield from _answered(curator, whom, "granted", **said)


@consent.command(epilog=WHOM)
@_answering
def refuse(curator: Curator, whom: tuple[str, ...], **said: object) -> Iterator[Planned]:
    """Note that WHOM does not consent."""
    yield from _answered(curator, whom, "refused", **said)


@consent.command(epilog=WHOM)
@_answering
def withdraw(curator: Curator, whom: tuple[str, ...], **said: object) -> Iterator[Planned]:
    """Note that WHOM consents no more; what was made with it is made anew without it."""
    yield from _answered(curator, whom, "withdrawn", **said)


@consent.command(epilog=WHOM)
@_answering
def unknown(curator: Curator, whom: tuple[str, ...], **said: object) -> Iterator[Planned]:
    """Take an earlier answer of WHOM back: nobody knows whether they consent."""
    yield from _answered(curator, whom, "unknown", **said)


def _answered(
    curator: Curator, whom: tuple[str, ...], answer: str, **said: object
) -> Iterator[Planned]:
    from identity_pipeline.stages.curation.consent_files import (
        Answered,
        checked,
        in_order,
        target_called,
    )
    from identity_pipeline.stages.curation.consents import today

    scopes = cast("tuple[str, ...]", said.pop("scopes") or CONSENT_SCOPES)
    answers = [
        checked(
            Answered(
                target_called(curator.library, word),
                cast("ev.Answer", answer),
                in_order(scopes),
                **said,  # type: ignore[arg-type]
            ),
            today(),
        )
        for word in whom
    ]
    for one in answers:
        yield curator.consent(one)


@consent.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@decision
def import_(curator: Curator, file: Path) -> Iterator[Planned]:
    """Note every answer of FILE, a CSV or JSON table such as a ticketing writes, or none of them.

    Columns: person or video, seat, answer (granted, refused, withdrawn, unknown), scopes (of
    profile, export, training; or all), until, minor (yes, no), evidence, by. What is known already
    is not noted again.
    """
    from identity_pipeline.stages.curation.consent_files import read_answers
    from identity_pipeline.stages.curation.consents import today

    answers = read_answers(curator.library, file, today())
    noted = curator.consents(answers)
    if not noted:
        say(f"All {counted(len(answers), 'answer')} of {file} are known already.")
    yield from noted


@consent.command("list")
@click.argument("whom", required=False)
@looking
def list_(settings: Settings, library: LibrarySnapshot, whom: str | None, as_json: bool) -> None:
    """List the answers in force with what follows from them, of all or of one WHOM."""
    from identity_pipeline.core.privacy.consent import NOT_TRACKED_WORDS
    from identity_pipeline.stages.curation.consent_lists import consent_rows

    rows = consent_rows(library, settings, whom)
    shown = show_rows(
        rows,
        as_json,
        {
            "whom": "whom",
            "for": "scope",
            "answer": "answer",
            "until": lambda row: row["until"] or "",
            "age": lambda row: {True: "minor", False: "adult", None: ""}[row["minor"]],
            "by": "by",
            "evidence": "evidence",
            "therefore": "reason",
        },
        "Nobody was asked yet. `identity-pipeline consent --help` says how answers are noted.",
    )
    if shown and not settings.consent.required:
        say(f"While consent.required is off, {NOT_TRACKED_WORDS}: these answers forbid nothing.")
