"""What became of a face, in words: what was measured, what it scored, and why it ended as it did.

What belongs here: lines for people. What does not: gathering what they say (`explanation`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from identity_pipeline.core.faces.angles import ANGLES
from identity_pipeline.core.imagesets.evidence import Comparison
from identity_pipeline.media import wording
from identity_pipeline.settings import QualitySettings
from identity_pipeline.stages.imagesets.explanation import Contest, Explained

NO_PROTOTYPE: Final = "no_prototype"


def measured_words(face: Explained) -> Iterator[str]:
    """What was measured of it."""
    told, evidence = face.measured, face.evidence
    yield f"quality {wording.measured(told['quality_score'], 3)}"
    yield f"size {wording.measured(told['face_px'], 0)} px"
    yield f"sharpness {wording.measured(evidence.sharpness, 0)}"
    yield f"light {wording.light(evidence)}"
    if face.ledger["person_id"] is None:
        return
    yield from (_angle_words(told, axis) for axis in ANGLES)
    yield f"eyes {wording.eyes(evidence)}"
    yield f"mouth {wording.mouth(evidence)}"
    yield f"smile {wording.measured(evidence.smile)}"
    yield f"covered {wording.cover(evidence)}"
    yield f"stable {wording.measured(told['stable_score'])}"


def _angle_words(told: Mapping[str, float | None], axis: str) -> str:
    """`yaw -2 (11 before the lens)`: of the head, and as it was measured where that is another."""
    measured = told.get(f"{axis}_camera")
    beside = "" if measured is None else f" ({wording.measured(measured, 0)} before the lens)"
    return f"{axis} {wording.measured(told[axis], 0)}{beside}"


def score_words(face: Explained) -> Iterator[str]:
    """The scores and their parts; nothing of a face that was not scored."""
    evidence = face.evidence
    if evidence.picture_score is None:
        return
    yield f"as picture {wording.measured(evidence.picture_score)}"
    yield f"as portrait {wording.measured(evidence.portrait_score)}"
    yield from (f"{name} {wording.measured(value)}" for name, value in evidence.parts)


def why_words(face: Explained, settings: QualitySettings) -> Iterator[str]:
    """What would have changed it, and how it did beside others."""
    ledger = face.ledger
    yield str(ledger["would_change"])
    yield from _gate_words(face, settings)
    yield from face.usual
    rival = ledger["rival_face_id"]
    if face.rival is not None:
        yield f"Beside {rival}: {_against(face.rival, 'picture')}."
    if ledger["state"] == "saved" and ledger["reason"] == "anchor":
        contests = [("faces that may be anchors", "portrait", face.anchors)]
    else:
        contests = [("candidates of its pose and expression", "picture", face.bucket)]
    for among, as_a, contest in [("faces of its moment", "picture", face.moment), *contests]:
        if contest is None or contest.peers.other is None:
            continue
        # Of a face that lost within its moment, the rival is the other: it was told of above, but
        # for that the face shows something else.
        if contest.peers.other != rival or contest.peers.rank is None:
            yield _contest_words(among, as_a, contest)


def _gate_words(face: Explained, settings: QualitySettings) -> Iterator[str]:
    """What a face of a rider who is not known well enough fails of the strict gate."""
    if face.ledger["reason"] == NO_PROTOTYPE and face.strict_fails:
        yield f"Of the strict gate it fails: {wording.fails_strict(face.strict_fails, settings)}."


def _contest_words(among: str, as_a: str, contest: Contest) -> str:
    """`The best of the 7 faces of its moment; the next is 000809-0, as a picture 0.84 ...`."""
    peers = contest.peers
    among = f"of the {peers.faces} {among}"
    if peers.rank is None:
        head = f"It does not show what the moment shows; the best {among} is {peers.other}"
    elif peers.rank == 1:
        head = f"The best {among}; the next is {peers.other}"
    else:
        head = f"Number {peers.rank} {among}; the best of the others is {peers.other}"
    words = "" if contest.score is None else f", {_against(contest.score, as_a)}"
    if contest.ended is None:
        return f"{head}{words}."
    state, reason = contest.ended
    return f"{head}{words}; that one ended as {state} ({reason})."


def _against(score: Comparison, as_a: str) -> str:
    """`as a picture 0.71 against 0.84, most by light (0.40 against 1.00)`."""
    if score.part is None:
        return f"alike as a {as_a} ({score.own:.2f} and {score.other:.2f})"
    words = f"as a {as_a} {score.own:.2f} against {score.other:.2f}"
    if score.own_part is None or score.other_part is None:
        return f"{words}, most by {score.part}"
    return f"{words}, most by {score.part} ({score.own_part:.2f} against {score.other_part:.2f})"
