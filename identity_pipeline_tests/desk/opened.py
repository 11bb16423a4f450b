"""A desk that is open, as a client of it sees it: the real application on a real data folder."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from starlette.testclient import TestClient

from identity_pipeline.desk.access import CURATOR, Access
from identity_pipeline.desk.app import create_app
from identity_pipeline.desk.background import Behind
from identity_pipeline.desk.pages import Seen
from identity_pipeline.desk.state import Desk
from identity_pipeline.ledger import subjects as ids
from identity_pipeline.ledger.replay import History
from identity_pipeline.settings import Settings, load_settings
from identity_pipeline.stages.stores import LibraryStores
from identity_pipeline.storage.layout import Layout
from identity_pipeline.storage.video.tables import TableStore

HOST = "127.0.0.1:3001"


def desk_on(data: Path, settings: Settings | None = None, pause_s: float = 3600.0) -> Desk:
    """The desk of a data folder, of which nothing works behind the curtain unless it is asked."""
    found = settings or load_settings(paths={"data": str(data)})
    access = Access(frozenset({HOST}), 3001, lambda token: None)
    behind = Behind(data, lambda tracks: None, pause_s)
    return Desk(found, LibraryStores.of(TableStore(Layout(data))), access, behind)


@dataclass
class Opened:
    """A browser's place at a desk.

    Attributes:
        desk: what is open.
        client: sends requests, as a curator who came in.
    """

    desk: Desk
    client: TestClient

    @property
    def history(self) -> History:
        """The ledger now."""
        return self.desk.stores.ledger.history()

    def track(self, word: str) -> str:
        """The key of a track."""
        ride, _, number = word.partition(":")
        known = self.desk.library().videos
        return ids.track(next((v for v in known if v.startswith(ride)), ride), int(number))

    def page(self, path: str, status: int = 200) -> str:
        """The text of a page."""
        answer = self.client.get(path)
        assert answer.status_code == status, answer.text[-2000:]
        return answer.text

    def head(self) -> str:
        """The head that a page carries now."""
        return Seen(time.time_ns(), self.desk.library()).head

    def act(self, kind: str, status: int = 303, **fields: str | list[str]) -> str:
        """Presses a button; gives where it leads, or what it says.

        A subject is a track, `RIDE:NUMBER` with the beginning of the ride's id.
        """
        form = {"head": self.head(), "back": "/review", **fields}
        if subjects := form.get("subject"):
            several = [subjects] if isinstance(subjects, str) else subjects
            form["subject"] = [self.track(word) for word in several]
        answer = self.client.post(f"/act/{kind}", data=form, follow_redirects=False)
        assert answer.status_code == status, answer.text[-2000:]
        return answer.headers.get("location") or answer.text


@contextmanager
def opened(desk: Desk, curator: str = "Ada") -> Iterator[Opened]:
    """Comes in at a desk."""
    with TestClient(create_app(desk), base_url=f"http://{HOST}") as client:
        client.cookies.set(desk.access.cookie, str(desk.access.enter(desk.access.token)))
        client.cookies.set(CURATOR, quote(curator))
        yield Opened(desk, client)
