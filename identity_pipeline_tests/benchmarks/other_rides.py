r"""Which videos are taken for another ride's: drawn ones of a camera, and others laid on its ride.

    python -m identity_pipeline_tests.benchmarks.other_rides DATA --truth FOLDER [--beside DATA]

DATA and FOLDER are as `camera_changes` has them: drawn with `--change foreign@9` one ride is of
another track, and own ones may come after a change of the camera. The ride is learnt anew, of the
first videos of which twenty follow one course, and every video is laid on it; so are those of the
data folders that `--beside` names, real ones too, as if they had been put among the camera's.
Printed is how many are followed, told as another ride's or as of other scenery (both make no model
and fail the check), or not told; and how well they fit.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from identity_pipeline.core.ride.course import Course, course_of
from identity_pipeline.core.ride.template import Followed, Template, build_template, follow
from identity_pipeline.settings import Settings
from identity_pipeline.storage.layout import Layout
from identity_pipeline.storage.video.tables import TableStore
from identity_pipeline_tests.benchmarks.camera_rides import FOLDER
from identity_pipeline_tests.benchmarks.drawn_rides import Drawn, counted

S = Settings()
STATES = {True: "followed", False: "another ride's", None: "not told"}


def learnt(courses: dict[str, Course]) -> Template:
    """The ride, of the first videos of which so many follow one course as it takes.

    Raises:
        ClickException: so many do not.
    """
    sentence = ""
    for taken in range(S.camera.videos_min, len(courses) + 1):
        found = build_template(dict(list(courses.items())[:taken]), S.ride, S.camera.videos_min)
        if isinstance(found, Template):
            click.echo(f"learnt of {len(found.members)} of the first {taken} videos")
            return found
        sentence = found.sentence
    raise click.ClickException(sentence)


def state_of(followed: Followed) -> str:
    """What is told of a video."""
    return "of other scenery" if followed.other_scenery else STATES[followed.same_ride]


def words(kind: str, told: dict[str, Followed]) -> Iterator[str]:
    """What is told of some videos."""
    fits = [each.seen.fit for each in told.values() if each.seen and each.seen.fit is not None]
    between = f"{min(fits):.2f} to {max(fits):.2f}" if fits else "not measured"
    states = Counter(state_of(each) for each in told.values())
    yield f"{len(told)} videos {kind}: {counted(states)}; their fit is {between}"
    for video, each in told.items():
        if each.sentence and state_of(each) != STATES[None]:
            yield f"  {video}: {each.sentence}"


def laid(store: TableStore, videos: Sequence[str], template: Template) -> dict[str, Followed]:
    """How some videos follow the ride."""
    step_s = S.ride.step_s
    return {v: follow(course_of(store.read("frames", v), step_s), template) for v in videos}


@click.command()
@click.argument("data", type=FOLDER)
@click.option("--truth", required=True, type=FOLDER)
@click.option("--beside", multiple=True, type=FOLDER)
def main(data: Path, truth: Path, beside: tuple[Path, ...]) -> None:
    """Prints which videos of the camera without a name in DATA are taken for another ride's."""
    drawn = Drawn.of(data, truth)
    step_s = S.ride.step_s
    courses = {v: course_of(drawn.store.read("frames", v), step_s) for v in drawn.videos}
    template = learnt(courses)
    usual = template.scenery and template.scenery.fit
    click.echo(f"usual fit: {usual.usual:.2f}" if usual else "its pictures tell nothing")
    for kind, is_foreign in (("of its own track", False), ("of another track", True)):
        videos = [v for v in drawn.videos if drawn.is_foreign(v) == is_foreign]
        for line in words(kind, laid(drawn.store, videos, template)):
            click.echo(line)
    for folder in beside:
        store = TableStore(Layout(folder))
        for line in words(f"of {folder}", laid(store, store.videos_with("frames"), template)):
            click.echo(line)


if __name__ == "__main__":
    main()
