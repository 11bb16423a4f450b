"""`identity-pipeline sql`: any question to the library, in SQL, read only."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from identity_pipeline.cli.index import later_bar
from identity_pipeline.cli.lists import echo_json, echo_table, say
from identity_pipeline.cli.options import (
    data_option,
    merged_settings,
    open_store,
    overrides,
)
from identity_pipeline.storage.catalogue.views import VIEWS

if TYPE_CHECKING:
    from identity_pipeline.storage.catalogue.catalogue import Answer, Catalogue


EXAMPLES = """\
\b
Three to begin with:
  How many images has each rider, by set?
    identity-pipeline sql "SELECT video_id, rider, set, count(*) AS images
      FROM images GROUP BY ALL ORDER BY ALL"
  Why were faces refused, and how often?
    identity-pipeline sql "SELECT state, reason, count(*) AS faces
      FROM faces GROUP BY ALL ORDER BY faces DESC"
  Who rode more than once?
    identity-pipeline sql "SELECT display, count(DISTINCT video_id) AS rides
      FROM assignments GROUP BY ALL HAVING rides > 1 ORDER BY rides DESC"
"""
VIEW_LIST = "\b\nViews:\n" + "\n".join(f"  {name:<12} {what}" for name, (what, _) in VIEWS.items())


@click.command(epilog=f"{VIEW_LIST}\n\n{EXAMPLES}")
@click.argument("query", required=False)
@click.option("--csv", "as_csv", is_flag=True, help="All rows as CSV.")
@click.option("--json", "as_json", is_flag=True, help="All rows as JSON objects.")
@click.option(
    "--limit", type=click.IntRange(1), help="Rows to print.  [default: catalogue.rows_shown]"
)
@data_option
def sql(
    query: str | None, as_csv: bool, as_json: bool, limit: int | None, data: str | None
) -> None:
    """Ask the library anything in SQL (DuckDB's); QUERY is one SELECT, or - to read it from stdin.

    Without QUERY, lists the views with their columns and rows. The tables of the pipeline as they
    are stored lie in the schema raw (raw.face_quality). Nothing can be changed by a query, and no
    other file can be read; queries run while videos are processed, and see each table whole. Tables
    that a query may read are compared with what was recorded of them first: a damaged one is named.
    """
    from identity_pipeline.storage.catalogue.catalogue import open_catalogue

    if as_csv and as_json:
        raise click.UsageError("--csv and --json exclude each other; give one.")
    settings = merged_settings(overrides(data))
    text = sys.stdin.read() if query == "-" else query
    layout = open_store(settings).layout
    with (
        later_bar() as report,
        open_catalogue(layout, settings.catalogue, text or "", report) as catalogue,
    ):
        if text is None:
            print_views(catalogue, as_json)
        elif as_csv:
            catalogue.write_csv(text, sys.stdout)
        elif as_json:
            echo_json(records(catalogue.query(text)))
        else:
            shown = limit or settings.catalogue.rows_shown
            print_answer(catalogue.query(text, shown))


def records(answer: Answer) -> list[dict[str, object]]:
    """The rows as objects."""
    from identity_pipeline.storage.catalogue.catalogue import jsonable

    return [
        {name: jsonable(value) for name, value in zip(answer.columns, row, strict=True)}
        for row in answer.rows
    ]


def print_answer(answer: Answer) -> None:
    """A table; what was left out is said below it."""
    echo_table(
        [name if name else " " for name in answer.columns],
        (["" if value is None else _shown(value) for value in row] for row in answer.rows),
    )
    if answer.more:
        say(f"The first {len(answer.rows)} rows; --limit shows more, --csv and --json all.")
    else:
        say(f"{len(answer.rows)} {'row' if len(answer.rows) == 1 else 'rows'}.")


def _shown(value: object) -> str:
    text = f"{value:.4g}" if isinstance(value, float) else str(value)
    return text if len(text) <= 300 else f"{text[:297]}..."


def print_views(catalogue: Catalogue, as_json: bool) -> None:
    """What can be asked."""
    views = catalogue.views()
    if as_json:
        echo_json([vars(view) for view in views])
        return
    echo_table(
        ("view", ">rows", "what", "columns"),
        ((view.name, view.rows, view.description, ", ".join(view.columns)) for view in views),
    )
    say("`identity-pipeline sql --help` has three queries to begin with.")
