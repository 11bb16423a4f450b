"""The one base of all errors that the product words for a person.

A new error class belongs in the room that raises it and derives from this one; whoever shows
errors (the command line, a step, a sensor) catches this one and nothing by name.

What other packages raise is worded where it arises. Errors of the operating system arise
everywhere, so their words are here.
"""

from __future__ import annotations

import errno
import os
import re
import unicodedata
from collections.abc import Mapping
from typing import ClassVar, Final

SECRETS: Final = (
    (re.compile(r"(?<=://)[^/\s@'\"]+@"), "***@"),
    (
        re.compile(
            r"(?i)([?&][^=&\s]*(?:key|secret|token|sig|password|credential)[^=&\s]*=)[^&\s'\"]+"
        ),
        r"\1***",
    ),
)
"""What in an address only its owner should know: who logs in, and what a query signs with."""
HIDDEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Categories of characters that steer a terminal, turn a line round, or cannot be written out."""


def printable(text: str) -> str:
    r"""A name as one line that shows what it is: `\n`, `\u202e` in place of what would act.

    Without it a file's name could end a line, reverse it, or colour the rest of the screen, and one
    that is not UTF-8 could not be printed at all.
    """
    return "".join(
        c.encode("unicode_escape").decode() if unicodedata.category(c) in HIDDEN else c
        for c in text
    )


class IdentityPipelineError(Exception):
    """Something went wrong, and the message says what, in one sentence, and what to do next.

    Attributes:
        exit_status: what a command that it ends exits with: 1, or 2 where what was asked for, or
            how it is set up, has to change before anything can begin.
    """

    exit_status: ClassVar[int] = 1

    def __str__(self) -> str:
        """The message; addresses in it without the secrets that they may hold."""
        return without_secrets(super().__str__())


def without_secrets(text: str) -> str:
    """A text for people and logs: keys and passwords of addresses are left out."""
    for secret, instead in SECRETS:
        text = secret.sub(instead, text)
    return text


ADVICE: Final[Mapping[int, str]] = {
    errno.ENOSPC: "the disk is full; make room (`identity-pipeline clean --dry-run` says what may "
    "go), then do it again",
    errno.EDQUOT: "your share of the disk is used up; make room, then do it again",
    errno.EACCES: "you may not read or write there; change its permissions, or name another place",
    errno.EPERM: "you may not do that there; change its permissions, or name another place",
    errno.EROFS: "that disk is read-only; name another place, or mount it for writing",
    errno.ENOENT: "it is not there",
    errno.ENOTDIR: "part of this path is a file, where a folder is needed; name another place",
    errno.EISDIR: "it is a folder, where a file is needed; name another place",
    errno.EEXIST: "something else is there already; name another place, or move it away",
    errno.ENAMETOOLONG: "the name is longer than the file system allows; give it a shorter one",
    errno.ELOOP: "its links lead in a circle; mend them",
    errno.EMFILE: "too many files are open; raise the limit (`ulimit -n`)",
    errno.ENFILE: "too many files are open on this machine",
    errno.EIO: "the disk did not answer; look at its health",
    errno.ESTALE: "the network share was replaced meanwhile; mount it anew",
    errno.ENOMEM: "there is not enough memory",
    errno.EFBIG: "the file is larger than the file system allows",
    errno.EXDEV: "the two places are on different disks",
    errno.ECONNREFUSED: "nobody answers there; is the server running?",
    errno.ETXTBSY: "the file is in use",
    errno.EBUSY: "it is in use",
}
"""What an error of the operating system means, and what to do."""


def system_words(error: OSError) -> str:
    """An error of the operating system in one sentence: where, and what to do.

    Args:
        error: of any kind; without a number its own words are taken.
    """
    known = ADVICE.get(error.errno) if error.errno is not None else None
    words = known or error.strerror or str(error) or type(error).__name__
    names = [os.fsdecode(name) for name in (error.filename, error.filename2) if _is_path(name)]
    where = f"{' and '.join(names)}: " if names else ""
    return f"{where}{words}."


def first_line(error: BaseException) -> str:
    """What an error of a library says, in a line."""
    return str(error).strip().partition("\n")[0] or type(error).__name__


def _is_path(name: object) -> bool:
    """Whether the system said which file; some callers pass a descriptor."""
    return isinstance(name, (str, bytes)) and bool(name)
