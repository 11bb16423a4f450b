"""What the training of k-means heads gave, in Markdown: for the run's page and for the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from identity_pipeline.media.markdown import escaped, table
from identity_pipeline.stages.library.kmeans_heads import HeadsTrained

COUNTS: Final = {
    "tracks": "tracks of people who are in another video too",
    "right": "given the right name",
    "wrong": "given another name",
    "probable": "given the right name, but only as probable",
    "ambiguous": "left open between names",
    "unknown": "given no name",
    "strangers": "tracks of people who are in no other video: not testable",
    "strangers_named": "of them, wrongly given a name",
}
MEASURES: Final = {
    "people": "people",
    "testable": "people with a genuine pair",
    "videos": "videos",
    "genuine": "genuine pairs",
    "impostor": "impostor pairs",
    "intra": "mean similarity of genuine pairs",
    "inter": "mean similarity of impostor pairs",
    "gap": "gap",
    "d_prime": "d'",
    "discrimination": "discrimination: (1 - impostor) / (1 - genuine), 1 says nothing",
    "auc": "ROC-AUC",
    "eer": "EER",
}


def summary(trained: HeadsTrained) -> str:
    """Messages and metrics; the messages alone without heads."""
    parts = list(map(escaped, trained.messages))
    if trained.metrics:
        faces, left_out = trained.metrics["faces"], trained.metrics["left_out"]
        scores = left_out["scores"]
        parts += [
            f"Heads trained without a video name its tracks; {left_out['videos']} videos, each "
            "left out once:",
            table(("outcome", "tracks"), [(w, left_out[k]) for k, w in COUNTS.items()]),
            "Confirmed faces with each other, and tracks with the heads trained without their "
            "video:",
            verification_table({"faces": faces, "heads": scores}),
        ]
    return "\n\n".join(parts)


def by_person(trained: HeadsTrained, names: Mapping[str, str]) -> str:
    """A table of the people who could be tested, the least recognised first.

    Args:
        trained: the run.
        names: of the people, by id; others are shown by their id.
    """
    found = trained.metrics["left_out"]["by_person"] if trained.metrics else {}
    order = sorted(found, key=lambda p: (found[p]["right"] / found[p]["tracks"], names.get(p, p)))
    rows = [(names.get(p, p), found[p]["right"], found[p]["tracks"]) for p in order]
    return table(("person", "right", "tracks"), rows)


def verification_table(spaces: Mapping[str, Mapping[str, Any]]) -> str:
    """Numbers of `core.matching.verification` side by side.

    Args:
        spaces: `Verification.as_json()` of each column, measured at the same rates.
    """
    columns = list(spaces.values())
    rows = [(words, *(_shown(c[name]) for c in columns)) for name, words in MEASURES.items()]
    for points in zip(*(column["at"] for column in columns), strict=True):
        rows.append((f"TAR at FAR {points[0]['far']:g}", *(_shown(p["tar"]) for p in points)))
    return table(("measure", *spaces), rows)


def _shown(value: float | None) -> str:
    if value is None:
        return "not measured"
    return f"{value:,}" if isinstance(value, int) else f"{value:.4f}"
