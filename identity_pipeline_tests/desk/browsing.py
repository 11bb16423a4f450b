"""A real browser at a desk that runs: what the tests of pages, the screenshots and figures use.

The desk is `identity-pipeline desk` in a process of its own, the browser is Debian's Chromium. No
name but 127.0.0.1 is resolved, and whatever a page asks of another host, logs as an error, or is
kept from doing by its Content-Security-Policy, is trouble: `Visitors.troubles` must stay empty.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path
from urllib.parse import urlsplit

from click.testing import CliRunner
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    expect,
    sync_playwright,
)

from identity_pipeline.cli.main import cli
from identity_pipeline.ledger.events import Event
from identity_pipeline.ledger.replay import History, LibraryState
from identity_pipeline.stages.stores import LibraryStores
from identity_pipeline.storage.layout import Layout
from identity_pipeline.storage.video.tables import TableStore
from identity_pipeline_tests.processes import ended, program, wait_for_word

INSTALL = "apt-get install --no-install-recommends chromium"
WAIT_MS = 20_000
"""How long an action, or what is expected, may take: two cores make libraries beside the pages."""
STATUS = re.compile(r"status of (\d+)")
ADDRESS = re.compile(r"http://127\.0\.0\.1:(\d+)/enter\?token=(\S+)\s")
POLICY = """() => {
  document.addEventListener("securitypolicyviolation", (e) =>
    console.error(`policy: ${e.violatedDirective} ${e.blockedURI}`));
}"""
"""A page's own word of what the policy kept it from."""

expect.set_options(timeout=WAIT_MS)


@contextmanager
def chromium() -> Iterator[Browser]:
    """The browser; only 127.0.0.1 is to be had from it.

    Raises:
        FileNotFoundError: there is none; how to get it.
    """
    path = shutil.which("chromium")
    if path is None:
        raise FileNotFoundError(f"no Chromium: {INSTALL}")
    arguments = ["--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1"]
    if os.geteuid() == 0:
        arguments.append("--no-sandbox")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=arguments)
        yield browser
        browser.close()


def copy_library(source: Path, to: Path) -> Path:
    """A copy of a data folder that may be changed; crops, which nobody writes into, are linked."""

    def copy(a: str, b: str) -> str:
        return str(os.link(a, b) or b) if "/crops/" in a else shutil.copy2(a, b)

    return Path(shutil.copytree(source, to, symlinks=True, copy_function=copy))


@dataclass
class RunningDesk:
    """A desk in a process of its own.

    Attributes:
        data: the data folder.
        origin: `http://127.0.0.1:PORT`.
    """

    data: Path
    environment: dict[str, str] = field(default_factory=dict)
    origin: str = ""
    _process: BaseProcess | None = None
    _said: Path = Path()
    _spent: int = 0

    def start(self, *words: str) -> RunningDesk:
        """Starts it: on any free port, or, where it ran already, on the same one."""
        port = urlsplit(self.origin).port or 0
        self._said, self._spent = Path(tempfile.mkdtemp()) / "said", 0
        self._process = program(
            *("identity_pipeline", "--data", self.data, "desk", "--port", port, *words),
            said=self._said,
            environment={**self.environment, "COLUMNS": "200"},
        )
        self.origin = f"http://127.0.0.1:{self._printed(1)[0]}"
        return self

    def token(self) -> str:
        """The token of the address that was printed next; each opens one browser."""
        self._spent += 1
        return self._printed(self._spent)[1]

    def _printed(self, number: int) -> tuple[str, str]:
        """Port and token of the n-th address that it prints, once it has."""
        assert self._process
        found = wait_for_word(self._process, self._said, ADDRESS, number)[number - 1]
        return found[1], found[2]

    def stop(self, *, kill: bool = False) -> None:
        """Ends it, as Ctrl+C does, or without a word."""
        if self._process:
            (self._process.kill if kill else self._process.terminate)()
            ended(self._process)
            shutil.rmtree(self._said.parent, ignore_errors=True)

    @property
    def stores(self) -> LibraryStores:
        """The stores of its data folder."""
        return LibraryStores.of(TableStore(Layout(self.data)))

    def history(self) -> History:
        """The ledger now."""
        return self.stores.ledger.history()

    def decisions(self) -> list[Event]:
        """What curators decided so far."""
        return [e for e in self.history().events if e.kind != "renumbered"]

    def state(self) -> LibraryState:
        """What all decisions come to."""
        return self.history().state

    def names(self) -> dict[str, int]:
        """Tracks by the name of the person whom they were decided to be."""
        state = self.state()
        found = {who: len(tracks) for who, tracks in state.members.items() if tracks}
        return {str(state.people[who].name): n for who, n in found.items()}


@dataclass
class Visitors:
    """Browsers at desks, and what went wrong in them.

    Attributes:
        browser: whose windows they are.
        troubles: errors in the console, policies violated, requests of other hosts.
        expected: status codes that a test provokes.
        picture: an SVG in place of each picture of a face, for rides that are but tables.
    """

    browser: Browser
    troubles: list[str] = field(default_factory=list)
    expected: set[int] = field(default_factory=set)
    picture: str | None = None
    _open: list[BrowserContext] = field(default_factory=list)

    def context(
        self, *, width: int = 1440, height: int = 900, dark: bool = False
    ) -> BrowserContext:
        """A browser of its own, which nobody knows yet."""
        context = self.browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme="dark" if dark else "light",
            reduced_motion="reduce",
        )
        context.set_default_timeout(WAIT_MS)
        context.add_init_script(f"({POLICY})()")
        context.on("console", self._heard)
        context.on("weberror", lambda error: self.troubles.append(str(error.error)))
        context.on("request", lambda request: self._asked(request.url))
        if (picture := self.picture) is not None:
            context.route(
                "**/img/**",
                lambda route: route.fulfill(body=picture, content_type="image/svg+xml"),
            )
        self._open.append(context)
        return context

    def visit(
        self, desk: RunningDesk, curator: str = "Ada", path: str = "/", **window: int | bool
    ) -> Page:
        """Comes in by the printed address, says a name, and goes on to a page."""
        page = self.context(**window).new_page()  # type: ignore[arg-type]
        page.goto(f"{desk.origin}/enter?token={desk.token()}")
        page.get_by_label("Your name").fill(curator)
        page.get_by_role("button", name="Begin").click()
        page.wait_for_url(re.compile(r"://[^/]+/(?!who|enter)"))
        if path != "/":
            page.goto(f"{desk.origin}{path}")
        return page

    def close(self) -> None:
        """Closes all windows."""
        for context in self._open:
            context.close()
        self._open.clear()

    def _heard(self, message: ConsoleMessage) -> None:
        if message.type not in ("error", "warning"):
            return
        status = STATUS.search(message.text)
        if not (status and int(status[1]) in self.expected):
            where = message.location.get("url", "")
            self.troubles.append(f"{message.text} ({where})")

    def _asked(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("data", "blob") and parts.hostname != "127.0.0.1":
            self.troubles.append(f"asked for {url}")


def press(page: Page, key: str) -> None:
    """A key of a page that has come with its scripts: a heading is there before they listen."""
    page.wait_for_load_state()
    page.keyboard.press(key)


@dataclass
class Keyboard:
    """The keys of a page, counted.

    Attributes:
        page: on which they are pressed.
        pressed: so many so far.
    """

    page: Page
    pressed: int = 0

    def press(self, key: str) -> None:
        """One key."""
        press(self.page, key)
        self.pressed += 1

    def type(self, text: str) -> None:
        """A key a letter."""
        self.page.wait_for_load_state()
        self.page.keyboard.type(text)
        self.pressed += len(text)

    def decide(self, key: str, text: str = "") -> None:
        """A key that decides, after a text if it needs one; waits for the page that follows.

        A page that follows bears another notice or another question.
        """
        before = self.page.evaluate(SHOWN)
        if text:
            self.press(key)
            self.type(text)
            key = "Enter"
        self.press(key)
        self.page.wait_for_function(f"before => ({SHOWN})() !== before", arg=before)


def settled(page: Page) -> Page:
    """The page, once what follows from the decisions so far has been made behind it."""
    page.wait_for_function(
        "() => document.querySelector('#behind') && !document.querySelector('#behind .at-work')",
        timeout=60_000,
    )
    return page


SHOWN = """() => [".notice", "h1", "[data-question]"].map(what => {
  const one = document.querySelector(what);
  return one?.dataset.question ?? one?.innerText;
}).join()"""


def name_tracks(data: Path, names: Mapping[str, str]) -> None:
    """Names tracks of the demo by `RIDE:TRACK`, and brings the library up to date."""
    labels = [("label", track, "--name", name) for track, name in names.items()]
    for words in (*labels, ("recluster",)):
        result = CliRunner().invoke(cli, ["--data", str(data), *words], env={"USER": "Kim"})
        assert result.exit_code == 0, result.output
