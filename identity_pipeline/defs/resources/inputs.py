"""Tables that a step asks for by name: dependencies for Dagster, read from the store.

Handed over by an IO manager, every input is two events in Dagster's log and several questions to
its database. A video has a hundred inputs: they were half of all its events.
"""

import functools
import inspect
from collections.abc import Callable
from typing import Any

import dagster as dg
import polars as pl

from identity_pipeline.storage.files.small_files import DamagedFileError
from identity_pipeline.storage.video.crop_archive import CropArchive
from identity_pipeline.storage.video.failures import DAMAGED, FailureNote, FailureNotes
from identity_pipeline.storage.video.tables import TableStore

KIND = inspect.Parameter.POSITIONAL_OR_KEYWORD
INPUTS = (pl.DataFrame, CropArchive)
HANDED = {"context": inspect.Parameter.empty, "store": dg.ResourceParam[TableStore]}


def from_store(function: Callable[..., Any]) -> tuple[Callable[..., Any], list[str]]:
    """A step that reads its tables itself, and the names of the assets that it reads.

    Args:
        function: body of an asset or of a check. Parameters annotated as tables or crops are named
            after assets.

    Returns:
        The function without these parameters, but with `context` and `store`: it reads the tables
        of the context's video and calls the body with them.
    """
    parameters = inspect.signature(function).parameters
    asked = {name: p.annotation for name, p in parameters.items() if p.annotation in INPUTS}

    @functools.wraps(function)
    def step(context: Any, store: TableStore, **others: Any) -> Any:
        handed = {"context": context, "store": store}
        video_id = context.partition_key
        try:
            tables = {
                name: store.crops(video_id) if kind is CropArchive else store.read(name, video_id)
                for name, kind in asked.items()
            }
        except DamagedFileError as error:
            FailureNotes(store.layout).put(
                video_id, FailureNote(DAMAGED, str(error), function.__name__, permanent=False)
            )
            raise dg.Failure(
                str(error), metadata={"reason_code": DAMAGED}, allow_retries=False
            ) from error
        own = {name: value for name, value in handed.items() if name in parameters}
        return function(**own, **tables, **others)

    first = [
        parameters.get(name, inspect.Parameter(name, KIND, annotation=annotation))
        for name, annotation in HANDED.items()
    ]
    rest = [p for name, p in parameters.items() if name not in (*asked, *HANDED)]
    step.__signature__ = inspect.Signature([*first, *rest])  # type: ignore[attr-defined]
    kept = {p.name: p.annotation for p in (*first, *rest) if p.annotation is not p.empty}
    step.__annotations__ = kept
    return step, list(asked)
