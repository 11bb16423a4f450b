"""Which keys go with a forgetting, so that no name and no word about the forgotten can be read."""

from __future__ import annotations

from identity_pipeline.ledger import events as ev
from identity_pipeline.ledger.forgetting import forgotten_by, reaches, rides_of
from identity_pipeline.ledger.position import names_of
from identity_pipeline.ledger.replay import History
from identity_pipeline.ledger.working import visit


def keys_of(history: History, forgotten: ev.Forgotten) -> set[str]:
    """Ids of the keys of all names and words that go with a forgetting, and the rides that do.

    These are the keys of the people's names, and of the words of every earlier decision that names
    one of them, one of their subjects, or something of one of the rides; undone or not; and
    of answers by seat in a ride from which somebody goes.

    Args:
        history: with the forgetting in it.
        forgotten: the event.
    """
    goes = reaches(forgotten_by(forgotten))
    rides = set(map(visit, forgotten.videos))

    def about(event: ev.Event) -> bool:
        meant = history.meant(event)
        if isinstance(meant, ev.ConsentRecorded) and meant.seat is not None:
            return meant.video_id in rides_of(forgotten)  # nobody can tell whose it is
        names = names_of(meant)
        return any(
            name in rides or (not name.startswith("visit:") and goes(name)) for name in names
        )

    earlier = history.events[: forgotten.seq - 1]
    words = (event.id for event in earlier if about(event))
    return {*forgotten.person_ids, *forgotten.videos, *words}
