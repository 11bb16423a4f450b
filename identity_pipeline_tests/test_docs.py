"""The papers: what they name is there, and the README fits a screen."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import click
import pytest

from identity_pipeline.cli.main import cli
from identity_pipeline.settings import Settings
from tools import house_drawing

ROOT = Path(__file__).resolve().parents[1]
PAPERS = [
    path
    for folder in (
        ".",
        "docs",
        "data",
        "deploy",
        "identity_pipeline/bundled",
        "tools/bundled_models",
    )
    for path in sorted((ROOT / folder).glob("*.md"))
]
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
COMMAND = re.compile(
    r"(?:^|[\s`(/|$])identity-pipeline[ \t]+((?:--(?:data|settings) \S+ )*)([^`#\n|;)]*)"
)
MODULE = re.compile(r"python -m ((?:identity_pipeline_tests|tools)[\w.]*)")
TARGET = re.compile(r"(?:^ {4}|`)make ([a-z]+)", re.MULTILINE)
SETTING = re.compile(r"`([a-z]+)\.([a-z_]+)`")
SOURCE = re.compile(r"`((?:[\w]+/)+\w+\.(?:py|toml|yaml|env))`")


def text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def named(pattern: re.Pattern[str]) -> Iterator[tuple[str, re.Match[str]]]:
    """All places of all papers that fit."""
    for path in PAPERS:
        for match in pattern.finditer(text_of(path)):
            yield str(path.relative_to(ROOT)), match


@cache
def anchors(path: Path) -> set[str]:
    """The anchors of a paper's headings, as both the repository's reader and the site make them."""
    titles = re.findall(r"^#+ (.+)$", text_of(path), re.MULTILINE)
    plain = (re.sub(r"[^\w\- ]", "", title.lower()).strip() for title in titles)
    return {re.sub(r" ", "-", title) for title in plain}


def test_the_readme_is_one_screen() -> None:
    assert len(text_of(ROOT / "README.md").split()) <= 900


@pytest.mark.parametrize("path", PAPERS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path: Path) -> None:
    for link in LINK.findall(text_of(path)):
        if "://" in link:
            continue
        file, _, anchor = link.partition("#")
        target = (path.parent / file).resolve() if file else path
        assert target.exists(), link
        assert target.is_relative_to(ROOT), link
        assert not anchor or anchor in anchors(target), link


def test_commands_and_options_exist() -> None:
    seen = set()
    for where, match in named(COMMAND):
        words = match[2].split()
        if not words or not re.fullmatch(r"[a-z][a-z-]+", words[0]):
            continue
        context = click.Context(cli)
        command = cli.get_command(context, words[0])
        assert command is not None, f"{where}: {match[0]}"
        seen.add(words[0])
        if isinstance(command, click.Group) and len(words) > 1:
            command = command.get_command(context, words[1]) or command
        options = {
            name for param in command.params for name in [*param.opts, *param.secondary_opts]
        }
        shared = {"--data", "--settings", "--debug", "--help", "-h"}
        for word in words[1:]:
            if word.startswith("--"):
                option = word.partition("=")[0].rstrip(".,:")
                assert option in options | shared, f"{where}: {match[0]}"
    assert len(seen) > 20


def test_make_targets_and_modules_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):", text_of(ROOT / "Makefile"), re.MULTILINE))
    for where, match in named(TARGET):
        assert match[1] in targets, f"{where}: make {match[1]}"
    for where, match in named(MODULE):
        assert find_spec(match[1].rstrip(".")), f"{where}: {match[1]}"


def test_settings_and_files_exist() -> None:
    groups = {name: field.annotation for name, field in Settings.model_fields.items()}
    for where, match in named(SETTING):
        fields = getattr(groups.get(match[1]), "model_fields", None)
        setting = fields is not None and match[2] not in {"html", "json", "sqlite"}
        assert not setting or match[2] in fields, f"{where}: {match[0]}"
    for where, match in named(SOURCE):
        homes = (ROOT, ROOT / "identity_pipeline", ROOT / where / "..")
        there = any((home / match[1]).resolve().exists() for home in homes)
        assert there or match[1].startswith("data/"), f"{where}: {match[0]}"


def test_the_drawing_and_the_rooms_are_those_of_the_imports() -> None:
    names = [str(path.relative_to(ROOT)) for path in house_drawing.outdated()]
    assert not names, "python -m tools.house_drawing"


def test_the_design_names_every_asset() -> None:
    golden = json.loads(text_of(ROOT / "identity_pipeline_tests/golden_structure.json"))
    design = text_of(ROOT / "docs/design.md")
    assert not [name for name in golden["assets"] if f"`{name}`" not in design]
