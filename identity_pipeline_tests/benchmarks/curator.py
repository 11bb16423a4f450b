"""A simulated curator at the desk: keys until the library is right, by the queue or by chance.

The library is rendered people (`rendered_library`), the questions are those of the desk
(`core.review.questions`), decisions are events of the ledger, and the library is computed anew by
the product's own functions after every few answers, as the desk does. The curator knows who is who
and errs in so many answers of a hundred; what they got wrong is mended only where the queue shows
it. A click is one key or one pointer action: `→`, `←`, a picture selected, and for a name `n`, its
letters and Enter. B-cubed F counts each track; a track of nobody in no group stands alone.

By chance: the same questions and the same answers, the next question drawn at random.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

import click
import numpy as np
import polars as pl
from rich.console import Console
from rich.table import Table

from identity_pipeline.core.clustering.metrics import cluster_metrics
from identity_pipeline.core.library.recompute import (
    Before,
    LibraryResult,
    build_library,
    calibration_of,
    template_thresholds,
)
from identity_pipeline.core.review.alike import alike_people, nearest_outside
from identity_pipeline.core.review.questions import Bars, Question, questions
from identity_pipeline.ledger import commands
from identity_pipeline.ledger import events as ev
from identity_pipeline.ledger.commands import Command, Stamp
from identity_pipeline.ledger.errors import LedgerError
from identity_pipeline.ledger.replay import History
from identity_pipeline.settings import Settings, load_settings
from identity_pipeline.stages.curation.decisions import human_facts
from identity_pipeline.stages.desk.questions import facts_in
from identity_pipeline_tests.benchmarks.rendered_library import Rendered, box_of, read

GOAL, ERRORS, EVERY, MOST = 0.98, 0.05, 10, 4000
TYPED = 3
"""Letters of a name until the list shows it, or until it is new: `P07`."""
MEND_CLICKS = 3
"""The page of the person, the track or the decision, and the button."""
TODAY = "2026-01-01"
console = Console(width=110)


@dataclass
class Curator:
    """Somebody at the desk.

    Attributes:
        library: with its truth.
        rng: of errors, and of the order by chance.
        by_chance: whether the next question is drawn.
        errors: share of answers that are wrong.
    """

    library: Rendered
    settings: Settings
    rng: np.random.Generator
    by_chance: bool
    errors: float
    history: History = field(default_factory=History)
    clicks: int = 0
    answers: int = 0
    wrong: int = 0
    refused: int = 0
    asked: Counter[str] = field(default_factory=Counter)
    put_off: set[str] = field(default_factory=set)
    reached: float = 0.0

    def __post_init__(self) -> None:
        """Computes the library of nobody."""
        self.truth = self.library.truth
        self.tables = self.library.tables(self.settings)
        self.before = Before()
        self.names: dict[str, str] = {}
        self.ids = (f"00000000-0000-4000-8000-{n:012d}" for n in range(1, 10**9))
        seats = {key: int(key.rsplit(":", 1)[1]) - 1 for key in self.truth}
        self.anchors = {
            key: ev.Anchor(subject=key, frame_idx=0, box=box_of(seat))
            for key, seat in seats.items()
        }
        self.result = self._computed()

    def f(self) -> float:
        """B-cubed F of the library in force."""
        rows = self.result.tables["person_assignments"]
        state = self.history.state
        place = {
            key: person or cluster
            for key, person, cluster in rows.filter(state="known")
            .select("track_key", "person_id", "cluster_id")
            .iter_rows()
        }
        groups = rows.filter(rows["cluster_id"].is_not_null())
        place |= dict(groups.select("track_key", "cluster_id").iter_rows())
        place |= {key: state.survivor(who) for key, who in state.assigned.items()}
        keys = sorted(self.truth)
        found = cluster_metrics([place.get(k) for k in keys], [self.truth[k] for k in keys]).b3_f
        assert found is not None
        return found

    def work(self) -> Iterator[tuple[int, float]]:
        """Answers until the library is right or nothing is open; gives clicks and F."""
        yield 0, self.f()
        while self.clicks < MOST:
            question = self._next()
            if question is None:
                yield self._looked_at()
                return
            self.asked[question.key] += 1
            seen = len(self.history.events)
            self._answer(question)
            self.answers += 1
            if len(self.history.events) == seen:  # nothing could be said: later
                self.clicks += 1
                self.put_off.add(question.key)
            if self.answers % EVERY == 0:
                yield self._looked_at()
                if self.reached >= GOAL:
                    return

    def _looked_at(self) -> tuple[int, float]:
        """Clicks up to now, and F of the library computed anew."""
        self.result = self._computed()
        self.reached = self.f()
        return self.clicks, self.reached

    def lost(self) -> int:
        """Decisions of the ledger that the library does not keep."""
        human = human_facts(self.history.state, {}).decisions
        rows = self.result.tables["person_assignments"].filter(state="known")
        now = dict(rows.select("track_key", "person_id").iter_rows())
        return sum(now.get(key) != who for key, who in human.assigned.items())

    # what the desk does ------------------------------------------------------------------------

    def _computed(self) -> LibraryResult:
        human = human_facts(self.history.state, {})
        tables = self.tables
        calibration = calibration_of(
            tables.templates, tables.pairs, tables.samples, human.teaching, self.settings
        ).table
        found = build_library(
            tables.templates, calibration, human, self.before, TODAY, self.settings
        )
        rows = found.tables["person_assignments"].select("track_key", "cluster_id")
        self.before = Before(
            dict(rows.iter_rows()), found.tables["suggestions"], found.next_cluster_id
        )
        at = template_thresholds(found.tables["calibration"], self.library.space, self.settings).at
        self.bars = Bars(at("exclude"), at("suggest"), at("assign"))
        self.alike = alike_people(found.tables["person_references"], self.bars.assign)
        nobody = found.tables["person_assignments"].filter(pl.col("person_id").is_null())
        unknown = self.tables.templates.join(nobody, on="track_key", how="semi")
        self.outside = nearest_outside(unknown, dict(rows.iter_rows()))
        return found

    def _next(self) -> Question | None:
        tables = self.result.tables
        state = self.history.state
        found = questions(
            tables["person_assignments"],
            tables["suggestions"],
            tables["unknown_clusters"],
            self.alike,
            facts_in(human_facts(state, {}).decisions, state),
            self.bars,
            self.settings.match.suggestion_regrow,
            self.outside,
        )
        open_now = [question for question in found if question.key not in self.put_off]
        if not open_now:
            return None
        return open_now[self.rng.integers(len(open_now))] if self.by_chance else open_now[0]

    def _decide(self, command: object, *subjects: str) -> bool:
        """Carries out one decision; whether the ledger took it."""
        number = len(self.history.events) + 1
        stamp = Stamp(
            "curator",
            "2026-01-01T00:00:00Z",
            anchors=[self.anchors[subject] for subject in subjects],
            new_id=partial(next, self.ids),
        )
        build: Command = partial(command, stamp=stamp)  # type: ignore[call-overload]
        try:
            self.history = build(self.history).history
        except LedgerError:
            self.refused += 1
            return False
        assert len(self.history.events) == number
        return True

    # what the curator does ---------------------------------------------------------------------

    def _answer(self, question: Question) -> None:
        errs = self.rng.random() < self.errors
        self.wrong += errs
        if question.kind == "same":
            self._same(question, errs)
        elif question.kind == "conflict":
            self._conflict(question, errs)
        elif question.kind in ("suggestion", "automatic"):
            self._batch(question, errs)
        else:
            self._unknown(question, errs)

    def _who(self, person_id: str | None) -> str | None:
        return self.names.get(person_id or "")

    def _batch(self, question: Question, errs: bool) -> None:
        """Are these all the person? The fewer of right and wrong ones are selected."""
        assert question.person_id is not None
        name = self._who(question.person_id)
        right = [t for t in question.tracks if (self.truth[t] == name) != errs]
        wrong = [t for t in question.tracks if t not in right]
        fewer = min(right, wrong, key=len)
        chosen = fewer or question.tracks
        self.clicks += len(fewer) + 1
        if chosen[0] in right:
            self._give(question.person_id, chosen)
        else:
            self._turn_down(question, chosen)

    def _turn_down(self, question: Question, tracks: Sequence[str]) -> None:
        scores = dict(zip(question.tracks, question.scores, strict=True))
        for track in tracks:
            self._decide(
                partial(
                    commands.decline,
                    person_id=question.person_id,
                    subjects=[track],
                    evidence=scores[track],
                ),
                track,
            )

    def _unknown(self, question: Question, errs: bool) -> None:
        """Who are these? Those of the one who is seen most are named."""
        people = Counter(self.truth[track] for track in question.tracks)
        name = sorted(people, key=lambda who: (-people[who], who))[0]
        own = [track for track in question.tracks if self.truth[track] == name]
        if len(own) < len(question.tracks):
            self.clicks += len(own)
        if errs:
            name = str(self.rng.choice(sorted(set(self.truth.values()))))
        if self._who(question.person_id) == name and question.person_id:
            self.clicks += 1
            self._give(question.person_id, own)
            return
        self.clicks += TYPED + 2
        known = next(iter(self.history.state.named(name)), None)
        if known is not None:
            self._give(known, own)
        elif self._decide(partial(commands.name, new_name=name, subjects=own), *own):
            event = self.history.events[-1]
            assert isinstance(event, ev.Created)
            self.names[event.person_id] = name

    def _give(self, person_id: str, tracks: Sequence[str]) -> None:
        owners: dict[str | None, list[str]] = {}
        for track in tracks:
            owners.setdefault(self.history.state.assigned.get(track), []).append(track)
        owners.pop(person_id, None)
        for owner, own in owners.items():
            if owner is None:
                give = partial(commands.confirm, person_id=person_id, subjects=own)
            else:
                give = partial(commands.move, person_id=owner, to=person_id, subjects=own)
            if not self._decide(give, *own):
                self._one_by_one(person_id, own)

    def _one_by_one(self, person_id: str, tracks: Sequence[str]) -> None:
        """What the ledger refuses: what stands in the way is mended first, on the person's page.

        That is an earlier rejection, or another track of the same frame that is not the person.
        """
        for track in tracks:
            for event in self._in_the_way(person_id, track):
                self.clicks += MEND_CLICKS
                self._decide(partial(commands.undo, event_id=event))
            ride = track.rsplit(":", 1)[0] + ":"
            for mate in self.history.state.members.get(person_id, ()):
                if mate.startswith(ride) and self.truth[mate] != self._who(person_id):
                    self.clicks += MEND_CLICKS
                    reject = partial(commands.reject, person_id=person_id, subjects=[mate])
                    self._decide(reject, mate)
            confirm = partial(commands.confirm, person_id=person_id, subjects=[track])
            self._decide(confirm, track)

    def _in_the_way(self, person_id: str, track: str) -> list[str]:
        """Decisions in force by which a track is not a person."""
        survivor = self.history.state.survivor
        return [
            event.id
            for event in self.history.latest_in_force()
            if isinstance(event, ev.Rejected)
            and track in event.subjects
            and survivor(event.person_id) == survivor(person_id)
        ]

    def _conflict(self, question: Question, errs: bool) -> None:
        """A confirmed track is nearer to somebody else: it stays, moves, or is taken off."""
        self.clicks += 1
        track, person, rival = question.tracks[0], question.person_id, question.rival_id
        who = self.truth[track]
        stays = (self._who(person) == who) != errs
        if stays and rival is not None:
            self._decide(partial(commands.reject, person_id=rival, subjects=[track]), track)
        elif stays:
            self.put_off.add(question.key)
        elif rival is not None and self._who(rival) == who:
            self._decide(
                partial(commands.move, person_id=person, to=rival, subjects=[track]), track
            )
        else:
            self._decide(partial(commands.reject, person_id=person, subjects=[track]), track)

    def _same(self, question: Question, errs: bool) -> None:
        self.clicks += 1
        one, other = question.person_id, question.rival_id
        if (self._who(one) == self._who(other)) != errs:
            self._decide(partial(commands.merge, person_id=other, into=one))
            return
        own = self.history.state.members.get(str(one), ())
        if own:
            self._decide(partial(commands.reject, person_id=other, subjects=own), *own)
        else:
            self.put_off.add(question.key)


def run(library: Rendered, seed: int, by_chance: bool, errors: float) -> Curator:
    """One curator until the goal; prints how it went."""
    settings = load_settings()
    one = Curator(library, settings, np.random.default_rng(seed), by_chance, errors)
    curve = list(one.work())
    clicks, reached = curve[-1]
    click.echo(
        f"{'by chance' if by_chance else 'queue'} {seed}: F {curve[0][1]:.3f} -> {reached:.3f}, "
        f"{clicks} clicks, {one.answers} answers, {one.wrong} wrong, {one.refused} refused, "
        f"{sum(n > 1 for n in one.asked.values())} asked twice, {one.lost()} lost",
        err=True,
    )
    return one


@click.command(help=(__doc__ or "").split("\n\n")[0])
@click.option("--seeds", default=3, show_default=True, help="Curators of each kind.")
@click.option("--errors", default=ERRORS, show_default=True, help="Share of wrong answers.")
def main(seeds: int, errors: float) -> None:
    """Measures and prints."""
    library = read()
    sizes = np.bincount(library.person)
    table = Table(
        title=f"Rendered library: {len(library.person)} tracks of {len(sizes)} people in "
        f"{library.ride.max() + 1} rides; {errors:.0%} of answers wrong; clicks to B-cubed F "
        f"{GOAL}",
        title_justify="left",
    )
    heads = ("order", "clicks, mean", "each", "F reached", "answers", "asked twice", "lost")
    for column in heads:
        table.add_column(column)
    means = {}
    for by_chance in (False, True):
        several = [run(library, seed, by_chance, errors) for seed in range(seeds)]
        means[by_chance] = float(np.mean([one.clicks for one in several]))
        table.add_row(
            "by chance" if by_chance else "the queue",
            f"{means[by_chance]:.0f}",
            ", ".join(str(one.clicks) for one in several),
            ", ".join(f"{one.reached:.3f}" for one in several),
            f"{np.mean([one.answers for one in several]):.0f}",
            str(sum(n > 1 for one in several for n in one.asked.values())),
            str(sum(one.lost() for one in several)),
        )
    console.print(table)
    console.print(
        f"The queue takes {means[False] / means[True]:.0%} of the clicks by chance; where F is "
        "below the goal, nothing was open any more: what was said wrongly and shows nowhere stays."
    )


if __name__ == "__main__":
    main()
