"""`identity-pipeline export`: a person's dataset over all rides, as one consumer reads it."""

from __future__ import annotations

import re
import textwrap
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from identity_pipeline.cli.curating import counted, now
from identity_pipeline.cli.index import bar
from identity_pipeline.cli.lists import echo_json, echo_table, json_option, say
from identity_pipeline.cli.options import (
    data_option,
    merged_settings,
    model_options,
    open_stores,
    overrides,
)
from identity_pipeline.cli.working import (
    command_at_work,
    refuse_unless_ready,
    refuse_while_paused,
)

if TYPE_CHECKING:
    from identity_pipeline.stages.datasets.export import Written
    from identity_pipeline.stages.datasets.pictures import Layout, Limits

SHOWN = 10
"""Reasons of refused pictures that are told; the page shows each picture with its own."""
CAPTIONS = ("template", "none", "model")
"""Of `stages.datasets.captioner`, which is dear to import."""

rides_option = click.option(
    "--rides",
    multiple=True,
    metavar="RIDE",
    help="Only these rides and photo sets, separated by commas; may be given again.",
)


@click.command()
@click.argument("people", nargs=-1, metavar="PERSON...")
@click.option(
    "--for", "consumer", metavar="CONSUMER", help="Who is to read it; --list says who there is."
)
@click.option("--list", "listed", is_flag=True, help="List the consumers and what each takes.")
@rides_option
@click.option(
    "--size",
    type=click.IntRange(64, 8192),
    metavar="PX",
    help="Longest side of a picture; none is ever enlarged.  [default: as it is cut]",
)
@click.option(
    "--count",
    type=click.IntRange(1, 500),
    metavar="N",
    help="Pictures of each person at most.  [default: datasets.count]",
)
@click.option(
    "--captions",
    type=click.Choice(CAPTIONS),
    default="template",
    show_default=True,
    help="What is written below pictures where the consumer reads captions.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Where it is written.  [default: in the data folder, below datasets]",
)
@json_option
@data_option
@model_options
def export(
    people: tuple[str, ...],
    consumer: str | None,
    listed: bool,
    rides: tuple[str, ...],
    size: int | None,
    count: int | None,
    captions: str,
    out: Path | None,
    as_json: bool,
    data: str | None,
    pack: str | None,
    vision: str | None,
    device: str | None,
) -> None:
    """Write the pictures of PERSON over all rides and photographs as CONSUMER reads them.

    The best of all that is known of the person come first: portraits, then what shows the most of
    them, evenly over rides and looks, no two of one moment and no two alike. Each is cut anew from
    its ride at full resolution and looked at again as the consumer will look at it; what it would
    refuse is left out, with the reason, and the next best takes its place. Several people become
    one dataset.

    \b
    Examples:
      identity-pipeline export --list                       the consumers, and what each takes
      identity-pipeline export Ada --for kohya              a LoRA of Ada
      identity-pipeline export Ada Ben --for imagefolder    both, with metadata.jsonl
      identity-pipeline export Ada --for comfyui --rides ride_7,ride_9 --count 8
      identity-pipeline verify data/datasets/ada-52f1a89f/kohya
    """
    from identity_pipeline.models.hub import ModelHub
    from identity_pipeline.stages.curation.snapshot import LibrarySnapshot
    from identity_pipeline.stages.curation.targets import find_person
    from identity_pipeline.stages.datasets.export import Request
    from identity_pipeline.stages.datasets.export import export as write
    from identity_pipeline.stages.datasets.standing import doubts, refused

    if listed:
        _list(as_json)
        return
    if not people:
        raise click.UsageError("name a person; `identity-pipeline people` lists them.")
    layout = _layout(consumer)
    settings = merged_settings(overrides(data, pack, vision, device))
    stores = open_stores(settings)
    library = LibrarySnapshot.open(stores, now(), write=False)
    request = Request(
        person_ids=tuple(find_person(library, word) for word in people),
        layout=layout,
        rides=named_rides(rides),
        size=size,
        count=count,
        captions=captions,  # type: ignore[arg-type] - one of CAPTIONS
        target=out,
    )
    refuse_while_paused(stores.tables)
    refuse_unless_ready(stores.tables, settings)
    with bar() as report, command_at_work(stores.tables, "person_dataset", report) as (work, show):
        written = write(library, request, settings, ModelHub(settings.models), show)
        work.computed = not written.reused
    if no := refused(library, written.manifest, settings):
        say(no, err=True)
    doubtful = doubts(library, written.manifest)
    if as_json:
        told = {"folder": str(written.folder), "reused": written.reused, "doubts": doubtful}
        echo_json({**told, **written.manifest})
        return
    _tell(written)
    for sentence in doubtful:
        say(sentence, "yellow")


def named_rides(given: Sequence[str]) -> tuple[str, ...]:
    """The rides that `--rides` names, once or several times.

    Raises:
        UsageError: it was given, and names none; that must not mean all of them.
    """
    words = tuple(word.strip() for one in given for word in one.split(",") if word.strip())
    if given and not words:
        raise click.UsageError("--rides names no ride; leave it out to take all of them.")
    return words


def _layout(consumer: str | None) -> Layout:
    from identity_pipeline.settings.wording import did_you_mean
    from identity_pipeline.stages.datasets.layouts import LAYOUTS

    if consumer is None:
        names = ", ".join(sorted(LAYOUTS))
        raise click.UsageError(f"--for says who is to read it: {names}.")
    if consumer not in LAYOUTS:
        raise click.UsageError(
            f"no consumer is called {consumer!r}{did_you_mean(consumer, LAYOUTS)} "
            "`identity-pipeline export --list` says who there is."
        )
    return LAYOUTS[consumer]


def _list(as_json: bool) -> None:
    from identity_pipeline.stages.datasets.layouts import LAYOUTS
    from identity_pipeline.stages.datasets.pictures import parts_of

    takes = {
        name: {part: limits_words(limits) for part, limits in parts_of(one).items()}
        for name, one in LAYOUTS.items()
    }
    if as_json:
        echo_json(
            [{"consumer": n, "sentence": LAYOUTS[n].sentence, "takes": t} for n, t in takes.items()]
        )
        return
    rows = [
        (name if n == 0 else "", LAYOUTS[name].sentence if n == 0 else "", _of(part, name, words))
        for name, parts in takes.items()
        for n, (part, words) in enumerate(parts.items())
    ]
    echo_table(("consumer", "what it is", "takes"), rows)


def _of(part: str, name: str, words: str) -> str:
    """What one of a consumer's nodes takes, or the consumer itself."""
    return words if part == name else f"{part}: {words}"


def limits_words(limits: Limits) -> str:
    """What a consumer takes, in a few words."""
    told = {
        f"sides from {limits.short_side_px} px": limits.short_side_px,
        f"faces from {limits.face_px} px": limits.face_px,
        "exactly one face": limits.one_face,
        f"turned by at most {limits.yaw_max or 0:g} degrees": limits.yaw_max is not None,
        f"tilted by at most {limits.pitch_max or 0:g} degrees": limits.pitch_max is not None,
        "one look": limits.one_look,
        "no closed eyes": limits.eyes_open,
        f"{limits.frontal_share:.0%} frontal": limits.frontal_share,
    }
    return ", ".join([_number_words(limits), *(words for words, asked in told.items() if asked)])


def _number_words(limits: Limits) -> str:
    least, most = limits.least, limits.most
    if least > 1:
        return f"{least} to {most} pictures" if most else f"{least} pictures or more"
    return f"at most {counted(most, 'picture')}" if most else "any number"


def _tell(written: Written) -> None:
    """What was written where, of which sources, what failed, and how it is loaded."""
    told, consumer = written.manifest, written.manifest["consumer"]
    if written.reused:
        say(f"{written.folder} is there already and made of the same; nothing was written.")
    for person in told["people"]:
        counts = _counts(told, person["person_id"])
        of = ", ".join(f"{number} of {source}" for source, number in counts.items())
        pictures = counted(person["pictures"], "picture")
        say(f"{person['name']} for {consumer}: {pictures} ({of}).")
    _tell_refused(told)
    for fault in told["lacking"]:
        say(fault["sentence"])
    say(f"In {written.folder}; look at {written.folder / 'about' / 'index.html'}")
    code = code_in(written.usage)
    if code:
        say(f"Load it (README.md there says more):\n{textwrap.indent(code, '    ')}")


def _counts(told: Mapping[str, Any], person_id: str) -> dict[str, int]:
    own = (p["source_id"] for p in told["pictures"] if p["person_id"] == person_id)
    return dict(sorted(Counter(own).items()))


def _tell_refused(told: Mapping[str, Any]) -> None:
    left = told["not_written"]
    if left:
        say(f"{counted(len(left), 'picture')} that came first in the order could not be taken:")
    alike = Counter((one["source_id"], one["sentence"]) for one in left)
    for (source, sentence), number in list(alike.items())[:SHOWN]:
        say(f"  {number} of {source}: {sentence}")
    if len(alike) > SHOWN:
        say(f"  and more for {len(alike) - SHOWN} other reasons, which the page shows.")
    for one in told["skipped"]:
        say(f"{one['source_id']} gives no picture: {one['reason']}")


def code_in(usage: str) -> str | None:
    """The first code of a Markdown text: in a fence, or indented by four."""
    fenced = re.search(r"```[a-z]*\n(.+?)```", usage, re.DOTALL)
    indented = re.search(r"(?:^ {4}.*\n(?:\s*\n(?= {4}))?)+", usage, re.MULTILINE)
    found = fenced[1] if fenced else indented[0] if indented else None
    return textwrap.dedent(found).strip() if found else None
