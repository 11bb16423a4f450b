"""One Dagster instance, one data folder: both note the other, and whoever starts compares.

An instance that served two folders would show runs of one as the state of the other, and a folder
with two instances would be worked on twice. The notes are made by the first who works with both.
"""

from __future__ import annotations

import json
import uuid
from pathlib import Path

import dagster as dg

from identity_pipeline.defs.instance.partitions import videos
from identity_pipeline.storage.files import atomic
from identity_pipeline.storage.files.locks import exclusive
from identity_pipeline.storage.folder.dagster_home import NoInstanceError
from identity_pipeline.storage.folder.data_folder import claim_data_folder, open_data_folder
from identity_pipeline.storage.layout import Layout
from identity_pipeline.storage.video.registry import VideoRegistry

FOLDER = "identity_pipeline/data_folder"
"""Key in Dagster's database: the id of the data folder that the instance is for."""
NAME = "identity_pipeline/instance"
"""Key in Dagster's database: a name that no other instance has."""
TEMPORARY = ".tmp_dagster_home"
"""What `dagster dev` calls the folder of an instance that it forgets when it ends."""
WAIT_S = 30.0
MEND = (
    "start Dagster with `make dev`, or with DAGSTER_HOME set to the folder of dagster.yaml and the "
    "data folder named in the settings (paths.data)"
)


class WrongInstanceError(NoInstanceError):
    """The instance belongs to another data folder, or the data folder to another instance."""


def bind(instance: dg.DagsterInstance, layout: Layout, *, look: bool = False) -> None:
    """Checks that an instance is that of a data folder; the first time, notes that it is.

    An instance that is forgotten with its process is anybody's.

    Args:
        instance: Dagster's.
        layout: the data folder.
        look: note nothing.

    Raises:
        WrongInstanceError: it is another one's.
        NoInstanceError: Dagster's folder cannot be written.
        DataFolderError: the data folder cannot be opened.
    """
    if instance.is_ephemeral:
        return
    if TEMPORARY in instance.root_directory:
        raise WrongInstanceError(
            "Dagster was started without DAGSTER_HOME, so it would forget all that it does; "
            f"{MEND}."
        )
    if look:
        known = open_data_folder(layout)
        if known is not None and known.id:
            _agree(instance, layout, known.id)
        return
    try:
        folder = claim_data_folder(layout).id
        if _agree(instance, layout, folder):
            return
        with exclusive(layout.dagster / ".binding.lock", "Dagster's folder", "binding", WAIT_S):
            if not _agree(instance, layout, folder):
                _adopt(instance, layout, folder)
    except OSError as error:
        raise NoInstanceError(
            f"Dagster's state in {layout.dagster} cannot be written: {error.strerror or error}; "
            "free space there, or give this user the right to write, then try again."
        ) from error


def _agree(instance: dg.DagsterInstance, layout: Layout, folder: str) -> bool:
    """Whether both notes are there and fit; they do not yet where the folder got a new id.

    Raises:
        WrongInstanceError: they do not fit.
    """
    noted = instance.run_storage.get_cursor_values({FOLDER, NAME})
    of, name = noted.get(FOLDER), noted.get(NAME)
    known = _noted_instance(layout)
    own = known is not None and known == name and _is_inside(instance, layout)
    if of is not None and of != folder and not own:
        raise WrongInstanceError(
            f"this Dagster instance ({instance.root_directory}) belongs to another data folder "
            f"than {layout.root}; {MEND}."
        )
    if known is not None and known != name:
        raise WrongInstanceError(
            f"{layout.root} has a Dagster instance already, and this ({instance.root_directory}) "
            f"is another one; {MEND}. If the other one is given up for good, delete "
            f"{_note(layout)}."
        )
    return of == folder and known is not None


def _is_inside(instance: dg.DagsterInstance, layout: Layout) -> bool:
    return Path(instance.root_directory).resolve().is_relative_to(layout.root.resolve())


def _adopt(instance: dg.DagsterInstance, layout: Layout, folder: str) -> None:
    _check_history(instance, layout)
    name = instance.run_storage.get_cursor_values({NAME}).get(NAME) or uuid.uuid4().hex
    instance.run_storage.set_cursor_values({FOLDER: folder, NAME: name})
    atomic.write_json(_note(layout), {"instance": name})


def _check_history(instance: dg.DagsterInstance, layout: Layout) -> None:
    """An instance from before there were notes may know videos of another data folder.

    Where its state lies in this folder they are forgotten; a video of this folder is done where
    its outputs are here, whatever was made of it elsewhere.
    """
    known = set(instance.get_dynamic_partitions(str(videos.name)))
    strangers = known - set(VideoRegistry(layout).ids())
    inside = _is_inside(instance, layout)
    if strangers and strangers == known and not inside:
        raise WrongInstanceError(
            f"this Dagster instance ({instance.root_directory}) knows {len(known)} videos, and "
            f"{layout.root} none of them; {MEND}."
        )
    for key in sorted(strangers) if inside else ():
        instance.delete_dynamic_partition(str(videos.name), key)


def _note(layout: Layout) -> Path:
    return layout.dagster / "instance.json"


def _noted_instance(layout: Layout) -> str | None:
    try:
        return str(json.loads(_note(layout).read_bytes())["instance"])
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError):  # it is written again; the database is what counts
        return None
