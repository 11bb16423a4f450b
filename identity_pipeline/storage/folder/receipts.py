"""Receipts of forgettings at rest: signed with the site's own key, and checked by whoever has one.

What belongs here: the key, canonical bytes, signing, and verifying. What does not: what a receipt
says (`stages.privacy.receipts`), and its page (`media.receipt_page`).

A receipt is one line of canonical JSON: keys sorted, no spaces, UTF-8, whole numbers only, which is
what RFC 8785 asks for of such values. Ed25519 (RFC 8032) signs it without its signature, and with
the digest of the page beside it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from identity_pipeline.errors import IdentityPipelineError
from identity_pipeline.storage.files import atomic, locks, small_files
from identity_pipeline.storage.layout import Layout, check_video_id

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

ALGORITHM: Final = "Ed25519"
PURPOSE: Final = b"identity_pipeline receipt of a forgetting\n"
"""Before what is signed, so that no signature of the site's stands for anything else."""
SITE: Final = "site.json"
LOCK_WAIT_S: Final = 30.0
MEND: Final = (
    "Receipts that were signed with it are still verified by their public half; bring the file "
    "back from where keys are kept, or move it away, and the next receipt makes another key."
)
PARTS: Final = frozenset({"algorithm", "page", "public_key", "receipt", "signature"})


class ReceiptError(IdentityPipelineError, ValueError):
    """A file is no receipt, or a key is none; the sentence says what to do."""

    exit_status = 2


@dataclass(frozen=True)
class _Site:
    """The site's key as it lies on the disk, in base64."""

    private: str
    public: str


@dataclass(frozen=True)
class SiteKey:
    """The key with which a site signs.

    Attributes:
        private: the 32 bytes of RFC 8032; never shown.
        public: its public half in base64, as pages print it.
    """

    private: bytes
    public: str

    def sign(self, data: bytes) -> str:
        """The signature in base64; the same for the same bytes."""
        return _text(_private(self.private).sign(PURPOSE + data))


@dataclass(frozen=True)
class Verified:
    """What comparing a receipt showed.

    Attributes:
        receipt: what it says.
        public_key: in base64, with which the signature was compared.
        wrong: what is not as it was signed, in sentences; empty where all is.
        notes: what could not be compared, in sentences.
    """

    receipt: Mapping[str, Any]
    public_key: str
    wrong: tuple[str, ...]
    notes: tuple[str, ...]


def site_key(layout: Layout) -> SiteKey:
    """The key of the site, made where there is none yet.

    Raises:
        DamagedFileError: it is there and cannot be read.
        LockBusyError: another process has been making it all the time.
    """
    path = layout.keys / SITE
    with locks.exclusive(layout.keys / ".site.lock", "The site's key", "reading it", LOCK_WAIT_S):
        found = small_files.read(path, _Site, MEND)
        if found is None:
            made = _new_key()
            atomic.write_json(path, {"private": _text(made.private), "public": made.public})
            return made
    try:
        private = _bytes(found.private)
        if _public(private) != found.public:
            raise ReceiptError("its two halves do not belong together")
    except (ReceiptError, ValueError) as error:
        raise small_files.DamagedFileError(path, str(error), MEND) from error
    return SiteKey(private, found.public)


def public_key(layout: Layout) -> str | None:
    """The public half of the site's key in base64; None where there is none yet.

    Raises:
        DamagedFileError: it is there and cannot be read.
    """
    found = small_files.read(layout.keys / SITE, _Site, MEND)
    return found.public if found else None


def _new_key() -> SiteKey:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    private = Ed25519PrivateKey.generate().private_bytes_raw()
    return SiteKey(private, _public(private))


def _private(private: bytes) -> Ed25519PrivateKey:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    return Ed25519PrivateKey.from_private_bytes(private)


def _public(private: bytes) -> str:
    return _text(_private(private).public_key().public_bytes_raw())


def canonical(value: Any) -> bytes:
    """The one way to write a value: what is signed, and what lies on the disk.

    Raises:
        TypeError: a number in it is no whole one, whose digits would depend on who writes them.
    """
    _check(value)
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def _check(value: Any) -> None:
    if isinstance(value, float):
        raise TypeError(f"{value!r} in a receipt is no whole number")
    if isinstance(value, Mapping):
        for inner in value.values():
            _check(inner)
    elif isinstance(value, (list, tuple)):
        for inner in value:
            _check(inner)


def digest_of(receipt: Mapping[str, Any]) -> str:
    """SHA-256 of a receipt's canonical bytes."""
    return hashlib.sha256(canonical(receipt)).hexdigest()


def write_signed(layout: Layout, receipt_id: str, receipt: Mapping[str, Any], page: str) -> Path:
    """Writes a receipt and its page; both are there, or neither says anything.

    Args:
        layout: of the data folder.
        receipt_id: of the forgetting.
        receipt: what it says; strings, whole numbers, lists.
        page: the same as HTML.
    """
    key = site_key(layout)
    target = receipt_path(layout, receipt_id)
    shown = target.with_suffix(".html")
    html = page.encode()
    told = {
        "algorithm": ALGORITHM,
        "page": {"file": shown.name, "sha256": hashlib.sha256(html).hexdigest()},
        "public_key": key.public,
        "receipt": receipt,
    }
    signed = {**told, "signature": key.sign(canonical(told))}
    atomic.write_bytes(shown, html)
    atomic.write_bytes(target, canonical(signed) + b"\n")
    return target


def receipt_path(layout: Layout, receipt_id: str) -> Path:
    """Where a receipt lies."""
    return layout.receipts / f"{check_video_id(receipt_id)}.json"


def receipt_paths(layout: Layout) -> list[Path]:
    """Every receipt of a data folder, by id."""
    found = sorted(layout.receipts.glob("*.json"))
    return [path for path in found if not atomic.is_temporary(path)]


def read_signed(path: Path) -> dict[str, Any]:
    """A receipt with its signature, as it lies; nothing is compared.

    Raises:
        ReceiptError: it is none.
        OSError: it cannot be read.
    """
    return _parsed(path.read_bytes(), path)


def _parsed(data: bytes, path: Path) -> dict[str, Any]:
    try:
        told = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ReceiptError(f"{path} is no receipt ({error}); name the .json file.") from error
    if not isinstance(told, dict) or set(told) != PARTS or not _has_parts(told):
        raise ReceiptError(
            f"{path} is no receipt of a forgetting; `identity-pipeline receipts list` names them."
        )
    return told


def _has_parts(told: Mapping[str, Any]) -> bool:
    page = told["page"]
    texts = [told[name] for name in ("algorithm", "public_key", "signature")]
    return (
        isinstance(told["receipt"], dict)
        and isinstance(page, dict)
        and all(isinstance(text, str) for text in (*texts, page.get("file"), page.get("sha256")))
    )


def verify(path: Path, public_key: str | None = None) -> Verified:
    """Compares a receipt with its signature, and the page beside it with its digest.

    Needs nothing but the file, and the public key of the site from somewhere that can be trusted.

    Args:
        path: of the JSON file.
        public_key: of the site, in base64; None takes the one that the receipt names, which proves
            only that nothing changed since, not who wrote it.

    Raises:
        ReceiptError: it is no receipt, or the key is none.
        OSError: it cannot be read.
    """
    data = path.read_bytes()
    told = _parsed(data, path)
    wrong, notes = [], []
    key = told["public_key"] if public_key is None else public_key.strip()
    if public_key is None:
        notes.append(
            "Compared with the key that the receipt itself names: whether that is the site's is to "
            "be asked of the site; --public-key compares with it."
        )
    elif key != told["public_key"]:
        wrong.append(f"It names the key {told['public_key']}, which is another one.")
    if not _is_signed(told, key):
        wrong.append("The signature is not that of this key over this receipt.")
    if not _is_canonical(told, data):
        wrong.append("The file is not written as it was signed.")
    _compare_page(told["page"], path, wrong, notes)
    return Verified(told["receipt"], key, tuple(wrong), tuple(notes))


def _is_signed(told: Mapping[str, Any], public_key: str) -> bool:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    if told["algorithm"] != ALGORITHM:
        return False
    try:
        key = Ed25519PublicKey.from_public_bytes(_bytes(public_key))
    except ValueError as error:
        raise ReceiptError(
            f"{public_key!r} is no public key; a site's is printed on each of its receipts, 44 "
            "characters of base64."
        ) from error
    unsigned = {name: value for name, value in told.items() if name != "signature"}
    try:
        key.verify(_bytes(told["signature"]), PURPOSE + canonical(unsigned))
    except (InvalidSignature, ValueError, TypeError):
        return False
    return True


def _is_canonical(told: Mapping[str, Any], data: bytes) -> bool:
    try:
        return canonical(told) + b"\n" == data
    except (TypeError, ValueError):
        return False


def _compare_page(page: Mapping[str, str], path: Path, wrong: list[str], notes: list[str]) -> None:
    beside = path.with_name(Path(page["file"]).name)
    if not beside.is_file():
        notes.append(f"The page {beside.name} is not beside it, so it was not compared.")
    elif hashlib.sha256(beside.read_bytes()).hexdigest() != page["sha256"]:
        wrong.append(f"The page {beside.name} is not the one that was signed.")


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _bytes(text: str) -> bytes:
    """What a base64 text stands for.

    Raises:
        ValueError: it is none.
    """
    try:
        return base64.b64decode(text.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError) as error:
        raise ValueError(f"{text!r} is no base64") from error
