"""Answers to the question for consent from a file, such as the ticketing of a park writes one.

What belongs here: reading a CSV or JSON file into answers, and refusing it as a whole with every
line that is wrong. What does not: noting them (`stages.curation.curation`).

A file is a table: each row is one answer about a `person`, or about a `video` and, where only one
of its riders is meant, their `seat` from the left (0 is the first).
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Final, cast, get_args

from identity_pipeline.errors import IdentityPipelineError, printable, system_words
from identity_pipeline.ledger.events import CONSENT_SCOPES, Answer, ConsentScope
from identity_pipeline.ledger.replay import History
from identity_pipeline.ledger.state import Target
from identity_pipeline.settings.wording import did_you_mean
from identity_pipeline.stages.curation.snapshot import CurationError, LibrarySnapshot
from identity_pipeline.stages.curation.targets import find_person, people_called

COLUMNS: Final = (
    *("person", "video", "seat", "answer", "scopes"),
    *("until", "minor", "evidence", "by"),
)
ALL: Final = "all"
FAULTS_SHOWN: Final = 20
DAY: Final = re.compile(r"\d{4}-\d{2}-\d{2}")
_MINOR: Final[Mapping[str, bool | None]] = {
    "": None,
    **dict.fromkeys(("yes", "true", "1", "minor"), True),
    **dict.fromkeys(("no", "false", "0", "adult"), False),
}


class ConsentFileError(IdentityPipelineError, ValueError):
    """A file of answers that is not taken; the sentence names every line that is wrong."""

    exit_status = 2


@dataclass(frozen=True)
class Answered:
    """One answer, as `ledger.commands.record_consent` takes it.

    Attributes:
        target: whom it is about.
        answer: what they said.
        scopes: for what.
        until: the last day of a grant, ISO 8601, or None.
        minor: whether they are under age, or None: not said.
        evidence: where it is on paper.
        by: who says so.
    """

    target: Target
    answer: Answer
    scopes: tuple[ConsentScope, ...]
    until: str | None = None
    minor: bool | None = None
    evidence: str = ""
    by: str = ""

    def is_known(self, history: History) -> bool:
        """Whether the ledger says exactly this already."""
        known = history.state.consents.get(self.target, {})
        for scope in self.scopes:
            there = known.get(scope)
            if there is None:
                return False
            event = history.event(there.event_id)
            said = (there.answer, there.until, there.minor)
            words = (getattr(event, "evidence", ""), getattr(event, "by", ""))
            if said != (self.answer, self.until, self.minor) or words != (self.evidence, self.by):
                return False
        return True


class AnswerError(CurationError):
    """What is wrong with one answer."""


def read_answers(library: LibrarySnapshot, path: Path, today: str) -> list[Answered]:
    """Every answer of a file, in its order.

    Args:
        library: that knows the rides and the people.
        path: `.csv` (UTF-8, commas or semicolons) or `.json` (a list of objects).
        today: ISO date; a grant that ended before it is a wrong date.

    Raises:
        ConsentFileError: anything in it is wrong; every line is named, and none is taken.
    """
    rows = _rows(path)
    faults, answers = list[str](), list[Answered]()
    told: dict[tuple[Target, ConsentScope], str] = {}
    for place, row in rows:
        try:
            answer = _answer(library, row, today)
            _refuse_twice(told, answer, place)
        except CurationError as error:
            faults.append(f"{place}: {str(error).rstrip('.')}")
            continue
        answers.append(answer)
    if faults:
        more = f"; and {len(faults) - FAULTS_SHOWN} more" if len(faults) > FAULTS_SHOWN else ""
        raise ConsentFileError(
            f"Nothing of {printable(str(path))} was noted. {'; '.join(faults[:FAULTS_SHOWN])}{more}"
        )
    if not answers:
        raise ConsentFileError(f"{printable(str(path))} holds no answer.")
    return answers


def _refuse_twice(
    told: dict[tuple[Target, ConsentScope], str], answer: Answered, place: str
) -> None:
    """Two answers of one file about the same cannot both be meant."""
    for scope in answer.scopes:
        before = told.setdefault((answer.target, scope), place)
        if before != place:
            raise AnswerError(
                f"it answers for {scope} of whom {before} answers for already; keep one of the two"
            )


# --- rows of a file -------------------------------------------------------------------------------


def _rows(path: Path) -> list[tuple[str, Mapping[str, str]]]:
    """Where each row is, in words, and its values by column."""
    readers: dict[str, Callable[[str], Iterator[tuple[str, dict[str, str]]]]] = {
        ".csv": _of_csv,
        ".json": _of_json,
    }
    read = readers.get(path.suffix.lower())
    if read is None:
        raise ConsentFileError(f"{printable(path.name)} is neither .csv nor .json.")
    try:
        return list(read(path.read_bytes().decode("utf-8-sig")))
    except OSError as error:
        raise ConsentFileError(
            f"{printable(str(path))} cannot be read ({system_words(error)})."
        ) from error
    except UnicodeDecodeError as error:
        raise ConsentFileError(
            f"{printable(path.name)} is not UTF-8 (byte {error.start}); save it as UTF-8."
        ) from error
    except (csv.Error, json.JSONDecodeError, RecursionError) as error:
        raise ConsentFileError(f"{printable(path.name)} is damaged: {error}.") from error
    except AnswerError as error:
        raise ConsentFileError(f"Nothing of {printable(path.name)} was noted: {error}") from error


def _of_csv(text: str) -> Iterator[tuple[str, dict[str, str]]]:
    head = text.partition("\n")[0]
    semicolons = ";" in head and "," not in head
    lines = csv.reader(
        io.StringIO(text, newline=""), delimiter=";" if semicolons else ",", strict=True
    )
    names = [name.strip() for name in next(lines, [])]
    _check_columns(names)
    for values in lines:
        if not any(value.strip() for value in values):
            continue
        if len(values) != len(names):
            raise AnswerError(
                f"line {lines.line_num} has {len(values)} values, the heading {len(names)}."
            )
        row = dict(zip(names, (value.strip() for value in values), strict=True))
        yield f"line {lines.line_num}", row


def _of_json(text: str) -> Iterator[tuple[str, dict[str, str]]]:
    told = json.loads(text)
    if not isinstance(told, list) or not all(isinstance(row, dict) for row in told):
        raise AnswerError("it is no list of objects, one for each answer.")
    for number, row in enumerate(told, 1):
        _check_columns(list(row), f"entry {number}: ")
        yield f"entry {number}", {name: _as_text(value) for name, value in row.items()}


def _as_text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return " ".join(map(str, value)) if isinstance(value, list) else str(value).strip()


def _check_columns(names: Sequence[str], place: str = "") -> None:
    for name in names:
        if name not in COLUMNS:
            known = ", ".join(COLUMNS)
            raise AnswerError(
                f"{place}there is no column {printable(name)!r}{did_you_mean(name, COLUMNS)} "
                f"Columns are {known}."
            )
        if names.count(name) > 1:
            raise AnswerError(f"{place}the column {name} is there twice.")
    if "answer" not in names or not {"person", "video"} & set(names):
        raise AnswerError(f"{place}it needs a column answer, and person or video.")


# --- one row --------------------------------------------------------------------------------------


def _answer(library: LibrarySnapshot, row: Mapping[str, str], today: str) -> Answered:
    answer = row.get("answer", "")
    if answer not in get_args(Answer):
        raise AnswerError(
            f"{answer!r} is no answer{did_you_mean(answer, get_args(Answer))} Answers are "
            f"{', '.join(get_args(Answer))}"
        )
    return checked(
        Answered(
            _target(library, row),
            cast("Answer", answer),
            _scopes(row.get("scopes", ""), answer),
            row.get("until") or None,
            _minor(row.get("minor", "")),
            row.get("evidence", ""),
            row.get("by", ""),
        ),
        today,
    )


def checked(answer: Answered, today: str) -> Answered:
    """The answer, after a look at its last day.

    Raises:
        AnswerError: the day is none, is over, or is of no grant.
    """
    if answer.until is None:
        return answer
    _check_day(answer.until)
    if answer.answer != "granted":
        raise AnswerError(f"{answer.answer} has no last day; only a grant does")
    if answer.until < today:
        raise AnswerError(f"the last day {answer.until} is over already")
    return answer


def _check_day(day: str) -> None:
    try:
        if not DAY.fullmatch(day):
            raise ValueError
        date.fromisoformat(day)
    except ValueError:
        raise AnswerError(f"{printable(day)!r} is no date; write it as 2027-01-31") from None


def _scopes(words: str, answer: str) -> tuple[ConsentScope, ...]:
    wanted = re.findall(r"[^\s,;|/+]+", words.lower())
    if not wanted and answer == "granted":
        raise AnswerError(f"a grant says for what: {', '.join(CONSENT_SCOPES)}, or {ALL}")
    if wanted in ([], [ALL]):
        return CONSENT_SCOPES
    strange = next((word for word in wanted if word not in CONSENT_SCOPES), None)
    if strange is not None:
        raise AnswerError(
            f"{strange!r} is no scope{did_you_mean(strange, CONSENT_SCOPES)} Scopes are "
            f"{', '.join(CONSENT_SCOPES)}, or {ALL}"
        )
    return in_order(wanted)


def in_order(scopes: Collection[str]) -> tuple[ConsentScope, ...]:
    """Scopes, each once and in the order in which they are told."""
    return tuple(scope for scope in CONSENT_SCOPES if scope in scopes)


def _minor(word: str) -> bool | None:
    if word.lower() not in _MINOR:
        raise AnswerError(f"{word!r} in column minor is neither yes nor no")
    return _MINOR[word.lower()]


def _target(library: LibrarySnapshot, row: Mapping[str, str]) -> Target:
    person, video, seat = (row.get(name, "") for name in ("person", "video", "seat"))
    if person and video:
        raise AnswerError("it names a person and a video; give one of them")
    if not person and not video:
        raise AnswerError("it names neither a person nor a video")
    if person and seat:
        raise AnswerError("a seat is of a ride; name the ride in column video")
    if person:
        return Target("person", find_person(library, person))
    return Target("video", video_called(library, video), _seat(seat))


def _seat(word: str) -> int | None:
    if not word:
        return None
    if not word.isdecimal():
        raise AnswerError(f"{word!r} is no seat; riders are counted from the left: 0, 1")
    return int(word)


def video_called(library: LibrarySnapshot, word: str) -> str:
    """A ride by id, file name or the beginning of its id, or a set of photographs by its id.

    Raises:
        CurationError: none or several fit.
    """
    stores = library.stores
    if stores.photos.is_set(word):
        return word
    record = stores.videos.find(word)
    if record is None:
        raise CurationError(
            f"{stores.videos.no_single(word)}; `identity-pipeline videos` lists them."
        )
    return record.video_id


def target_called(library: LibrarySnapshot, word: str) -> Target:
    """Whom a word means: a person, or `VIDEO` or `VIDEO/SEAT`.

    Raises:
        CurationError: nobody and nothing is meant, or both a person and a ride, or a track.
    """
    name, slash, seat = word.rpartition("/")
    if slash and seat.isdecimal():
        return Target("video", video_called(library, name), int(seat))
    _refuse_track(word)
    people = people_called(library, word)
    ride = library.stores.photos.is_set(word) or library.stores.videos.find(word) is not None
    if people and ride:
        raise CurationError(
            f"{word!r} is a person and a ride; use the id of the one that is meant."
        )
    if ride or not people:
        try:
            return Target("video", video_called(library, word))
        except CurationError:
            raise CurationError(
                f"neither a person nor a single video fits {printable(word)!r}; "
                "`identity-pipeline people` and `identity-pipeline videos` list them."
            ) from None
    return Target("person", find_person(library, word))


def _refuse_track(word: str) -> None:
    """Elsewhere `VIDEO:NUMBER` is a track, and the same word never means two things."""
    ride, colon, number = word.rpartition(":")
    if colon and number.isdecimal():
        raise CurationError(
            f"{printable(word)!r} is a track; a rider is named by where they sit, from the left: "
            f"{printable(ride)}/0, {printable(ride)}/1"
        )
