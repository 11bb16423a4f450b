"""Pages of the site that lie outside `docs/`, and links that lead out of it: a hook of MkDocs.

The same Markdown is read in the repository and as a site. In the repository a link is a path from the
file it stands in. Here the files of `PAGES` become pages of the site, links between pages are written
anew, and a link to anything else of the repository becomes the name of that file. A link to nothing
ends a strict build.
"""

from __future__ import annotations

import logging
import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
PAGES = {
    "README.md": "index.md",
    "ARCHITECTURE.md": "architecture.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "data/README.md": "data-folder.md",
    "deploy/README.md": "deploy.md",
    "identity_pipeline/bundled/MODEL_CARD.md": "model-card.md",
    "tools/bundled_models/README.md": "bundled-models.md",
}
"""Files of the repository that are pages, and how the site names them."""
LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)\s#]+)(#[^)\s]*)?\)")
log = logging.getLogger("mkdocs.hooks.docs_site")


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Adds the pages that lie outside `docs/`."""
    for source, page in PAGES.items():
        files.append(File.generated(config, page, abs_src_path=str(ROOT / source)))
    return files


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Writes the links of one page anew."""
    del config, files
    here = page.file.src_uri
    source = next((path for path, name in PAGES.items() if name == here), f"docs/{here}")
    return LINK.sub(lambda link: _as_in_the_site(link, source, here), markdown)


def _as_in_the_site(link: re.Match[str], source: str, here: str) -> str:
    """One link: to a page or picture, or the name of another file of the repository."""
    mark, text, path, anchor = link.groups(default="")
    if ":" in path:
        return link.group()
    target = posixpath.normpath(posixpath.join(posixpath.dirname(source), path))
    if target in PAGES or target.startswith("docs/"):
        name = PAGES.get(target, target.removeprefix("docs/"))
        return f"{mark}[{text}]({posixpath.relpath(name, posixpath.dirname(here) or '.')}{anchor})"
    if not (ROOT / target).exists():
        log.warning("%s links to %s, which is not there", source, target)
    return text if target in text else f"{text} (`{target}`)"
