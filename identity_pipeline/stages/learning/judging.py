"""Champion against challenger: whether a trained head goes live, and what that would contradict.

The judgement itself is `core.heads.judgement`; here it gets its faces, and its verdict is kept with
the head. What the head would say against human decisions is listed, and never acted upon: decisions
are input, in every space.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from identity_pipeline.core.heads.judgement import Judgement, judge
from identity_pipeline.core.heads.judging_rows import Apply, judging_rows
from identity_pipeline.core.heads.shadow import Contradiction, contradictions
from identity_pipeline.core.heads.training_set import teachers, teaching_arrays
from identity_pipeline.core.library.recompute import template_thresholds
from identity_pipeline.core.vectors import Matrix, check_unit
from identity_pipeline.settings import Settings
from identity_pipeline.stages.curation.decisions import human_facts
from identity_pipeline.stages.library.copies_in_force import TABLE, Copies
from identity_pipeline.stages.library.reading import read_inputs
from identity_pipeline.stages.library.recompute import recompute
from identity_pipeline.stages.library.spaces import LiveSpace, settings_of_library
from identity_pipeline.stages.library.unclaimed import unclaimed
from identity_pipeline.stages.progress.protocol import Progress, silent
from identity_pipeline.stages.stores import LibraryStores
from identity_pipeline.storage.library.heads import HeadCard, HeadStore, HeadStoreError
from identity_pipeline.storage.library.training_sessions import TrainingSession


@dataclass(frozen=True)
class Verdict:
    """What became of a challenger.

    Attributes:
        head_id: which.
        champion: the head that was live; null: the recogniser alone.
        promoted: whether it is live now.
        reasons: why not.
        judgement: the measured comparison; null when it was not made.
        contradicted: human decisions that the new space alone would not have made; null when not
            looked for.
    """

    head_id: str
    champion: str | None
    promoted: bool
    reasons: tuple[str, ...]
    judgement: Judgement | None
    contradicted: tuple[Contradiction, ...] | None

    @property
    def sentence(self) -> str:
        """The verdict in words."""
        if self.promoted:
            return f"Head {self.head_id} is live."
        return f"Head {self.head_id} is kept and not promoted: {'; '.join(self.reasons)}."

    def as_json(self) -> dict[str, Any]:
        """For machines, and for the file beside the head."""
        return {**asdict(self), "sentence": self.sentence}


def judge_head(
    stores: LibraryStores,
    settings: Settings,
    session: TrainingSession,
    now: str,
    progress: Progress = silent,
) -> Verdict:
    """Judges a session's head, makes it live if it may be, and keeps the verdict with it.

    Args:
        stores: of the data folder.
        settings: `train` for the rules, `match` and `cluster` for the library in its space.
        session: that was trained.
        now: ISO time with a zone.
        progress: called per video that is projected.

    Raises:
        HeadStoreError: the session has no head yet, or the champion does not fit.
    """
    heads = stores.heads
    if session.head_id is None:
        raise HeadStoreError(
            f"training session {session.number} has no head yet; go on with "
            "`identity-pipeline train --resume`."
        )
    card = heads.card(session.head_id)
    champion = heads.live().head_id
    if champion == card.head_id:
        return Verdict(card.head_id, champion, True, (), None, None)
    if not card.complete:
        reason = f"training stopped after {card.epochs} of {card.planned} epochs"
        return _kept(heads, Verdict(card.head_id, champion, False, (reason,), None, None))
    judgement = compare(stores, settings, session, card)
    if not judgement.promoted:
        verdict = Verdict(card.head_id, champion, False, judgement.reasons, judgement, None)
        return _kept(heads, verdict)
    against = contradicted(stores, settings, card, now, progress)
    heads.go_live(card.head_id, now, _why(judgement))
    return _kept(heads, Verdict(card.head_id, champion, True, (), judgement, against))


def compare(
    stores: LibraryStores, settings: Settings, session: TrainingSession, card: HeadCard
) -> Judgement:
    """The challenger against what is live, on the held-out part of its own training set."""
    from identity_pipeline.core.heads.baselines import baselines

    heads = stores.heads
    training_set = stores.trainings.training_set(session)
    learned = type(settings.train).model_validate(session.settings)
    data = teaching_arrays(teachers(training_set, learned))
    others = {name: linear.apply for name, linear in baselines(data).items()}
    champion = heads.live().head_id
    live: Apply = _as_it_is
    if champion is not None:
        live = heads.load(champion, card.input_space).apply
        others = {"recogniser": _as_it_is, **others}
    rows = judging_rows(training_set, settings.match.template_weight_floor)
    return judge(rows, live, heads.load(card.head_id).apply, settings.train, others)


def _as_it_is(vectors: NDArray[np.floating]) -> Matrix:
    return check_unit(vectors, "e_id")


def contradicted(
    stores: LibraryStores, settings: Settings, card: HeadCard, now: str, progress: Progress = silent
) -> tuple[Contradiction, ...]:
    """Human decisions that the library in the head's space would contradict; nothing is written."""
    done = recompute(stores, settings, now, progress, publish=False, space=LiveSpace(card.head_id))
    copies = Copies.from_table(done.tables[TABLE])
    history = stores.ledger.history()
    aside = unclaimed(stores.layout, history)
    inputs = read_inputs(stores, copies, head_id=card.head_id, aside=aside)
    human = human_facts(history.state, copies.tracks(stores.tables, history))
    settings = settings_of_library(stores, settings)
    thresholds = template_thresholds(done.tables["calibration"], inputs.space, settings)
    return contradictions(
        inputs.templates,
        done.tables["person_references"],
        done.tables["person_assignments"],
        human,
        thresholds,
        settings.match,
    )


def _why(judgement: Judgement) -> str:
    gain, far = judgement.faces.accepted, judgement.faces.far
    return (
        f"genuine pairs of faces accepted at FAR {far:.2g} rose from {gain.before:.3f} to "
        f"{gain.after:.3f} ({gain.low:+.3f} to {gain.high:+.3f})"
    )


def _kept(heads: HeadStore, verdict: Verdict) -> Verdict:
    heads.judge(verdict.head_id, verdict.as_json())
    return verdict
