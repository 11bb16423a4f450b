"""What is inside a file: its bytes as they lie, and what they hold once decoded.

What belongs here: telling what a file is by its first bytes, and taking it apart in pieces of
bounded size. What does not: what is looked for in them (`stages.privacy.scanning`).

A file is always given as it lies too, so that what a container forgot but still holds (a freed page
of a database, a row group that nothing names) is seen where it is not compressed.
"""

from __future__ import annotations

import base64
import bz2
import gzip
import io
import json
import lzma
import re
import sqlite3
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final
from urllib.parse import quote

import numpy as np
import polars as pl
from numpy.typing import NDArray

from identity_pipeline.core.privacy.spelling import DENSE, PAGES, TEXT, Texture

BLOCK: Final = 4 * 2**20
"""Bytes that are looked at together."""
OVERLAP: Final = 2**17
"""Bytes by which blocks overlap: more than a vector in decimal numbers or a small picture takes."""
HELD: Final = 512 * 2**20
"""Bytes of a container inside another that are held in memory to be decoded; a larger one is looked
at as it lies, and said to be so."""
DEPTH: Final = 6
"""Containers inside each other; deeper, a file is made to trap its reader."""
ROWS: Final = 1000
"""Rows of a table that are decoded together."""
ENCODED: Final = re.compile(
    rb"[A-Za-z0-9+/_-]{48,}(?:(?:\r?\n|\\r\\n|\\n)[A-Za-z0-9+/_-]{4,})*={0,2}"
)
"""Base64 of 36 bytes and more, wrapped or not, in a text or in a string of JSON."""
LIST: Final = re.compile(rb"\[[-+0-9.eE,\s]{64,}\]")
"""A list of decimal numbers."""
UNREADABLE: Final = (
    OSError, ValueError, TypeError, LookupError, EOFError, RuntimeError, MemoryError, struct.error,
    zlib.error, lzma.LZMAError, zipfile.BadZipFile, tarfile.TarError, sqlite3.Error,
    pl.exceptions.PolarsError,
)  # fmt: skip
"""What decoding a damaged or foreign container raises."""


@dataclass(frozen=True)
class Bytes:
    """Bytes of a file.

    Attributes:
        form: how they lie there, in words.
        data: of them.
        texture: what they are: words, pages of a database, or neither.
    """

    form: str
    data: bytes
    texture: Texture


@dataclass(frozen=True)
class Numbers:
    """Rows of numbers, (N, D), of a file."""

    form: str
    rows: NDArray[np.floating]


@dataclass(frozen=True)
class NotDecoded:
    """A container, or a part of one, that could only be looked at as it lies, and why."""

    form: str
    why: str


Part = Bytes | Numbers | NotDecoded
Stream = IO[bytes]


def parts_of(path: Path) -> Iterator[Part]:
    """A file, as it lies and decoded.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as stream:
        yield from parts(stream, "", 0, path)


def parts(stream: Stream, form: str, depth: int, path: Path | None = None) -> Iterator[Part]:
    """What a stream holds.

    Args:
        stream: from which to read; it can be rewound.
        form: how it lies there, in words; empty for a file of the disk.
        depth: of containers around it.
        path: where it is a file.
    """
    head = stream.read(512)
    kind = kind_of(head)
    stream.seek(0)
    said = f"{form} > " if form else ""
    yield from _as_it_lies(stream, form or "as it lies", texture_of(kind))
    if kind is None:
        return
    if depth >= DEPTH:
        yield NotDecoded(said + kind, f"more than {DEPTH} containers lie inside each other")
        return
    decode = DECODERS.get(kind)
    if decode is None:
        if kind in FOREIGN:
            yield NotDecoded(said + kind, "its compression is not known here")
        return
    stream.seek(0)
    try:
        yield from decode(stream, said, depth, path)
    except UNREADABLE as error:
        yield NotDecoded(said + kind, f"{type(error).__name__}: {str(error)[:200]}")


def _as_it_lies(stream: Stream, form: str, texture: Texture) -> Iterator[Part]:
    """Blocks that overlap, so that what is cut in two at the end of one is whole in the next."""
    data = b""
    while block := stream.read(BLOCK):
        data = data[-OVERLAP:] + block
        yield Bytes(form, data, texture)
        if texture != DENSE:
            yield from _in_text(data, "" if form == "as it lies" else f"{form} > ")


def _in_text(text: bytes, said: str) -> Iterator[Part]:
    """What is written in a text: bytes in base64, and lists of decimal numbers."""
    decoded: list[bytes] = []
    for found in ENCODED.finditer(text):
        kept = re.sub(rb"[^A-Za-z0-9+/]", b"", found[0].translate(_STANDARD).replace(b"\\n", b""))
        for start in range(4):  # a word before it may be of the same letters
            whole = kept[start:]
            whole = whole[: len(whole) // 4 * 4]
            decoded.append(base64.b64decode(whole))
    yield from _joined(decoded, f"{said}base64", DENSE)
    for found in LIST.finditer(text):
        values = np.fromstring(found[0][1:-1].decode(), sep=",")  # the only reader of such a text
        if len(values):
            yield Numbers(said + "decimal numbers", values[None, :])


_STANDARD: Final = bytes.maketrans(b"-_", b"+/")


def kind_of(head: bytes) -> str | None:
    """What a file is, by its first bytes; None for a text, or bytes that are nothing known."""
    for mark, place, kind in MARKS:
        if head[place : place + len(mark)] == mark:
            return kind
    if len(head) > 9 and head[8:9] == b"{" and 0 < int.from_bytes(head[:8], "little") < 2**27:
        return "safetensors"
    return "binary" if b"\0" in head else None


MARKS: Final = (
    (b"PAR1", 0, "Parquet"),
    (b"PK\x03\x04", 0, "zip"),
    (b"PK\x05\x06", 0, "zip"),
    (b"\x1f\x8b", 0, "gzip"),
    (b"BZh", 0, "bzip2"),
    (b"\xfd7zXZ", 0, "xz"),
    (b"SQLite format 3\0", 0, "SQLite"),
    (b"\x37\x7f\x06\x82", 0, "SQLite log"),
    (b"\x37\x7f\x06\x83", 0, "SQLite log"),
    (b"\xd9\xd5\x05\xf9", 0, "SQLite journal"),
    (b"\x93NUMPY", 0, "npy"),
    (b"ustar", 257, "tar"),
    (b"\x89PNG", 0, "PNG"),
    (b"\xff\xd8\xff", 0, "JPEG"),
    (b"ftyp", 4, "video"),
    (b"\x1a\x45\xdf\xa3", 0, "video"),
    (b"RIFF", 0, "RIFF"),
    (b"RRF2", 0, "Rerun recording"),
    (b"\x28\xb5\x2f\xfd", 0, "Zstandard"),
    (b"\x04\x22\x4d\x18", 0, "LZ4"),
    (b"DUCK", 8, "DuckDB"),
)
"""First bytes, their place, and what begins so."""
FOREIGN: Final = frozenset({"Rerun recording", "Zstandard", "LZ4", "DuckDB"})
"""What may hold more than its bytes as they lie show, and is not decoded."""
PAGED: Final = frozenset({"SQLite", "SQLite log", "SQLite journal", "DuckDB"})


def texture_of(kind: str | None) -> Texture:
    """What the bytes of a kind of file are, as they lie."""
    return TEXT if kind is None or kind == "tar" else PAGES if kind in PAGED else DENSE


def _parquet(stream: Stream, said: str, depth: int, path: Path | None) -> Iterator[Part]:
    """Every column by itself, whatever its compression and encoding."""
    table = pl.scan_parquet(path if path is not None else io.BytesIO(stream.read()), glob=False)
    form = f"{said}Parquet column"
    for batch in table.collect_batches(chunk_size=ROWS):
        blobs: list[bytes] = []
        texts: list[str] = []
        for column in batch:
            yield from _values(column, form, depth, blobs, texts)
        yield from _joined(blobs, form, DENSE)
        yield from _texts(texts, form)


def _values(
    column: pl.Series, form: str, depth: int, blobs: list[bytes], texts: list[str]
) -> Iterator[Part]:
    """The values of a column, whatever it is of.

    Bytes and texts that are nothing by themselves are collected, to be looked at together.
    """
    kind = column.dtype
    if isinstance(kind, pl.Struct):
        for field in column.struct.unnest():
            yield from _values(field, form, depth, blobs, texts)
    elif isinstance(kind, (pl.List, pl.Array)):
        yield from _lists(column, form, depth, blobs, texts)
    elif isinstance(kind, (pl.String, pl.Categorical, pl.Enum)):
        texts += column.cast(pl.String).drop_nulls().to_list()
    elif isinstance(kind, pl.Binary):
        yield from _binary(column.drop_nulls().to_list(), form, depth, blobs)
    elif kind.is_integer() or kind.is_float():
        blobs.append(column.drop_nulls().to_numpy().tobytes())


def _binary(values: list[bytes], form: str, depth: int, blobs: list[bytes]) -> Iterator[Part]:
    for value in values:
        if kind_of(value[:512]) in DECODERS and depth < DEPTH:
            yield from parts(io.BytesIO(value), form, depth + 1)
        else:
            blobs.append(value)


def _lists(
    column: pl.Series, form: str, depth: int, blobs: list[bytes], texts: list[str]
) -> Iterator[Part]:
    inner = column.dtype.inner  # type: ignore[attr-defined]
    if not inner.is_float():
        exploded = column.explode(empty_as_null=True, keep_nulls=True)
        yield from _values(exploded, form, depth, blobs, texts)
        return
    lists = column.drop_nulls()
    if isinstance(lists.dtype, pl.Array):
        lists = lists.cast(pl.List(inner))
    lengths = lists.list.len()
    for length in lengths.unique().to_list():
        if length:
            flat = lists.filter(lengths == length).explode(empty_as_null=True, keep_nulls=True)
            rows = flat.fill_null(0.0).to_numpy().reshape(-1, length)
            blobs.append(np.ascontiguousarray(rows).tobytes())
            yield Numbers(form, rows)


def _joined(blobs: list[bytes], form: str, texture: Texture) -> Iterator[Part]:
    """Bytes of many values, some of them together."""
    held: list[bytes] = []
    size = 0
    for blob in blobs:
        held.append(blob)
        size += len(blob)
        if size >= BLOCK:
            yield Bytes(form, b"\n".join(held), texture)
            held, size = [], 0
    if held:
        yield Bytes(form, b"\n".join(held), texture)


def _texts(values: list[str], form: str) -> Iterator[Part]:
    for start in range(0, len(values), ROWS):
        text = "\n".join(values[start : start + ROWS]).encode("utf-8", "surrogatepass")
        yield Bytes(form, text, TEXT)
        yield from _in_text(text, f"{form} > ")


def _zip(stream: Stream, said: str, depth: int, path: Path | None) -> Iterator[Part]:
    del path
    with zipfile.ZipFile(stream) as archive:
        for member in archive.infolist():
            yield Bytes(f"{said}zip names", member.filename.encode() + b"\n", TEXT)
            try:
                with archive.open(member) as inside:
                    yield from _member(inside, f"{said}zip", depth)
            except UNREADABLE as error:
                yield NotDecoded(f"{said}zip", f"a member cannot be read ({error})")


def _tar(stream: Stream, said: str, depth: int, path: Path | None) -> Iterator[Part]:
    del path
    with tarfile.open(fileobj=stream, mode="r:") as archive:
        for member in archive:
            inside = archive.extractfile(member)
            if inside is not None:
                yield from _member(inside, f"{said}tar", depth)


def _packed(opened: Callable[[Any], Any], name: str) -> Decoder:
    def decode(stream: Stream, said: str, depth: int, path: Path | None) -> Iterator[Part]:
        del path
        with opened(stream) as inside:
            yield from _member(inside, f"{said}{name}", depth)

    return decode


def _member(inside: Any, form: str, depth: int) -> Iterator[Part]:
    """One file inside a container: in memory, or as it comes where it is too large for that."""
    held = inside.read(HELD)
    following = inside.read(BLOCK)
    if not following:
        yield from parts(io.BytesIO(held), form, depth + 1)
        return
    texture = texture_of(kind_of(held[:512]))
    yield Bytes(form, held, texture)
    del held
    while following:
        yield Bytes(form, following, texture)
        following = inside.read(BLOCK)
    yield NotDecoded(form, f"a member is larger than {HELD // 2**20} MiB")


def _sqlite(stream: Stream, said: str, depth: int, path: Path | None) -> Iterator[Part]:
    """Every value of every table; pages that are free, and the log beside it, lie as they lie."""
    if path is not None:
        address = f"file:{quote(str(path.resolve()))}?mode=ro&immutable=1"
        connection = sqlite3.connect(address, uri=True)
    else:
        connection = sqlite3.connect(":memory:")
        connection.deserialize(stream.read())
    try:
        connection.text_factory = bytes
        tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        for (name,) in tables.fetchall():
            yield from _rows(connection, name.decode(), f"{said}SQLite", depth)
    finally:
        connection.close()


def _rows(connection: sqlite3.Connection, name: str, form: str, depth: int) -> Iterator[Part]:
    quoted = name.replace('"', '""')
    try:
        cursor = connection.execute(f'SELECT * FROM "{quoted}"')  # noqa: S608 - a name it gave
        while rows := cursor.fetchmany(ROWS):
            # Texts and blobs come as bytes alike.
            values = [value for row in rows for value in row if isinstance(value, bytes)]
            yield Bytes(form, b"\n".join(values), TEXT)
            for value in values:
                yield from _cell(value, form, depth)
    except sqlite3.Error as error:
        yield NotDecoded(form, f"a table cannot be read ({error})")


def _cell(value: bytes, form: str, depth: int) -> Iterator[Part]:
    """What a value of a database holds besides its own bytes."""
    if kind_of(value[:512]) in DECODERS:
        yield from parts(io.BytesIO(value), form, depth + 1)
    elif len(value) >= 48:  # less is no list and no bytes in base64
        yield from _in_text(value, f"{form} > ")


def _npy(stream: Stream, said: str, depth: int, path: Path | None) -> Iterator[Part]:
    del depth, path
    array = np.lib.format.read_array(stream, allow_pickle=False)
    yield from _array(array, f"{said}npy")


def _array(array: NDArray[Any], form: str) -> Iterator[Part]:
    if array.dtype.kind == "f" and array.ndim:
        for start in range(0, len(array), ROWS):
            rows = np.ascontiguousarray(array[start : start + ROWS])
            yield Bytes(form, rows.tobytes(), DENSE)
            yield Numbers(form, rows.reshape(-1, rows.shape[-1]))


FLOATS: Final = {"F16": "<f2", "F32": "<f4", "F64": "<f8"}


def _safetensors(stream: Stream, said: str, depth: int, path: Path | None) -> Iterator[Part]:
    """Its tensors of floats; the format is eight bytes of length, a header in JSON, the numbers."""
    del depth, path
    size = int.from_bytes(stream.read(8), "little")
    header = json.loads(stream.read(size))
    for name, tensor in header.items():
        if name == "__metadata__":
            yield Bytes(f"{said}safetensors", json.dumps(tensor).encode(), TEXT)
            continue
        start, end = tensor["data_offsets"]
        stream.seek(8 + size + start)
        data = stream.read(end - start)
        if tensor["dtype"] == "BF16":
            wide = np.frombuffer(data, "<u2").astype("<u4") << 16
            array = wide.view("<f4")
        elif tensor["dtype"] in FLOATS:
            array = np.frombuffer(data, FLOATS[tensor["dtype"]])
        else:
            continue
        yield from _array(array.reshape(tensor["shape"] or [1]), f"{said}safetensors")


def _png(stream: Stream, said: str, depth: int, path: Path | None) -> Iterator[Part]:
    """Its pixels in both orders of colours, and its texts."""
    del depth, path
    from PIL import Image

    with Image.open(stream) as image:
        texts = [f"{key}: {value}" for key, value in image.info.items() if isinstance(value, str)]
        pixels = np.asarray(image.convert("RGB"))
    yield Bytes(f"{said}PNG text", "\n".join(texts).encode(), TEXT)
    yield Bytes(f"{said}PNG pixels", pixels.tobytes(), DENSE)
    yield Bytes(f"{said}PNG pixels", np.ascontiguousarray(pixels[..., ::-1]).tobytes(), DENSE)


Decoder = Callable[[Any, str, int, Path | None], Iterator[Part]]
DECODERS: Final[dict[str, Decoder]] = {
    "Parquet": _parquet,
    "zip": _zip,
    "tar": _tar,
    "gzip": _packed(lambda stream: gzip.GzipFile(fileobj=stream), "gzip"),
    "bzip2": _packed(bz2.BZ2File, "bzip2"),
    "xz": _packed(lzma.LZMAFile, "xz"),
    "SQLite": _sqlite,
    "npy": _npy,
    "safetensors": _safetensors,
    "PNG": _png,
}
"""How each kind is taken apart."""
