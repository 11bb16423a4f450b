"""Notes of failures, and which errors are worth another try in a moment."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from identity_pipeline.storage.files.locks import LockBusyError
from identity_pipeline.storage.index.client import IndexUnreachableError
from identity_pipeline.storage.layout import Layout
from identity_pipeline.storage.video.failures import (
    RUN_DIED,
    FailureNote,
    FailureNotes,
    heals_by_waiting,
)


@pytest.mark.parametrize(
    ("error", "heals"),
    [
        (LockBusyError("the index is in use"), True),
        (IndexUnreachableError("no answer"), True),
        (TimeoutError(), True),
        (OSError(errno.ESTALE, "Stale file handle"), True),
        (OSError(errno.EIO, "Input/output error"), True),
        (OSError(errno.ENOSPC, "No space left on device"), False),
        (FileNotFoundError(errno.ENOENT, "No such file"), False),
        (PermissionError(errno.EACCES, "Permission denied"), False),
        (RuntimeError("CUDA error: out of memory"), True),
        (RuntimeError("Failed to allocate memory for requested buffer"), True),
        (RuntimeError("shapes do not match"), False),
        (ValueError("out of memory"), False),
        (KeyError("face_id"), False),
        (MemoryError(), False),
    ],
)
def test_only_what_passes_by_itself_is_tried_again(error: Exception, heals: bool) -> None:
    assert heals_by_waiting(error) == heals


def test_a_note_is_kept_until_it_is_cleared(tmp_path: Path) -> None:
    notes, note = FailureNotes(Layout(tmp_path)), FailureNote("c", "Why.", "watch", False)
    assert notes.get("a-1") is None and notes.noted_at("a-1") is None
    notes.put("a-1", note)
    assert notes.get("a-1") == note and notes.noted_at("a-1")
    notes.clear("a-1")
    assert notes.get("a-1") is None


def test_a_run_at_work_ends_the_note_on_a_dead_one_and_no_other(tmp_path: Path) -> None:
    notes = FailureNotes(Layout(tmp_path))
    own = FailureNote("truncated", "The file ends too early.", "watch", permanent=False)
    for note, left in (
        (FailureNote(RUN_DIED, "Killed.", "watch", permanent=False), None),
        (own, own),
    ):
        notes.put("ride-1", note)
        notes.a_run_works("ride-1")
        assert notes.get("ride-1") == left
