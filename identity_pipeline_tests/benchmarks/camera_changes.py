r"""Whether changes of a drawn camera are told, how soon, and who of another track is noticed.

    python -m tools.bundled_models.camera --facekit ARRAYS --camera 7 --rides 38 --seconds 6 \
        --fps 5 --yaw 12 --pitch -8 --change bump@30:40,25,6,-3 --out FOLDER
    identity-pipeline --data DATA run FOLDER/*.mp4
    python -m identity_pipeline_tests.benchmarks.camera_changes DATA --truth FOLDER

`--change lens@30:2` makes the lens dirty and `exposure@30:0.6` lets in less light from the 31st
ride on; `foreign@9` makes one ride another track's; without it nothing changes. Printed are the
versions of the camera beside the changes that were drawn, with the cause that is given and after
how many videos; alarms of nothing that was drawn; and which videos of another track were noticed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import click

from identity_pipeline.core.camera.watch import Figures, judge
from identity_pipeline.core.ride.course import course_of
from identity_pipeline.core.ride.template import follow
from identity_pipeline.settings import Settings
from identity_pipeline.stages.library.camera_watch import series
from identity_pipeline.stages.library.ride_template import not_of_the_ride
from identity_pipeline.stages.video.ride_phases import template_of
from identity_pipeline.storage.cameras.cameras import RIDE
from identity_pipeline_tests.benchmarks.camera_rides import FOLDER
from identity_pipeline_tests.benchmarks.drawn_rides import Drawn, counted

WORDS = {"bump": "moved", "lens": "lens", "exposure": "exposure"}
"""A word of the cause that is right."""
STATES = {True: "followed", False: "another ride's", None: "of which nothing is told"}


def change_words(drawn: Drawn) -> Iterator[str]:
    """Each change that was drawn, and each version of the camera that begins with none."""
    record = drawn.cameras.record(None)
    if record is None:
        return
    numbers = [drawn.number(video) for video in record.videos]
    left = list(record.versions[1:])
    for kind, ride in drawn.changes():
        if kind == "foreign":
            continue
        after = sum(n >= ride for n in numbers)
        told = next((v for v in left if v.noticed and drawn.number(v.noticed) >= ride), None)
        if told is None:
            yield f"{kind} from ride {ride} on: not told within {after} videos"
            continue
        left.remove(told)
        first = numbers[told.begins]
        late = sum(ride <= n <= drawn.number(told.noticed or "") for n in numbers)
        cause = "right" if WORDS[kind] in told.causes[0] else "wrong"
        yield (
            f"{kind} from ride {ride} on: told by the {late}. video after it, said to begin at "
            f"{first}, {cause} cause: {'; '.join(told.causes)}"
        )
    for each in left:
        yield f"false alarm at {each.noticed}: {'; '.join(each.causes)}"
    yield f"{len(left)} false alarms in {len(numbers)} videos"


def unlike_words(drawn: Drawn) -> Iterator[str]:
    """The videos that were said to be unlike all before, of the own track and of others."""
    seen, record = series(drawn.store, None), drawn.cameras.record(None)
    told: dict[bool, list[str]] = {False: [], True: []}
    sentences = []
    for which in range(len(record.versions) if record else 0):
        own = [video for video in record.own(which) if video in seen]  # type: ignore[union-attr]
        before: list[Figures] = []
        for video in own:
            verdict = judge([*before, seen[video].figures], Settings().camera)
            if seen[video].other_ride is None:
                before.append(seen[video].figures)
            if verdict.unlike:
                told[drawn.is_foreign(video)].append(video)
                words = "; ".join(each.sentence for each in verdict.unlike)
                sentences.append(f"  {video}: {words}")
    for foreign, found in told.items():
        videos = [video for video in drawn.videos if drawn.is_foreign(video) == foreign]
        words = "of another track" if foreign else "of its own track"
        yield f"videos {words} said to be unlike those before: {len(found)} of {len(videos)}"
    yield from sentences


def foreign_words(drawn: Drawn) -> Iterator[str]:
    """Which videos are left out as another ride's, and how far from the limit each side is."""
    editions = drawn.cameras.editions(None, RIDE)
    if not editions:
        yield "the ride of this camera is not known"
        return
    left_out = not_of_the_ride(drawn.store, None, drawn.videos)
    template, _ = template_of(drawn.cameras.edition(None, editions[-1], RIDE))
    step_s = Settings().ride.step_s
    nearness: dict[bool, list[float]] = {True: [], False: []}
    told: dict[bool, Counter[str]] = {True: Counter(), False: Counter()}
    for video in drawn.videos:
        followed = follow(course_of(drawn.store.read("frames", video), step_s), template)
        told[drawn.is_foreign(video)][STATES[followed.same_ride]] += 1
        if followed.nearness is not None:
            nearness[drawn.is_foreign(video)].append(followed.nearness)
    for foreign, near in nearness.items():
        videos = [video for video in drawn.videos if drawn.is_foreign(video) == foreign]
        found = [video for video in videos if video in left_out]
        words = "of another track" if foreign else "of its own track"
        between = f"{min(near):.2f} to {max(near):.2f}" if near else "nothing"
        yield (
            f"videos {words} left out as another ride's: {len(found)} of {len(videos)}; by the "
            f"newest template: {counted(told[foreign])}; from usual (0) to the limit (1) they lie "
            f"at {between}"
        )
    for video, why in left_out.items():
        yield f"  {video}: {why}"


@click.command()
@click.argument("data", type=FOLDER)
@click.option("--truth", required=True, type=FOLDER)
def main(data: Path, truth: Path) -> None:
    """Prints what was told of changes of the camera without a name in DATA."""
    drawn = Drawn.of(data, truth)
    for words in (*change_words(drawn), *unlike_words(drawn), *foreign_words(drawn)):
        click.echo(words)


if __name__ == "__main__":
    main()
