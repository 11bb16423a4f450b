"""`identity-pipeline train`: a head from the labels, judged, and live only if it is better."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from identity_pipeline.cli.curating import now, short_track
from identity_pipeline.cli.index import bar
from identity_pipeline.cli.lists import echo_json, json_option, say
from identity_pipeline.cli.options import data_option, merged_settings, open_stores, overrides
from identity_pipeline.cli.working import (
    command_at_work,
    end_paused,
    refuse_unless_ready,
    refuse_while_paused,
)

if TYPE_CHECKING:
    from identity_pipeline.core.heads.judgement import Comparison, DoubtfulLabel
    from identity_pipeline.core.heads.training_state import Epoch
    from identity_pipeline.settings import Settings
    from identity_pipeline.stages.learning import judging
    from identity_pipeline.stages.learning.training import Trained, TrainingRequest
    from identity_pipeline.stages.stores import LibraryStores
    from identity_pipeline.storage.library.training_sessions import TrainingSession
    from identity_pipeline.storage.progress.pause import Pause


@click.command()
@click.option("--epochs", type=click.IntRange(min=1), help="How many.  [default: train.epochs]")
@click.option("--resume", is_flag=True, help="Go on with the training that was stopped last.")
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), help="Device of torch.")
@json_option
@data_option
def train(
    epochs: int | None, resume: bool, device: str | None, as_json: bool, data: str | None
) -> None:
    """Learn from the labels: train a head, judge it on people and videos it never saw.

    \b
      identity-pipeline train                 20 epochs; Ctrl-C keeps what was learnt so far
      identity-pipeline train --resume        goes on exactly where it stopped
      identity-pipeline train --resume --device cpu
                                              though it began on a GPU, which its record then says
      identity-pipeline status library        how far it is, from another terminal
      identity-pipeline heads                 all heads, and which one is live
      identity-pipeline reassign --use-trained-model
                                              what the live head moves, and then move it

    Only tracks that humans confirmed teach. A head goes live only if it accepts surely more genuine
    pairs of faces at the set false-accept rate (train.judge_far), no fewer of tracks, and no person
    is found less often; else it is kept, and the reason is told. Profiles are made or enriched in
    any case, also where there are too few labels to train. `identity-pipeline pause` stops it
    behind its epoch, with exit status 75.
    """
    from identity_pipeline.stages.learning import training
    from identity_pipeline.stages.learning.training_data import TooLittleToLearnError

    settings = merged_settings(overrides(data, device=device))
    stores = open_stores(settings)
    refuse_unless_ready(stores.tables, settings)
    refuse_while_paused(stores.tables)
    request = training.TrainingRequest(epochs, resume, settings.models.device)
    try:
        session = _begun(stores, settings, request)
    except TooLittleToLearnError:
        told = training.profiles_without_learning(stores, settings, now())
        if told:
            say(told, err=as_json)
        raise
    trained = _trained(stores, settings, session, quiet=as_json)
    if not as_json:
        say(trained.message)
    verdict = _judged(stores, settings, trained.session)
    if as_json:
        echo_json(
            {"message": trained.message, "session": vars(trained.session), **verdict.as_json()}
        )
        return
    for line in verdict_lines(verdict):
        say(line)


def _begun(stores: LibraryStores, settings: Settings, request: TrainingRequest) -> TrainingSession:
    from identity_pipeline.stages.learning import training

    with bar() as shown, command_at_work(stores.tables, "training_set", shown) as (work, report):
        session = training.start(stores, settings, now(), request, report)
        work.computed = not request.resume
        table = stores.trainings.training_set(session)
        work.units = table["track_key"].n_unique()
    return session


class _Paused(KeyboardInterrupt):
    """All runs are to stop; the training ends as by Ctrl-C."""

    def __init__(self, order: Pause) -> None:
        super().__init__(order.sentence())
        self.order = order


def _trained(
    stores: LibraryStores, settings: Settings, session: TrainingSession, *, quiet: bool
) -> Trained:
    """The session at its end.

    Raises:
        SystemExit: `TRY_LATER`, when a pause stopped it.
    """
    from identity_pipeline.stages.learning import training
    from identity_pipeline.storage.progress.pause import paused

    with command_at_work(stores.tables, "projection_head") as (work, report):
        work.units = 0

        def told(epoch: Epoch, planned: int) -> None:
            work.units = (work.units or 0) + 1
            if not quiet:
                say(
                    f"epoch {epoch.number:3d} of {planned}  loss {epoch.loss:.4f}  "
                    f"{epoch.active:5.1%} not right by the margin yet"
                )
            order = paused(stores.layout) if epoch.number < planned else None
            if order:
                raise _Paused(order)

        try:
            trained = training.train(
                stores, settings, session, now(), report, told, when_stopped=_tell_stopped
            )
        except _Paused as stop:
            end_paused(stop.order)
        work.computed = True
    return trained


def _judged(stores: LibraryStores, settings: Settings, session: TrainingSession) -> judging.Verdict:
    from identity_pipeline.stages.learning import judging

    with bar() as shown, command_at_work(stores.tables, "head_evaluation", shown) as (work, report):
        work.units = 1
        verdict = judging.judge_head(stores, settings, session, now(), report)
        work.computed = verdict.judgement is not None
    return verdict


def _tell_stopped(trained: Trained) -> None:
    say(f"\n{trained.message}", err=True)


def verdict_lines(verdict: judging.Verdict) -> list[str]:
    """A verdict with its numbers, for people."""
    lines = [verdict.sentence]
    judgement = verdict.judgement
    if judgement is not None:
        for name, found in (("faces", judgement.faces), ("tracks", judgement.tracks)):
            lines += _comparison_lines(name, found)
        others = ", ".join(
            f"{name} {_shown(faces)} and {_shown(tracks)}"
            for name, (faces, tracks) in judgement.baselines.items()
        )
        lines.append(f"  baselines  {others} (faces and tracks)")
        audit = judgement.audit
        lines.append(
            f"  doubtful   {len(audit.doubtful)} of {audit.tracks} confirmed tracks look more like "
            "somebody else" + "".join(f"; {_doubt(one)}" for one in audit.doubtful[:3])
        )
    if verdict.contradicted is not None:
        lines.append(
            f"  against    {len(verdict.contradicted)} human decisions, which all stay in force"
        )
    if verdict.promoted:
        lines.append("See what it moves: identity-pipeline reassign --use-trained-model")
    return lines


def _comparison_lines(name: str, found: Comparison) -> list[str]:
    change = found.accepted
    return [
        f"  {name:9}  {found.after.genuine} genuine and {found.after.impostor} impostor held-out "
        f"pairs of {found.after.testable} people",
        f"             accepted at FAR {found.far:.2g}: {_shown(change.before)} before, "
        f"{_shown(change.after)} after, difference {_shown(change.difference, '+.3f')} "
        f"(95 % interval {_shown(change.low, '+.3f')} to {_shown(change.high, '+.3f')}); "
        f"ROC-AUC {_shown(found.before.auc)} before, {_shown(found.after.auc)} after",
    ]


def _doubt(label: DoubtfulLabel) -> str:
    return f"{short_track(label.track_key)} like {short_track(label.nearest)} (+{label.lead:.2f})"


def _shown(value: float | None, form: str = ".3f") -> str:
    return "not measured" if value is None else format(value, form)
