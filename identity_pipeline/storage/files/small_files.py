"""Small JSON files, read as what they must be: whole, or refused with a sentence; never half.

What belongs here: the one reader of every file of a few lines that the pipeline keeps for itself.
What a damaged one means is for the caller: `read` is for records, whose loss somebody must hear of,
`recall` for memories and caches, which are made anew.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Final, TypeVar

from pydantic import TypeAdapter, ValidationError

from identity_pipeline.errors import IdentityPipelineError
from identity_pipeline.storage.files.hashing import sha256_of_value

LOG = logging.getLogger(__name__)
Form = TypeVar("Form")
SEAL: Final = "sha256"
"""Key of the digest of all other keys of a record."""
RECORD_SEAL: Final = "record_sha256"
"""The same in a record that has a `sha256` of something else."""
AT_ONCE: Final = 1 << 16
"""Bytes; more than a small file has."""


class DamagedFileError(IdentityPipelineError, ValueError):
    """A file of the data folder is not what was written, or cannot be read.

    Attributes:
        path: the file.
        reason: what is wrong with it.
        mend: what to do, as a sentence.
    """

    def __init__(self, path: Path, reason: str, mend: str) -> None:
        super().__init__(f"{path} is damaged: {reason}. {mend}")
        self.path, self.reason, self.mend = path, reason, mend


def parse(data: bytes, form: type[Form]) -> Form:
    """JSON as an object of a class, every field of the type that it is declared to have.

    Fields that the class does not know (of a later version) are passed over; those with a default
    may be missing (of an earlier one).

    Raises:
        ValueError: it is no JSON, or of another form; the message says where.
    """
    try:
        return _adapter(form).validate_json(data, strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise ValueError(f"{place}: {first['msg']}" if place else first["msg"]) from None


def bytes_of(path: Path) -> bytes | None:
    """What is in a file, by as few calls as can be: some are read by the hundred thousand.

    Returns:
        None where there is none.

    Raises:
        OSError: it cannot be read.
    """
    try:
        # A pipe of this name is not waited for.
        file = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        # To the end: a share may give less at once than there is.
        return b"".join(iter(partial(os.read, file, AT_ONCE), b""))
    except IsADirectoryError:
        return None
    finally:
        os.close(file)


def read(path: Path, form: type[Form], mend: str) -> Form | None:
    """A record; None where there is none.

    Args:
        path: of the file.
        form: what it holds.
        mend: a sentence for the error, on what to do about a damaged one.

    Raises:
        DamagedFileError: it is there and cannot be read as this.
    """
    try:
        data = bytes_of(path)
        return None if data is None else parse(data, form)
    except OSError as error:
        reason = f"it cannot be read ({error.strerror or error})"
        raise DamagedFileError(path, reason, mend) from error
    except ValueError as error:
        raise DamagedFileError(path, str(error), mend) from None


def sealed(value: Mapping[str, Any], seal: str = SEAL) -> dict[str, Any]:
    """A record with the SHA-256 of all else in it, as `read_sealed` compares it."""
    rest = {name: part for name, part in value.items() if name != seal}
    return {**rest, seal: sha256_of_value(rest)}


def unfit(told: Mapping[str, Any], seal: str = SEAL) -> str | None:
    """Why a record is not what was sealed; None where it is, or was never sealed."""
    if seal not in told:
        return None
    digest = sha256_of_value({name: part for name, part in told.items() if name != seal})
    if digest == told[seal]:
        return None
    return f"its SHA-256 begins with {digest[:12]}, but {str(told[seal])[:12]} was recorded"


def read_sealed(path: Path, form: type[Form], mend: str, seal: str = SEAL) -> Form | None:
    """The same as `read` of a record that may be sealed.

    One of an earlier version has no such key; it gets its seal when it is next written.

    Args:
        path: of the file.
        form: what it holds.
        mend: as of `read`.
        seal: key of the digest.

    Raises:
        DamagedFileError: also where it is not what was sealed.
    """
    told = read(path, dict[str, Any], mend)
    if told is None:
        return None
    if (reason := unfit(told, seal)) is not None:
        raise DamagedFileError(path, reason, mend)
    try:
        return parse(json.dumps(told).encode(), form)
    except ValueError as error:
        raise DamagedFileError(path, str(error), mend) from None


def readable(keys: Iterable[str], get: Callable[[str], Form | None]) -> Iterator[Form]:
    """Of some records, read by their keys, those that are there and can be read."""
    for key in keys:
        try:
            record = get(key)
        except DamagedFileError:
            continue
        if record is not None:
            yield record


def damaged(keys: Iterable[str], get: Callable[[str], object]) -> dict[str, DamagedFileError]:
    """What is wrong with each of some records that cannot be read, by key."""
    found = {}
    for key in keys:
        try:
            get(key)
        except DamagedFileError as error:
            found[key] = error
    return found


def recall(path: Path, form: type[Form]) -> Form | None:
    """A memory, which may be lost at any time; None where there is none that can be read.

    A damaged one is named in the log once and removed, so that the caller begins a new one.
    """
    try:
        return read(path, form, "It is only a memory: it is removed and begun anew.")
    except DamagedFileError as error:
        LOG.warning("%s", error)
        discard(path)
        return None


def discard(path: Path) -> None:
    """Removes a damaged memory; one that cannot be removed stays and is passed over."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        LOG.warning("%s cannot be removed: %s", path, error.strerror or error)


@lru_cache(maxsize=64)
def _adapter(form: type[Any]) -> TypeAdapter[Any]:
    return TypeAdapter(form)
