"""`identity-pipeline camera`: what is known of cameras."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from itertools import chain
from typing import TYPE_CHECKING

import click

from identity_pipeline.cli.lists import echo_json, echo_table, json_option, say
from identity_pipeline.cli.options import (
    Moment,
    data_option,
    find_video,
    merged_settings,
    open_store,
    overrides,
)

if TYPE_CHECKING:
    from identity_pipeline.settings import Settings
    from identity_pipeline.stages.desk.cameras import CameraPage
    from identity_pipeline.stages.library.camera_account import CameraAccount
    from identity_pipeline.stages.library.camera_renewal import Renewal
    from identity_pipeline.storage.video.tables import TableStore


@click.group()
def camera() -> None:
    """Say what is known of each camera: where riders sit and look, and how it changed.

    \b
      identity-pipeline camera list          all cameras, their versions, what is known
      identity-pipeline camera show cam3     one: seats, pose zero, versions; --json has all tables
      identity-pipeline camera renew cam3    lets its older videos keep the newest model
      identity-pipeline camera label ride_004-1a2b3c4d 41 58 dark --title tunnel
    """


@camera.command("list")
@json_option
@data_option
def list_cameras(as_json: bool, data: str | None) -> None:
    """List the cameras, and whether each is known.

    \b
      identity-pipeline camera list --json
    """
    from identity_pipeline.stages.library.camera_account import accounts
    from identity_pipeline.stages.library.ride_labels import strangers

    settings = merged_settings(overrides(data))
    store = open_store(settings)
    known, damaged = accounts(store.layout, settings.camera)
    lines = strangers(store, settings)
    if as_json:
        told = [each.as_json() for each in known]
        echo_json({"cameras": told, "damaged": damaged, "strangers": lines})
        return
    if known:
        rows = ((e.word, e.version, len(e.videos), e.known, e.last_alarm or "none") for e in known)
        echo_table(("camera", ">version", ">videos", "model", "last change"), rows)
    elif not damaged:
        say("No camera is known yet: identity-pipeline run RIDE.mp4 makes the first video known.")
    problems = (problem for each in known for problem in each.problems)
    for sentence in dict.fromkeys((*damaged, *problems, *lines)):
        say(sentence, err=True)


@camera.command("show")
@click.argument("camera_name", metavar="CAMERA")
@json_option
@data_option
def show_camera(camera_name: str, as_json: bool, data: str | None) -> None:
    """Show what is known of CAMERA.

    That is its seats, its pose zero, what riders reach, what is usual, the parts of its ride, its
    versions, and which videos do not count.

    CAMERA is a name as `camera list` prints it; `unnamed` is the camera without one.

    \b
      identity-pipeline camera show unnamed --json
    """
    from identity_pipeline.stages.desk.cameras import camera_page
    from identity_pipeline.stages.library.camera_account import account_of, named
    from identity_pipeline.stages.library.ride_labels import strangers, unheeded

    settings = merged_settings(overrides(data))
    store = open_store(settings)
    account = account_of(store.layout, settings.camera, named(store.layout, camera_name))
    if as_json:
        lines = {"unheeded": unheeded(store, account.name), "strangers": strangers(store, settings)}
        echo_json({**account.in_full(), **lines})
        return
    _tell(account, camera_page(account, store, settings))


@camera.command("renew")
@click.argument("camera_name", metavar="[CAMERA]", required=False)
@click.option("--videos", metavar="VIDEO", multiple=True, help="Only this one; may be repeated.")
@click.option("--dry-run", is_flag=True, help="Only say which videos would be outdated.")
@json_option
@data_option
def renew_cameras(
    camera_name: str | None,
    videos: tuple[str, ...],
    dry_run: bool,
    as_json: bool,
    data: str | None,
) -> None:
    """Let older videos keep the newest model.

    Each gets the newest model of the version of CAMERA that filmed it; without CAMERA those of all
    cameras do. That outdates them: nothing else does, however much is learnt of a camera. Models
    that are damaged are made anew first.

    \b
      identity-pipeline camera renew cam3 --dry-run
      identity-pipeline camera renew cam3 --videos ride_004-1a2b3c4d
    """
    from identity_pipeline.stages.library.camera_account import named
    from identity_pipeline.stages.library.camera_renewal import renewals
    from identity_pipeline.stages.library.ride_labels import strangers
    from identity_pipeline.storage.cameras.cameras import UNNAMED, Cameras

    if videos and camera_name is None:
        raise click.UsageError(
            "say whose videos: identity-pipeline camera renew CAMERA --videos …; CAMERA is "
            f"`{UNNAMED}` for the one without a name"
        )
    settings = merged_settings(overrides(data))
    store, some = open_store(settings), videos or None
    names = [named(store.layout, camera_name)] if camera_name else Cameras(store.layout).names()
    if dry_run:
        due = list(chain.from_iterable(renewals(store, name, some) for name in names))
        _tell_renewed(due, as_json)
        return
    problems = _renew_all(store, settings, names, some, as_json)
    for sentence in (*strangers(store, settings), *problems):
        say(sentence, err=True)
    if problems:
        raise SystemExit(1)


@camera.command("label")
@click.argument("video")
@click.argument("start", type=Moment())
@click.argument("end", type=Moment())
@click.argument("phase")
@click.option("--title", help="What it is called.")
@data_option
def label_phase(
    video: str, start: float, end: float, phase: str, title: str | None, data: str | None
) -> None:
    """Say what a part of the ride is.

    It is PHASE, from START to END of VIDEO.

    VIDEO is an id, its beginning, or a file. START and END are seconds since its first frame, or
    minutes and seconds as pages show them. PHASE is boarding, ride, dark, flash, glare,
    high_motion, brake or stop.

    All videos of the camera pass the same parts, so it is said once, of any of them. It becomes a
    line of data/cameras/phases.csv, which may be edited; of two that overlap the later one counts.

    \b
      identity-pipeline camera label ride_004 41 58.5 dark --title tunnel
      identity-pipeline camera label ride_004 0:41 0:58 dark
    """
    from identity_pipeline.core.ride.labels import PhaseLabel
    from identity_pipeline.stages.library.phase_labelling import label_part

    settings = merged_settings(overrides(data))
    store = open_store(settings)
    said = PhaseLabel(find_video(store, video).video_id, start, end, phase, title)
    say(label_part(store, settings, said))


def _renew_all(
    store: TableStore,
    settings: Settings,
    names: Sequence[str | None],
    videos: Sequence[str] | None,
    as_json: bool,
) -> list[str]:
    """Renews cameras and tells what moved; what is damaged and stays so, in sentences."""
    from identity_pipeline.stages.library.camera_renewal import renew

    told = [renew(store, settings, name, videos) for name in names]
    problems = list(dict.fromkeys(chain.from_iterable(wrong for _, wrong in told)))
    _tell_renewed(list(chain.from_iterable(new for new, _ in told)), as_json, problems)
    return problems


def _tell_renewed(
    moved: Sequence[Renewal], as_json: bool, problems: Sequence[str] | None = None
) -> None:
    """What moved; without `problems` nothing did yet."""
    dry_run = problems is None
    if as_json:
        outdated = [asdict(each) for each in moved]
        echo_json({"dry_run": dry_run, "outdated": outdated, "damage": list(problems or ())})
        return
    if not moved:
        say("Every video keeps the newest model of its camera already.")
        return
    rows = ((e.video_id, e.before.words, e.after.words) for e in moved)
    echo_table(("video", "keeps", "is to keep" if dry_run else "keeps now"), rows)
    one = len(moved) == 1
    told = "would be outdated" if dry_run else f"{'is' if one else 'are'} outdated now"
    say(
        f"{len(moved)} {'video' if one else 'videos'} {told}. `identity-pipeline plan FILE` says "
        "what a run of one makes anew; `identity-pipeline run FILE` does it, or the sensor "
        "`outdated_videos`."
    )


def _tell(account: CameraAccount, page: CameraPage) -> None:
    say(f"{account.called}: version {account.version}, {len(account.videos)} videos. "
        f"{account.sentence}.")  # fmt: skip
    for problem in account.problems:
        say(problem, err=True)
    lists = (
        (("place", "somebody is there in"), page.places),
        (("straight ahead of", "yaw", "pitch", ">riders", ">videos"), page.zeros),
        (("riders show", "which", "how many of them"), page.others),
        (("part of the ride", "usual", "value", "999 of 1,000 videos", ">of videos"), page.usual),
        ((">from", ">to", "part of the ride", "who says so"), page.phases),
    )
    for columns, rows in lists:
        if rows:
            echo_table(columns, rows)
    _tell_faces(page)
    for sentence in (*page.expected, *page.unheeded):
        say(sentence)
    versions = (
        (v["version"], v["first_video"], "; ".join(v["causes"]) or "the first", v["noticed"])
        for v in page.versions
    )
    echo_table((">version", "since", "why it began", "noticed at"), versions)
    for video, why in account.left_out:
        say(f"{video} does not count: {why}")


def _tell_faces(page: CameraPage) -> None:
    """What riders show, and what their faces measure, in each part of the ride."""
    from identity_pipeline.core.faces.buckets import EXPRESSIONS

    if page.shown:
        expressions = (f">{name.replace('_', ' ')}" for name in EXPRESSIONS)
        echo_table((">from", ">to", "riders there show", *expressions, ">of riders"), page.shown)
    if page.faces:
        columns = ("sharpness", "light", "size in px")
        echo_table((">from", ">to", "8 of 10 faces there have", *columns), page.faces)
