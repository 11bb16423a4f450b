"""Pictures that the desk drew of stored crops and of source videos: kept, and found again.

What belongs here: finding, keeping and dropping them. What does not: drawing (`stages.desk`). They
are derived, private, and may be deleted at any time. Each lies in a folder that names the version
of what it was drawn from, so that a video that was processed anew never shows an old face.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from identity_pipeline.storage.files import atomic
from identity_pipeline.storage.files.hashing import sha256_of_value
from identity_pipeline.storage.layout import VIDEO_ID, Layout
from identity_pipeline.storage.video.outputs import MANIFEST, Outputs

DIGITS: Final = 12
"""Of the digest in a version."""


def version_of(kind: str, *made_of: str | int | float | None) -> str:
    """A folder's name: the kind of pictures, and a digest of what they are drawn from."""
    return f"{kind}-{sha256_of_value(made_of)[:DIGITS]}"


@dataclass(frozen=True)
class DrawnPictures:
    """The pictures in `data/desk/pictures`."""

    layout: Layout

    def get(self, video_id: str, version: str, name: str) -> bytes | None:
        """A picture's bytes, a JPEG; None where it is not drawn yet.

        Raises:
            UnsafePathError: a name would lead out of its folder.
        """
        try:
            return self.layout.desk_picture(video_id, version, name).read_bytes()
        except FileNotFoundError:
            return None

    def missing(self, video_id: str, version: str, names: Iterable[str]) -> list[str]:
        """Those of some pictures that are not drawn yet."""
        place = self.layout.desk_picture
        return [name for name in names if not place(video_id, version, name).is_file()]

    def keep(self, video_id: str, version: str, pictures: Mapping[str, bytes]) -> None:
        """Keeps pictures by their names; those of the same kind of other versions are dropped."""
        kind = version.rpartition("-")[0]
        folder = self.layout.desk_pictures(video_id)
        with contextlib.suppress(FileNotFoundError):
            for old in list(folder.iterdir()):
                if old.name.rpartition("-")[0] == kind and old.name != version:
                    shutil.rmtree(old, ignore_errors=True)
        for name, data in pictures.items():
            atomic.write_bytes(self.layout.desk_picture(video_id, version, name), data)

    def drop_of_gone(self) -> list[str]:
        """Drops the pictures of sources whose crops are recorded no more; returns their ids."""
        root = self.layout.desk_pictures_root
        gone = []
        for folder in sorted(root.iterdir()) if root.is_dir() else ():
            is_source = VIDEO_ID.fullmatch(folder.name) and not folder.is_symlink()
            if is_source and not Outputs(self.layout).has("face_crops", folder.name, MANIFEST):
                shutil.rmtree(folder, ignore_errors=True)
                gone.append(folder.name)
        return gone
