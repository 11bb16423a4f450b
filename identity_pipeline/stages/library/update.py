"""The one way in which the library is brought up to date: its tables, and all that follows them.

Profiles, k-means heads and the names in the vector index are made of the generation in force, and
what the videos of cameras teach is made of those that are no copies. Each
step notes in that generation that it was brought in step, so a new one starts without notes, and
`plan` and `status` know what is behind. What cannot be brought in step is said, with the command
that does it, and neither takes back the tables nor holds up the other steps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Final, TypeVar

from identity_pipeline.errors import IdentityPipelineError
from identity_pipeline.settings import Settings
from identity_pipeline.stages.library.camera_lessons import learn
from identity_pipeline.stages.library.indexing import INDEX, put_names_in
from identity_pipeline.stages.library.kmeans_heads import HeadsTrained, train_kmeans_heads
from identity_pipeline.stages.library.profiles import ProfileChanges, sync_profiles
from identity_pipeline.stages.library.profiles import in_step as profiles_in_step
from identity_pipeline.stages.library.recompute import Recomputed, recompute
from identity_pipeline.stages.progress.heartbeat import Work
from identity_pipeline.stages.progress.protocol import Progress, silent
from identity_pipeline.stages.specs.spec import switched_off
from identity_pipeline.stages.stores import LibraryStores

Working = Callable[[str], AbstractContextManager[tuple[Work, Progress]]]
"""What a step is done within, by its name: shown to others, or not."""
T = TypeVar("T")
AGAIN: Final = "run `identity-pipeline recluster` again"
WORDS: Final = {
    "identity_profiles": "profiles",
    "kmeans_heads": "k-means heads",
    INDEX: "names in the index",
    "camera_model": "models of cameras and of their rides",
}


@dataclass(frozen=True)
class Behind:
    """A step that is not in step with the library.

    Attributes:
        step: its name.
        why: what went wrong, in words.
        mend: the command that brings it in step, in words.
    """

    step: str
    why: str
    mend: str

    def __str__(self) -> str:
        """As a sentence."""
        return f"The {WORDS[self.step]} are not current: {self.why.rstrip('.')}; {self.mend}."


@dataclass(frozen=True)
class Updated:
    """The library, and what became of the steps that follow it.

    Attributes:
        library: the tables.
        profiles: what changed; null where that was current, or is behind.
        heads: likewise.
        indexed: videos whose points changed; null likewise, or where there is no index.
        behind: what is not in step now.
        labels: `Name (N embeddings, k sessions)` of all profiles, by name.
        cameras: what was learnt of cameras and their rides just now, in sentences.
    """

    library: Recomputed
    profiles: ProfileChanges | None
    heads: HeadsTrained | None
    indexed: tuple[str, ...] | None
    behind: tuple[Behind, ...]
    labels: tuple[str, ...]
    cameras: tuple[str, ...] = ()


@contextmanager
def unseen(step: str) -> Iterator[tuple[Work, Progress]]:
    """A step within another one, which is shown already."""
    del step
    yield Work(), silent


def update_library(
    stores: LibraryStores,
    settings: Settings,
    now: str,
    working: Working = unseen,
    *,
    whole: bool = False,
) -> Updated:
    """Brings the library's tables up to date and everything that follows them in step.

    Args:
        stores: of the data folder.
        settings: `match`, `cluster` and `index`.
        now: ISO time with a zone.
        working: what each step is done within.
        whole: take up nothing of the last computation.

    Raises:
        IdentityPipelineError: the tables cannot be computed; nothing has changed then.
    """
    with working("identity_library") as (work, progress):
        done = recompute(stores, settings, now, progress, whole=whole)
        work.computed = not done.reused
    behind: list[Behind] = []

    def follow(
        step: str,
        bring: Callable[[Work, Progress], T],
        mend: str = AGAIN,
        current: Callable[[], bool] | None = None,
    ) -> T | None:
        try:
            if current() if current else stores.generations.noted(step) is not None:
                return None
            with working(step) as (work, progress):
                return bring(work, progress)
        except (IdentityPipelineError, OSError) as error:
            behind.append(Behind(step, str(error), mend))
            return None

    def profiles(work: Work, progress: Progress) -> ProfileChanges:
        changes = sync_profiles(stores, settings, now, progress)
        work.computed = True
        behind.extend(Behind("identity_profiles", one, AGAIN) for one in changes.left)
        return changes

    def heads(work: Work, progress: Progress) -> HeadsTrained:
        trained = train_kmeans_heads(stores, settings, now, progress)
        work.computed = trained.heads is not None and not trained.reused
        work.units = len(trained.heads.people) if trained.heads else 0
        return trained

    def names(work: Work, progress: Progress) -> tuple[str, ...]:
        del work
        return tuple(sorted(put_names_in(stores, stores.index(settings), progress)))

    changed = follow("identity_profiles", profiles, current=lambda: profiles_in_step(stores))
    trained = follow("kmeans_heads", heads)
    indexed = None
    if not switched_off(settings, "index"):
        indexed = follow(
            INDEX, names, f"{AGAIN}, or make it anew: `identity-pipeline index rebuild`"
        )
    taught = _taught(stores, settings, behind)
    labels = tuple(stores.profiles.listing())
    return Updated(done, changed, trained, indexed, tuple(behind), labels, taught)


def _taught(stores: LibraryStores, settings: Settings, behind: list[Behind]) -> tuple[str, ...]:
    """Makes what the videos of cameras teach, where it is wanted: copies are known by now."""
    try:
        return tuple(learn(stores.tables, settings).sentences)
    except (IdentityPipelineError, OSError) as error:
        behind.append(Behind("camera_model", str(error), AGAIN))
        return ()
