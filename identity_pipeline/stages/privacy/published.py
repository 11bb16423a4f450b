"""Copies in object stores, and how they go: every version of what shows somebody.

What belongs here: which copies, at which addresses. What does not: how a store removes
(`storage.publishing`).

Of a ride that others share the whole copy goes: what is left of it is published anew once it was
made anew, and so is the library.
"""

from __future__ import annotations

from collections.abc import Iterator

from identity_pipeline.errors import IdentityPipelineError
from identity_pipeline.settings import Settings
from identity_pipeline.stages.privacy.footprint import Footprint
from identity_pipeline.stages.privacy.receipts import Removed
from identity_pipeline.stages.progress.protocol import Progress, silent
from identity_pipeline.stages.publishing.publishing import (
    LIBRARY_NOTE,
    SUFFIX,
    PublishingNotes,
    noted_addresses,
)
from identity_pipeline.storage.layout import Layout
from identity_pipeline.storage.publishing.object_store import (
    ObjectStore,
    ObjectStoreError,
    subject_of,
)


class UnknownAddressError(IdentityPipelineError, RuntimeError):
    """Something was copied to a store whose address nobody knows any more."""


def erase_published(
    layout: Layout, settings: Settings, footprint: Footprint, progress: Progress = silent
) -> list[Removed]:
    """Removes what shows them from every object store that something was ever copied to.

    Args:
        layout: of the data folder.
        settings: name the store of today; others are known from notes.
        footprint: what goes.
        progress: told of copies.

    Raises:
        ObjectStoreError: a store does not answer, or keeps something; asking again goes on.
        UnknownAddressError: there are notes of an address that is not known; all others are done.
    """
    wanted: list[str | None] = [*sorted({*footprint.faces, *footprint.whole}), None]
    objects = size = 0
    urls = published_to(layout, settings)
    _refuse_gone(layout, urls)
    for n, (url, one) in enumerate((url, one) for url in urls for one in wanted):
        erased = ObjectStore(url).erase(subject_of(one))
        PublishingNotes(layout, url).drop(one)
        objects, size = objects + erased.objects, size + erased.bytes
        progress("copies in object stores", n + 1, len(urls) * len(wanted), "copies")
    lost = sorted(_lost(layout, urls, wanted))
    if lost:
        raise UnknownAddressError(
            f"Something was copied to an object store whose address is not noted "
            f"({', '.join(lost)} below {layout.published}). Set publish.url to that address and "
            "go on; where that store is gone, or was cleared by hand, remove the folder."
        )
    return [Removed("object stores", "picture", objects, size, "deleted")] if objects else []


def _refuse_gone(layout: Layout, urls: list[str]) -> None:
    """Passes where every folder that something was copied to is there."""
    for url in urls:
        sent = PublishingNotes(layout, url).sent
        if any(sent.glob(f"*{SUFFIX}")) and ObjectStore(url).is_gone:
            raise ObjectStoreError(
                f"{url} is not there, and something was copied to it: mount it and go on; where it "
                f"was deleted by hand, remove {sent}."
            )


def published_to(layout: Layout, settings: Settings) -> list[str]:
    """Addresses of all object stores that something was copied to, today's first."""
    noted = (url for url in noted_addresses(layout).values() if url)
    return list(dict.fromkeys(filter(None, [settings.publish.url, *noted])))


def _lost(layout: Layout, urls: list[str], wanted: list[str | None]) -> Iterator[str]:
    """Folders of notes on what is to go, of addresses that nobody knows."""
    known = {PublishingNotes(layout, url).sent.name for url in urls}
    names = [f"{one or LIBRARY_NOTE}{SUFFIX}" for one in wanted]
    for folder in noted_addresses(layout).keys() - known:
        if any((layout.published / folder / name).is_file() for name in names):
            yield folder
