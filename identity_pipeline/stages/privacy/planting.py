"""A planted control: made-up vectors, pictures and names in every kind of file that is taken apart.

What belongs here: writing them, and which probes find them. They are random, so they can be nobody,
and they go as soon as the scan is done. What a scan must find of them says that it would have found
a person's, on that disk, with those libraries, on that day.
"""

from __future__ import annotations

import base64
import gzip
import html
import io
import json
import shutil
import sqlite3
import tarfile
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import polars as pl

from identity_pipeline.core.vectors import normalise
from identity_pipeline.stages.privacy.probes import CROP, Probes, picture_blob, vector_blob
from identity_pipeline.storage.files import atomic, private

LENGTH: Final = 128
CROP_BYTES: Final = 6000
COMPRESSIONS: Final = ("zstd", "lz4", "snappy", "gzip", "uncompressed")


class Secret(NamedTuple):
    """What is planted in one file: a unit vector, bytes like a picture's, and a name."""

    vector: np.ndarray
    crop: bytes
    name: str


@contextmanager
def planted(root: Path) -> Iterator[tuple[Path, Mapping[str, Probes]]]:
    """Plants a control below a folder; it is gone when the block ends, however that is.

    Yields:
        The folder it lies in, and the probes of each file by the file's name.
    """
    folder = atomic.temporary_beside(root / "control")
    private.make_folder(folder)
    try:
        secrets: dict[str, Probes] = {}
        for name, write in _writers().items():
            secret = _secret()
            data = write(secret, folder / name)
            if data is not None:
                (folder / name).write_bytes(data)
            secrets[name] = Probes(
                (vector_blob(secret.vector), picture_blob(CROP, secret.crop, 4)),
                {LENGTH: secret.vector[None, :]},
                (secret.name,),
            )
        yield folder, secrets
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _secret() -> Secret:
    random = np.random.default_rng()  # nobody's, and never the same
    vector = normalise(random.standard_normal((1, LENGTH)))[0]
    return Secret(vector, random.bytes(CROP_BYTES), f"contrôle-{random.bytes(6).hex()}")


def _table(secret: Secret) -> pl.DataFrame:
    random = np.random.default_rng()
    rows = [normalise(random.standard_normal((1, LENGTH)))[0] for _ in range(3)]
    return pl.DataFrame(
        {
            "e_id": [*rows, secret.vector],
            "region_jpeg": [random.bytes(CROP_BYTES) for _ in rows] + [secret.crop],
            "name": ["", "", "", secret.name],
        },
        schema={"e_id": pl.List(pl.Float32), "region_jpeg": pl.Binary, "name": pl.String},
    )


def _parquet(compression: Any) -> Any:
    def write(secret: Secret, path: Path) -> None:
        _table(secret).write_parquet(path, compression=compression)

    return write


def _plain(secret: Secret) -> bytes:
    """The three, one after the other."""
    return secret.vector.astype("<f4").tobytes() + secret.crop + b"\0name " + secret.name.encode()


def _zip(secret: Secret, path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("data/inner.bin", _plain(secret))


def _tar(secret: Secret, path: Path) -> None:
    packed = gzip.compress(_plain(secret))
    with tarfile.open(path, "w") as archive:
        entry = tarfile.TarInfo("inner.gz")
        entry.size = len(packed)
        archive.addfile(entry, io.BytesIO(packed))


def _gzip(secret: Secret, path: Path) -> bytes:
    del path
    return gzip.compress(_plain(secret))


def _npz(secret: Secret, path: Path) -> None:
    np.savez_compressed(
        path,
        half=secret.vector[None, :].astype(np.float16),
        crop=np.frombuffer(secret.crop, np.uint8),
        name=np.frombuffer(secret.name.encode(), np.uint8),
    )


def _safetensors(secret: Secret, path: Path) -> None:
    from safetensors.numpy import save_file

    crop = np.frombuffer(secret.crop, np.uint8).copy()
    tensors = {"double": secret.vector[None, :].astype(np.float64), "crop": crop}
    save_file(tensors, path, metadata={"name": secret.name})


def _sqlite(secret: Secret, path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA secure_delete = OFF")
        _insert(connection, secret)
        connection.commit()


def _freed(secret: Secret, path: Path) -> None:
    """Deleted rows, whose pages are free and still hold them."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA secure_delete = OFF")
        _insert(connection, secret)
        connection.commit()
        connection.execute("DELETE FROM control")
        connection.commit()


def _insert(connection: sqlite3.Connection, secret: Secret) -> None:
    connection.execute("CREATE TABLE control (id INTEGER PRIMARY KEY, name, vector, crop)")
    # In this order: deleting overwrites the first bytes of a row, and of each page that it leaves.
    row = (secret.name, secret.vector.astype("<f4").tobytes(), secret.crop)
    connection.execute("INSERT INTO control (name, vector, crop) VALUES (?, ?, ?)", row)


def _json(secret: Secret, path: Path) -> bytes:
    """Decimal numbers, base64 and an escaped name, in JSON that is itself a string of JSON."""
    del path
    value = {
        "vector": [round(float(number), 7) for number in secret.vector],
        "crop": base64.b64encode(secret.crop).decode(),
        "name": secret.name,
    }
    return json.dumps({"metadata": json.dumps(value)}).encode()


def _html(secret: Secret, path: Path) -> bytes:
    del path
    crop, vector = base64.b64encode(secret.crop).decode(), secret.vector.astype("<f4").tobytes()
    name = html.escape(secret.name).replace("ô", "&ocirc;")
    return (
        f'<img src="data:image/jpeg;base64,{crop}"><p data-e="{base64.b64encode(vector).decode()}">'
        f"{name}</p>"
    ).encode()


def _wide(secret: Secret, path: Path) -> bytes:
    """A name in UTF-16 between bytes of the other two."""
    del path
    name = f"the name {secret.name} in words".encode("utf-16-le")
    return secret.crop + name + secret.vector.astype("<f4").tobytes()


def _writers() -> dict[str, Any]:
    """File -> what writes it; the name says in what the secret lies."""
    return {
        **{f"{name}.parquet": _parquet(name) for name in COMPRESSIONS},
        "deflated.zip": _zip,
        "gzip-in-tar.tar": _tar,
        "plain.gz": _gzip,
        "half-precision.npz": _npz,
        "double-precision.safetensors": _safetensors,
        "rows.sqlite": _sqlite,
        "deleted-rows.sqlite": _freed,
        "nested.json": _json,
        "page.html": _html,
        "utf-16.bin": _wide,
    }
