"""All commands by subject: in which module each is, and the sentence that a list shows of it.

So that neither a list of commands nor a completion imports any of them. The sentence is the first
of the command's own help (a test holds them together).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple


class Entry(NamedTuple):
    """One command: its module in `identity_pipeline.cli`, and its sentence."""

    module: str
    sentence: str


SUBJECTS: Final[Mapping[str, Mapping[str, Entry]]] = {
    "Videos to image sets": {
        "run": Entry("run", "Turn ride videos into image sets, here and now."),
        "plan": Entry(
            "plan",
            "Say what a run of VIDEOS would do, before it does it: which steps compute, and why.",
        ),
        "status": Entry(
            "status",
            "Say how far the work is: every step of every video, or of one VIDEO, and the library.",
        ),
        "videos": Entry(
            "inspect",
            "List the registered videos, their state and their other names, the newest first.",
        ),
        "why": Entry(
            "explain",
            "Say what became of each face of FRAME in VIDEO, and what would have changed it.",
        ),
        "export": Entry(
            "export",
            "Write the pictures of PERSON over all rides and photographs as CONSUMER reads them.",
        ),
        "verify": Entry(
            "verify",
            "Check an exported FOLDER against its manifest: files, faces, limits, licences, consent.",
        ),
        "camera": Entry(
            "camera",
            "Say what is known of each camera: where riders sit and look, and how it changed.",
        ),
        "worth": Entry(
            "worth",
            "Say what the pictures of PERSON are worth as references, and what each of them adds.",
        ),
        "recall": Entry(
            "recall",
            "Say how many of the usable moments of RIDE its pictures show, as far as it was audited.",
        ),
        "evaluate": Entry(
            "evaluate", "Measure how good the results are, on videos whose truth is known."
        ),
    },
    "Who is who": {
        "recluster": Entry(
            "review",
            "Bring the library up to date: thresholds, known people, groups, suggestions, and the rest.",
        ),
        "people": Entry(
            "people",
            "List the known people: their tracks, videos and photographs, and what their profile holds.",
        ),
        "clusters": Entry("review", "List the groups of unknown faces, the largest first."),
        "suggestions": Entry("review", "List what the machine would ask, and answer it."),
        "explain": Entry("identify", "Say why TARGET is who it is, and what would change that."),
        "identify": Entry("identify", "Say who is on IMAGE, of the known people or none of them."),
        "find-more": Entry(
            "review", "List the tracks that most resemble PERSON and that no human gave to anybody."
        ),
        "stats": Entry(
            "identify",
            "Say how much of the library is known, at which thresholds, and how right it is.",
        ),
    },
    "Decisions": {
        "desk": Entry(
            "desk",
            "Open the desk: a page on which people are named, checked and pictures chosen.",
        ),
        "label": Entry(
            "label", "Say who TARGET is: a new person (--name) or a known one (--person)."
        ),
        "confirm": Entry(
            "label", "Confirm what the machine says of TARGET, so that it becomes evidence."
        ),
        "reject": Entry(
            "label", "Say that TARGET is not a person, for ever; takes it off them if it was."
        ),
        "not-a-face": Entry(
            "label", "Say that TARGET is no face at all; a face stands for its whole track."
        ),
        "ignore": Entry(
            "label", "Say that nobody wants to know who TARGET is (a guard, a poster)."
        ),
        "enrol": Entry(
            "enrol",
            "Take photographs of PERSON in: evidence for matching, and pictures for their datasets.",
        ),
        "merge": Entry(
            "people",
            "Say that PERSON is INTO, who keeps their name; exactly undone by `undo`, even much later.",
        ),
        "split": Entry(
            "people",
            "Make a new person of some of PERSON's confirmed tracks; the two are never joined again.",
        ),
        "move": Entry("people", "Give confirmed tracks of one person to another."),
        "rename": Entry(
            "people", "Give PERSON another NAME; nothing else changes, for a name is no key."
        ),
        "hide": Entry("people", "Leave PERSON out of lists; they are still recognised."),
        "unhide": Entry("people", "List PERSON again."),
        "cover": Entry(
            "people",
            "Choose the picture of PERSON: one confirmed track, or one face of it, which is then shown.",
        ),
        "picture": Entry(
            "picture",
            "Say which pictures are good, which never come back, and what the machine read wrong.",
        ),
        "consent": Entry(
            "consent",
            "Note who consents to be known again, to sets of pictures, and to be learned from.",
        ),
        "events": Entry(
            "label", "List what was decided, the newest first: when, by whom, with which effect."
        ),
        "undo": Entry("label", "Take decisions back, exactly, one after the other."),
    },
    "Learning from labels": {
        "train": Entry(
            "train",
            "Learn from the labels: train a head, judge it on people and videos it never saw.",
        ),
        "reassign": Entry(
            "heads",
            "Recompute who everybody is in the space of the trained head: shows the difference first.",
        ),
        "heads": Entry(
            "heads", "List the heads that were trained, how each was judged, and which one is live."
        ),
    },
    "Asking and looking things up": {
        "sql": Entry(
            "sql",
            "Ask the library anything in SQL (DuckDB's); QUERY is one SELECT, or - to read it from stdin.",
        ),
        "index": Entry(
            "index", "The vector index: what similarity search and the library look things up in."
        ),
    },
    "Keeping it running": {
        "pause": Entry(
            "pause", "Stop all runs behind the chunk they are at, and start no new ones."
        ),
        "continue": Entry(
            "pause", "End a pause: stopped videos go on from their last finished chunk."
        ),
        "pools": Entry(
            "pools", "Show the pools of scarce things: their slots, who holds them, who waits."
        ),
        "recover": Entry(
            "recover",
            "Clean up after a crash: fail dead runs, free their slots, sweep half-written files.",
        ),
        "archive": Entry(
            "housekeeping", "Take finished videos out of Dagster; their tables and image sets stay."
        ),
        "backup": Entry(
            "safety", "Write FILE with everything of the data folder that cannot be made again."
        ),
        "restore": Entry(
            "safety",
            "Bring back what `backup` wrote to FILE, into the data folder, which may be empty.",
        ),
        "migrate": Entry(
            "safety", "Bring a data folder of an older version to the present format."
        ),
        "accept-ledger": Entry(
            "safety",
            "Go on with the ledger that is there, where decisions that were acknowledged are lost.",
        ),
        "clean": Entry(
            "housekeeping", "Show what lies on the disk, by kind, and drop what can be made again."
        ),
        "pack": Entry("packing", "Keep the tables of finished videos in one file each."),
        "publish": Entry(
            "publish", "Copy finished videos and the library to the object store of [publish]."
        ),
        "fetch": Entry(
            "publish",
            "Bring tables and exports back from the object store of [publish]; without VIDEO, list it.",
        ),
        "worker": Entry(
            "worker",
            "Work for a Dagster instance that gives out its runs by Celery, until it is stopped.",
        ),
    },
    "Consent and erasure": {
        "forget": Entry(
            "forget",
            "Forget TARGET for good: everything that derives from a person, a ride or a track.",
        ),
        "retention": Entry(
            "retention",
            "List what is kept longer than the settings [retention] say, and let it go.",
        ),
        "data-map": Entry(
            "data_map",
            "Say what of people lies where: its class, how long, on which ground, and who reads it.",
        ),
        "report": Entry(
            "report",
            "Write everything known of PERSON into a folder and a ZIP, to be handed to that person.",
        ),
        "receipts": Entry(
            "receipts", "Receipts of what was forgotten: list, read and verify them."
        ),
    },
    "How it is set up": {
        "settings": Entry(
            "inspect",
            "Show every setting with its unit and where its value comes from; of one GROUP if given.",
        ),
        "models": Entry(
            "models",
            "Show the models in use: where they lie, their licences, and what really runs them.",
        ),
    },
}
COMMANDS: Final[Mapping[str, str]] = {
    name: f"identity_pipeline.cli.{entry.module}"
    for entries in SUBJECTS.values()
    for name, entry in entries.items()
}
"""In which module each command is."""
SENTENCES: Final[Mapping[str, str]] = {
    name: entry.sentence for entries in SUBJECTS.values() for name, entry in entries.items()
}
