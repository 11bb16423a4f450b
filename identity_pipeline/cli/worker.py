"""`identity-pipeline worker`: takes runs from the broker and does them."""

from __future__ import annotations

import os

import click

from identity_pipeline.cli.instance import dagster_instance
from identity_pipeline.cli.options import merged_settings, open_store

MISSING = "Workers need the extra `deploy`: pip install 'identity_pipeline[deploy]'"


@click.command()
@click.option(
    "--queue",
    "queues",
    multiple=True,
    default=("gpu",),
    show_default=True,
    help="Queue to take runs from; may repeat.",
)
@click.option(
    "--slots",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Runs at once, each in a process of its own.",
)
@click.option(
    "--log-level",
    type=click.Choice(["DEBUG", "INFO", "WARNING", "ERROR"]),
    default="INFO",
    show_default=True,
)
def worker(queues: tuple[str, ...], slots: int, log_level: str) -> None:
    """Work for a Dagster instance that gives out its runs by Celery, until it is stopped.

    $DAGSTER_HOME names a dagster.yaml with a Celery launcher, such as deploy/linux/dagster.yaml;
    broker and queues are read from there. One run is one video. SIGTERM (systemctl stop) lets the
    run at hand finish; `identity-pipeline pause` before it makes that a matter of seconds.

    \b
      CUDA_VISIBLE_DEVICES=0 identity-pipeline worker --queue gpu       one for each GPU
      identity-pipeline worker --queue cpu                              the library, the reports
    """
    from identity_pipeline.defs.deploy import celery_worker

    try:
        with dagster_instance(open_store(merged_settings({})).layout) as instance:
            app = celery_worker.worker_app(instance)
    except ModuleNotFoundError as error:
        raise click.ClickException(f"{error}. {MISSING}") from error
    celery_worker.die_with_the_worker()
    celery_worker.open_before_the_first_run(queues, slots)
    # The process number makes the name unlike that of a worker that died before it.
    name = f"{queues[0]}-{os.getpid()}"
    app.worker_main(celery_worker.arguments(queues, slots, name, log_level))
