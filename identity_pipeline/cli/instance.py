"""Dagster's instance, as the commands open it: that of the data folder they work on."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import identity_pipeline

if TYPE_CHECKING:
    import dagster as dg

    from identity_pipeline.storage.layout import Layout


FILE = "dagster.yaml"


def home() -> Path | None:
    """The folder of `dagster.yaml`: named by $DAGSTER_HOME, else here, else that of the checkout.

    Raises:
        NoInstanceError: $DAGSTER_HOME names no folder.
    """
    from identity_pipeline.storage.folder.dagster_home import HOME_VARIABLE, NoInstanceError

    named = os.environ.get(HOME_VARIABLE)
    if named:
        if not Path(named).is_dir():
            raise NoInstanceError(
                f"{HOME_VARIABLE} names {named}, which is no folder; set it to the folder of "
                f"{FILE}, or unset it."
            )
        return Path(named).absolute()
    checkout = Path(identity_pipeline.__file__).parents[1]
    places = (Path.cwd(), checkout)
    return next((place for place in places if (place / FILE).is_file()), None)


@contextmanager
def dagster_instance(layout: Layout, *, look: bool = False) -> Iterator[dg.DagsterInstance]:
    """The instance of a data folder; one that is forgotten where there is no `dagster.yaml`.

    Args:
        layout: the data folder.
        look: the command changes nothing, so an instance that was never used is not made.

    Raises:
        NoInstanceError: it belongs to another data folder, or cannot be opened.
    """
    import dagster as dg

    from identity_pipeline.defs.instance.binding import bind

    place = home()
    if place is None or (look and not may_have_runs(layout)):
        with dg.DagsterInstance.ephemeral() as forgotten:
            yield forgotten
        return
    with _opened(place, layout) as instance:
        bind(instance, layout, look=look)
        yield instance


def _opened(place: Path, layout: Layout) -> dg.DagsterInstance:
    """The instance that `dagster.yaml` describes.

    Raises:
        NoInstanceError: it cannot be opened.
    """
    import dagster as dg
    from sqlalchemy.exc import SQLAlchemyError

    from identity_pipeline.defs.instance.instance_home import instance_of
    from identity_pipeline.storage.folder.dagster_home import HOME_VARIABLE, NoInstanceError

    with instance_of(layout.root):
        try:
            return dg.DagsterInstance.from_config(str(place))
        except (OSError, SQLAlchemyError, dg.DagsterError) as error:
            if _is_closed(place, layout):
                raise NoInstanceError(
                    f"{layout.dagster} cannot be written, and Dagster's databases in it cannot be "
                    "opened without that, not even to look at runs; let this user write there."
                ) from error
            raise NoInstanceError(
                f"Dagster's instance ({place / FILE}) cannot be opened: {_first_line(error)}; mend "
                f"that, or name another folder in {HOME_VARIABLE}."
            ) from error


def _is_closed(place: Path, layout: Layout) -> bool:
    """Whether an instance is kept in the data folder, and may not be written there."""
    there = layout.dagster if layout.dagster.is_dir() else layout.root
    return kept_in_data_folder(place) and not os.access(there, os.W_OK)


def may_have_runs(layout: Layout) -> bool:
    """Whether there may be runs to see: always, where the state is not kept in the data folder.

    Raises:
        NoInstanceError: see `home`.
    """
    place = home()
    return place is not None and (not kept_in_data_folder(place) or layout.dagster.is_dir())


def kept_in_data_folder(place: Path) -> bool:
    """Whether an instance keeps its runs in the data folder."""
    text = (place / FILE).read_text(encoding="utf-8") if (place / FILE).is_file() else ""
    return "DataFolderStorage" in text


def _first_line(error: BaseException) -> str:
    cause = error.__cause__ or error
    return next(iter(str(cause).splitlines()), type(cause).__name__)
