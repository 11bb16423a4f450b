"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from identity_pipeline.cli.lists import say
from identity_pipeline.cli.spoken import DATA, DATA_OPTION
from identity_pipeline.storage.files import private

if TYPE_CHECKING:
    from identity_pipeline.settings import Settings
    from identity_pipeline.stages.stores import LibraryStores
    from identity_pipeline.storage.layout import Layout
    from identity_pipeline.storage.video.registry import Registration
    from identity_pipeline.storage.video.tables import TableStore

Command = TypeVar("Command", bound=Callable[..., Any])


def data_option(command: Command) -> Command:
    """`--data`, also understood before the command's name."""
    return click.option(
        "--data",
        type=click.Path(),
        callback=_noted_data,
        help="Data folder.  [default: paths.data]",
    )(command)


def _noted_data(context: click.Context, option: click.Parameter, data: str | None) -> str | None:
    del option
    if data is not None:
        context.meta[DATA_OPTION] = data  # what is hinted at afterwards needs it too
    return data


def model_options(command: Command) -> Command:
    """`--models`, `--vision` and `--device`."""
    for option in (
        click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), help="Device."),
        click.option(
            "--vision", help="Vision encoder: id or folder.  [default: models.vision_encoder]"
        ),
        click.option(
            "--models", "pack", help="Face pack: name or folder.  [default: models.face_pack]"
        ),
    ):
        command = option(command)
    return command


def overrides(
    data: str | None = None,
    pack: str | None = None,
    vision: str | None = None,
    device: str | None = None,
) -> dict[str, dict[str, str]]:
    """Groups of settings from options; what was not given is left to file and environment."""
    context = click.get_current_context(silent=True)
    if data is None and context is not None:
        data = context.meta.get(DATA_OPTION)
    models = {"face_pack": pack, "vision_encoder": vision, "device": device}
    groups = {"paths": {"data": data}, "models": models}
    given = {
        name: {k: v for k, v in group.items() if v is not None} for name, group in groups.items()
    }
    return {name: group for name, group in given.items() if group}


def merged_settings(groups: dict[str, dict[str, str]]) -> Settings:
    """Settings with the options on top.

    Raises:
        SettingsError: a value is out of bounds or misspelt.
    """
    from identity_pipeline.settings import load_settings

    return load_settings(**groups)


def find_layout(settings: Settings, *, new: bool = False) -> Layout:
    """The data folder, of whatever format.

    Args:
        settings: `paths.data`.
        new: there may be no folder yet; else a looking command is told which one may be meant.

    Raises:
        NoDataFolderError: there is none, or it is another.
    """
    from identity_pipeline.settings import load_settings
    from identity_pipeline.storage.folder.data_folder import check_data_folder
    from identity_pipeline.storage.layout import Layout

    private.guard(group_may_read=settings.paths.group_may_read)
    layout = Layout(Path(settings.paths.data))
    check_data_folder(layout.root, [Path(load_settings().paths.data)], new=new)
    context = click.get_current_context(silent=True)
    if context is not None:
        context.meta[DATA] = str(layout.root)
    return layout


def open_layout(settings: Settings, *, claim: bool = False, new: bool = False) -> Layout:
    """The data folder, which is brought to the present format.

    Args:
        settings: `paths.data`.
        claim: the command begins to work here, so a folder that is new becomes a data folder.
        new: there may be no folder yet.

    Raises:
        NoDataFolderError: there is none, or it is another.
        DataFolderError: it is of a newer format, or damaged.
    """
    from identity_pipeline.storage.folder.data_folder import claim_data_folder, open_data_folder

    layout = find_layout(settings, new=new or claim)
    open_it = claim_data_folder if claim else open_data_folder
    open_it(layout, lambda sentence: say(sentence, err=True))
    return layout


def open_store(settings: Settings, *, claim: bool = False, new: bool = False) -> TableStore:
    """The store below the data folder; see `open_layout`."""
    from identity_pipeline.storage.video.tables import TableStore

    return TableStore(open_layout(settings, claim=claim, new=new))


def open_stores(settings: Settings) -> LibraryStores:
    """The library's stores below the data folder; see `open_store`."""
    from identity_pipeline.stages.stores import LibraryStores

    return LibraryStores.of(open_store(settings))


def find_source(store: TableStore, name: str) -> str:
    """The id of the video or of the photo set that a person means.

    A photo set is meant by its id, or by a beginning of it that is of no other set and no video.

    Raises:
        click.UsageError: none or several fit.
    """
    from identity_pipeline.storage.photos.photo_sets import PhotoSets
    from identity_pipeline.storage.video.registry import VideoRegistry

    sets = [set_id for set_id in PhotoSets(store.layout).ids() if set_id.startswith(name)]
    if name in sets:
        return name
    fit = sets + [v for v in VideoRegistry(store.layout).ids() if sets and v.startswith(name)]
    if len(fit) > 1:
        raise click.UsageError(f"{name!r} may be any of {', '.join(fit)}; give more of the id.")
    return fit[0] if fit else find_video(store, name).video_id


class Moment(click.ParamType[float]):
    """Seconds, or minutes and seconds as pages show them: `58.5`, `0:58`."""

    name = "moment"

    def convert(
        self, value: str | float, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Seconds."""
        from identity_pipeline.core.video.clock import seconds_of

        try:
            return seconds_of(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


def find_video(store: TableStore, name: str) -> Registration:
    """The video a person means.

    Raises:
        click.UsageError: none or several fit.
    """
    from identity_pipeline.storage.video.registry import VideoRegistry

    registry = VideoRegistry(store.layout)
    record = registry.find(name)
    if record is None:
        raise click.UsageError(
            f"{registry.no_single(name)}; `identity-pipeline videos` lists them."
        )
    return record
