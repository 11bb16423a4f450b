"""Where packs of models lie: in a folder that was named, or below a name.

`open` is the name of the pack that `identity-pipeline models fetch open` makes and keeps for the
user; any other name is one of InsightFace's, which InsightFace downloads. What is in a pack is read
elsewhere (`face_pack`); importing this module loads no model library.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from identity_pipeline.errors import IdentityPipelineError, system_words
from identity_pipeline.models.cards import ModelCardError, read_card
from identity_pipeline.settings import ModelSettings
from identity_pipeline.storage.files.hashing import sha256_of_file

OPEN: Final = "open"
"""The pack of openly licensed nets. The name wins over a folder of that name: `./open` is one."""
FETCH_OPEN: Final = "identity-pipeline models fetch open"
APPLICATION: Final = "identity-pipeline"


class FacePackError(IdentityPipelineError, RuntimeError):
    """A face pack cannot be found or loaded, or lacks what the pipeline needs."""


def pack_root(settings: ModelSettings) -> Path:
    """The folder that fetched packs are kept in: `models.pack_root`, else the user's cache."""
    import platformdirs

    if settings.pack_root:
        return Path(settings.pack_root).expanduser()
    return platformdirs.user_cache_path(APPLICATION, appauthor=False) / "packs"


def kept_folder(name: str, settings: ModelSettings) -> Path:
    """Where a pack lies, or would lie once it was fetched. Nothing is looked at or downloaded.

    Args:
        name: of a pack, or a folder; what `models.face_pack` or `models.perception` says.
        settings: the roots.
    """
    if name == OPEN:
        return pack_root(settings) / OPEN
    given = Path(name).expanduser()
    if given.is_dir() or not _is_name(name):
        return given
    return Path(settings.face_pack_root).expanduser() / "models" / name


def pack_folder(name: str, settings: ModelSettings, setting: str = "models.face_pack") -> Path:
    """The folder of a pack; a name of InsightFace's that is not yet there is downloaded by it.

    Args:
        name: of a pack, or a folder.
        settings: the roots.
        setting: which setting said so, for the sentence of an error.

    Raises:
        FacePackError: there is no such folder, it may not be read, it was not fetched yet, its
            download failed, or it holds a file that is not the one that its card records.
    """
    try:
        folder = kept_folder(name, settings)
        if folder.is_dir():
            return _as_recorded(folder.resolve())
    except OSError as error:
        raise FacePackError(f"{setting}: the pack cannot be read. {system_words(error)}") from error
    if name == OPEN:
        raise FacePackError(
            f"the open model pack ({setting}) is not on this machine yet (looked in {folder}); "
            f"fetch it once: {FETCH_OPEN}"
        )
    given = Path(name).expanduser()
    if given.is_file():
        raise FacePackError(f"{setting} names the file {given}; name the pack's folder.")
    if not _is_name(name):
        raise FacePackError(
            f"{setting} names the folder {given}, which does not exist; give the folder of a pack, "
            f"or the name of one: `{OPEN}`, or one of InsightFace's."
        )
    return _by_insightface(name, settings, setting)


def pack_is_here(name: str, settings: ModelSettings) -> bool:
    """Whether a pack can be had without a download; also one that a run never downloads."""
    if name == OPEN or not _is_name(name):
        return True
    return kept_folder(name, settings).is_dir()


def _as_recorded(folder: Path) -> Path:
    """The folder, after comparing its files with the digests that its card records, if any."""
    try:
        card = read_card(folder)
    except ModelCardError as error:
        raise FacePackError(str(error)) from error
    for name, digest in card.files.items():
        path = folder / name
        if not path.is_file() or sha256_of_file(path) != digest:
            what = "is not the file that its pack.json records" if path.exists() else "is missing"
            again = f" ({FETCH_OPEN})" if card.name == OPEN else ""
            raise FacePackError(f"{path} {what}; get the pack anew{again}.")
    return folder


def _is_name(word: str) -> bool:
    """Whether a word is no path: `./pack` is one, though nothing but `pack` is left of it."""
    return "/" not in word and os.sep not in word and not word.startswith(("~", "."))


def _by_insightface(name: str, settings: ModelSettings, setting: str) -> Path:
    from insightface.utils import ensure_available

    try:
        return Path(ensure_available("models", name, root=settings.face_pack_root)).resolve()
    except Exception as error:
        raise FacePackError(
            f"the face pack {name} is not in {settings.face_pack_root} and could not "
            f"be downloaded ({error}); get it once on a machine with a network, or set "
            f"{setting} to a folder of ONNX files."
        ) from error
