r"""Whether changes of a drawn camera are told, and how soon.

    python -m tools.bundled_models.camera --facekit ARRAYS --camera 7 --rides 38 --seconds 6 \
        --fps 5 --yaw 12 --pitch -8 --change bump@30:40,25,6,-3 --out FOLDER
    identity-pipeline --data DATA run FOLDER/*.mp4
    python -m identity_pipeline_tests.benchmarks.camera_changes DATA --truth FOLDER

`--change lens@30:2` makes the lens dirty and `exposure@30:0.6` lets in less light from the 31st
ride on; `foreign@9` makes one ride another track's (see `other_rides`); without it nothing changes.
Printed are the versions of the camera beside the changes that were drawn, with the cause that is
given and after how many videos; and alarms of nothing that was drawn.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from identity_pipeline.core.camera.watch import Figures, judge
from identity_pipeline.settings import Settings
from identity_pipeline.stages.library.camera_watch import series
from identity_pipeline_tests.benchmarks.camera_rides import FOLDER
from identity_pipeline_tests.benchmarks.drawn_rides import Drawn

WORDS = {"bump": "moved", "lens": "lens", "exposure": "exposure"}
"""A word of the cause that is right."""


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


@click.command()
@click.argument("data", type=FOLDER)
@click.option("--truth", required=True, type=FOLDER)
def main(data: Path, truth: Path) -> None:
    """Prints what was told of changes of the camera without a name in DATA."""
    drawn = Drawn.of(data, truth)
    for words in (*change_words(drawn), *unlike_words(drawn)):
        click.echo(words)


if __name__ == "__main__":
    main()
