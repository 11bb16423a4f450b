"""`identity-pipeline publish` and `fetch`: finished videos to an object store, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from identity_pipeline.cli.curating import counted
from identity_pipeline.cli.index import bar
from identity_pipeline.cli.lists import say
from identity_pipeline.cli.options import (
    data_option,
    find_video,
    merged_settings,
    open_store,
    overrides,
)

if TYPE_CHECKING:
    from identity_pipeline.stages.publishing.publishing import Publisher
    from identity_pipeline.storage.video.tables import TableStore

SHOWN = 20
LIBRARY = "the library"


def opened(data: str | None, *, claim: bool = False) -> tuple[TableStore, Publisher]:
    """Tables, and the way from them to the store of the settings.

    Raises:
        click.UsageError: the settings name no store.
    """
    from identity_pipeline.stages.publishing.publishing import Publisher

    settings = merged_settings(overrides(data))
    if not settings.publish.url:
        raise click.UsageError(
            "publish.url is empty; set it in settings.toml ([publish], url = "
            '"s3://bucket/prefix") or as IDENTITY_PIPELINE__PUBLISH__URL.'
        )
    store = open_store(settings, claim=claim)
    return store, Publisher.of(store.layout, settings)


@click.command()
@click.argument("videos", nargs=-1, metavar="[VIDEO]...")
@click.option("--dry-run", is_flag=True, help="Only say what would be sent.")
@click.option(
    "--verify", is_flag=True, help="Read back what is there, and send again what is wrong."
)
@data_option
def publish(videos: tuple[str, ...], dry_run: bool, verify: bool, data: str | None) -> None:
    """Copy finished videos and the library to the object store of [publish].

    Tables, exports and registrations go there; source videos, crops and the ledger do not. What is
    there already is not sent again. Files go first and the manifest last, so that a reader sees
    the old version or the new one. Keys come from the environment (AWS_ACCESS_KEY_ID, ...). The
    sensor publish_finished does the same every few minutes.

    \b
      identity-pipeline publish --dry-run       what is finished and not there yet
      identity-pipeline publish                 send it
      identity-pipeline publish ride_7          one video
      identity-pipeline publish --verify        read everything back, mend what is wrong
    """
    store, work = opened(data)
    named = [find_video(store, name).video_id for name in videos]
    if not dry_run:
        _refuse_unless_reached(work)
    if verify:
        _verify(work, named, dry_run)
        return
    # What was refused is tried again: whoever asks may have changed the settings or the store.
    wanted = list(named) or list(dict.fromkeys([*work.pending(), *work.refused()]))
    if dry_run:
        for video_id in wanted[:SHOWN]:
            say(f"would publish {video_id or LIBRARY}")
        more = f" ({len(wanted) - SHOWN} not shown)" if len(wanted) > SHOWN else ""
        say(f"{counted(len(wanted), 'thing')} to publish to {work.store.url}{more}.")
        return
    _publish(work, wanted)


def _refuse_unless_reached(work: Publisher) -> None:
    """Asks the store for one small file, before anything is read here.

    Raises:
        NotReadyError: it does not answer as it should.
    """
    from identity_pipeline.stages.planning.preflight import NotReadyError
    from identity_pipeline.storage.publishing.object_store import (
        LIBRARY_SUBJECT,
        NoManifestError,
        ObjectStoreError,
    )

    try:
        work.store.version(LIBRARY_SUBJECT)
    except NoManifestError:  # damaged there: that is the library's own affair
        return
    except ObjectStoreError as error:
        raise NotReadyError(f"Nothing was sent: {error}") from error


def _publish(work: Publisher, wanted: list[str | None] | list[str]) -> None:
    sent = size = files = 0
    waiting = []
    with bar() as report:
        for number, video_id in enumerate(wanted, 1):
            done = work.publish(video_id)
            if done.why_not:
                waiting.append(f"{video_id or LIBRARY} stays here: {done.why_not}")
            elif done.is_new and done.version:
                sent, files = sent + 1, files + len(done.version.files)
                size += done.version.size
            report("publish", number, len(wanted), "things")
    for sentence in waiting:
        say(sentence)
    there = len(wanted) - sent - len(waiting)
    say(
        f"{sent} sent to {work.store.url} ({counted(files, 'file')}, {size / 1e6:.1f} MB), "
        f"{there} there already."
    )
    if waiting:
        raise SystemExit(1)


def _verify(work: Publisher, named: list[str], dry_run: bool) -> None:
    from identity_pipeline.stages.publishing.contents import NotWholeError
    from identity_pipeline.storage.publishing.object_store import NoManifestError, subject_of

    subjects = [subject_of(video_id) for video_id in named] or work.store.subjects()
    wrong = 0
    unmended = []
    with bar() as report:
        for number, subject in enumerate(subjects, 1):
            try:
                found = _wrong(work, subject, dry_run)
            except (NotWholeError, NoManifestError) as error:
                found = []
                unmended.append(str(error))
            wrong += len(found)
            for path in found[:SHOWN]:
                verb = "is wrong" if dry_run else "was wrong and is sent again"
                say(f"{subject}: {path} {verb}")
            report("verify", number, len(subjects), "things")
    for sentence in unmended:
        say(sentence)
    say(f"{counted(len(subjects), 'thing')} read back, {counted(wrong, 'file')} wrong.")
    if unmended:
        raise SystemExit(1)


def _wrong(work: Publisher, subject: str, dry_run: bool) -> list[str]:
    from identity_pipeline.storage.publishing.object_store import LIBRARY_SUBJECT

    if not dry_run:
        return work.mend(None if subject == LIBRARY_SUBJECT else _video_of(subject))
    there = work.store.version(subject)
    return work.store.wrong(subject, there) if there else []


def _video_of(subject: str) -> str:
    return subject.rpartition("/")[2]


@click.command()
@click.argument("videos", nargs=-1, metavar="[VIDEO]...")
@click.option("--all", "everything", is_flag=True, help="All videos, and the library.")
@click.option("--library", is_flag=True, help="The library's tables.")
@click.option("--force", is_flag=True, help="Replace another version that is in the data folder.")
@data_option
def fetch(
    videos: tuple[str, ...], everything: bool, library: bool, force: bool, data: str | None
) -> None:
    """Bring tables and exports back from the object store of [publish]; without VIDEO, list it.

    Every file is checked against its digest. Fetched into an empty data folder they can be asked
    with `sql` and `why` on a machine that never saw the videos.

    \b
      identity-pipeline fetch                                   what is there
      identity-pipeline fetch ride_7                            one video
      identity-pipeline fetch --all --data reading              everything, to read it elsewhere
      identity-pipeline sql --data reading "SELECT count(*) FROM images"
    """
    from identity_pipeline.storage.publishing.object_store import LIBRARY_SUBJECT

    _, work = opened(data, claim=True)
    there = work.store.subjects()
    if not (videos or everything or library):
        _list_subjects(there)
        say(f"{counted(len(there), 'thing')} in {work.store.url}.")
        return
    failed = _fetch_videos(work, _wanted(there, videos, everything), force)
    if (library or everything) and LIBRARY_SUBJECT in there:
        failed += _fetch_library(work, force)
    if failed:
        say("\n".join(failed))
        raise SystemExit(1)


def _list_subjects(subjects: list[str]) -> None:
    from identity_pipeline.storage.publishing.object_store import LIBRARY_SUBJECT

    for subject in subjects:
        say(subject if subject == LIBRARY_SUBJECT else _video_of(subject))


def _wanted(there: list[str], videos: tuple[str, ...], everything: bool) -> list[str]:
    from identity_pipeline.storage.publishing.object_store import LIBRARY_SUBJECT

    known = [_video_of(subject) for subject in there if subject != LIBRARY_SUBJECT]
    return known if everything else [_meant(name, known) for name in videos]


def _fetch_videos(work: Publisher, wanted: list[str], force: bool) -> list[str]:
    """Fetches videos; returns why some could not be."""
    from identity_pipeline.stages.publishing.publishing import OF_ONE

    fetched, failed = 0, list[str]()
    with bar() as report:
        for number, video_id in enumerate(wanted, 1):
            try:
                fetched += work.fetch(video_id, force=force) is not None
            except OF_ONE as error:  # the others can be fetched all the same
                failed.append(str(error))
            report("fetch", number, len(wanted), "videos")
    same = len(wanted) - fetched - len(failed)
    say(f"{counted(fetched, 'video')} fetched, {same} there already.")
    return failed


def _fetch_library(work: Publisher, force: bool) -> list[str]:
    """Fetches the library; returns why it could not be."""
    from identity_pipeline.stages.publishing.publishing import OF_ONE

    try:
        new = work.fetch_library(force=force)
    except OF_ONE as error:
        return [str(error)]
    say(f"The library {'is fetched' if new else 'is there already'}.")
    return []


def _meant(name: str, known: list[str]) -> str:
    matches = [name] if name in known else [video for video in known if video.startswith(name)]
    if len(matches) != 1:
        raise click.UsageError(
            f"no single published video fits {name!r}; `identity-pipeline fetch` lists them."
        )
    return matches[0]
