"""The book of anchors: by which faces each subject can be found again, under its present name.

Of all events, also of undone ones: they may come back. Where decisions decide whether a subject is
`lost`, both names have its anchors. Kept as plain rows, for there are as many as decisions and most
are never looked at; `Anchors` makes them what they are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from identity_pipeline.ledger import events as ev
from identity_pipeline.ledger import forgetting
from identity_pipeline.ledger import subjects as ids

Row = list[object]
"""Subject as it was called then, frame, and the four numbers of the box."""
Book = dict[str, list[Row]]
"""Present subject -> rows, newest first."""


class Anchors(Mapping[str, tuple[ev.Anchor, ...]]):
    """The anchors of each subject, newest first; read-only."""

    def __init__(self, rows: Book) -> None:
        self._rows = rows

    def __getitem__(self, subject: str) -> tuple[ev.Anchor, ...]:
        """The anchors of one subject."""
        return tuple(
            ev.Anchor.model_construct(subject=row[0], frame_idx=row[1], box=tuple(row[2:]))  # type: ignore[arg-type]
            for row in self._rows[subject]
        )

    def __iter__(self) -> Iterator[str]:
        """The subjects."""
        return iter(self._rows)

    def __len__(self) -> int:
        """How many subjects there are."""
        return len(self._rows)


def with_event(rows: Book, event: ev.Event) -> Book:
    """The book with an event's anchors; the lists of the old one are left as they are."""
    if isinstance(event, ev.Renumbered):
        rows = _renumbered(rows, event)
    if isinstance(event, ev.Forgotten):
        return forgetting.without(rows, forgetting.reaches(forgetting.forgotten_by(event)))
    for anchor in event.anchors:
        row: Row = [anchor.subject, anchor.frame_idx, *anchor.box]
        known = rows.get(anchor.subject, [])
        rows[anchor.subject] = [row, *(other for other in known if other != row)]
    return rows


def _renumbered(rows: Book, event: ev.Renumbered) -> Book:
    renames, not_found = dict(event.renames), set(event.not_found)
    claims = Counter(renames.get(subject, subject) for subject in rows if subject not in not_found)
    new: Book = {}
    for subject, anchors in sorted(rows.items()):
        name = renames.get(subject, subject)
        kept = ids.lost(subject, event.seq)
        names = {kept} if subject in not_found else {name, kept} if claims[name] > 1 else {name}
        for present in names:
            known = new.get(present, [])
            new[present] = known + [row for row in anchors if row not in known]
    return new
