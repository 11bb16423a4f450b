"""What must not change unnoticed, held against `golden_structure.json`.

The names by which assets, tables, settings and commands are known outside, and what each output of
a video is made of: a recipe that covers a setting less takes old results for new ones, one that
covers a setting more computes every video of every library again. What may change freely is not in
the file: which tables Dagster draws arrows between, groups, words.

To accept a change: `python -m identity_pipeline_tests.test_same_structure`, and read the diff.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import dagster as dg
import polars as pl
import pytest

from identity_pipeline.cli.main import cli
from identity_pipeline.definitions import build_defs
from identity_pipeline.settings import Settings

# The one place that knows how these are called inside:
from identity_pipeline.stages.specs.assets import VIDEO_SPECS as SPECS
from identity_pipeline.stages.specs.cache_key import digest_without_data as digest_of_all
from identity_pipeline.stages.specs.cache_key import fingerprint as fingerprint_of
from identity_pipeline.stages.specs.cache_key import key_parts as made_of
from identity_pipeline.tables import TABLES

GOLDEN = Path(__file__).with_name("golden_structure.json")
SECTIONS = ("assets", "automation", "tables", "settings", "outputs", "commands")
MODELS = ("face_pack", "perception", "vision")
DIGESTS = {name: hashlib.sha256(name.encode()).hexdigest() for name in MODELS}
"""Of models that do not exist."""


def outputs(settings: Settings) -> dict[str, dict[str, Any]]:
    """What every output of a video is made of, by asset; the tables it reads are made up."""
    versions = {name: hashlib.sha256(name.encode()).hexdigest() for name in SPECS}
    return {name: made_of(spec, settings, DIGESTS, versions) for name, spec in SPECS.items()}


def partitions_of(definition: dg.PartitionsDefinition | None) -> str | None:
    """The name of partitions; of those along several dimensions the names of these."""
    if isinstance(definition, dg.MultiPartitionsDefinition):
        return ", ".join(one.name for one in definition.partitions_defs)
    return getattr(definition, "name", None)


def assets_of(defs: dg.Definitions) -> dict[str, dict[str, Any]]:
    """Every asset as its users know it."""
    graph = defs.resolve_asset_graph()
    found = {}
    for key in sorted(graph.get_all_asset_keys()):
        node = graph.get(key)
        definition = node.assets_def
        pools = {op.pool for op in definition.op.iterate_op_defs()}  # type: ignore[union-attr]
        found[key.to_user_string()] = {
            "partitions": partitions_of(node.partitions_def),
            "pool": next(iter(pools - {None}), None),
            "code_version": definition.specs_by_key[key].code_version,
            "checks": {
                check.name: "blocking" if graph.get(check).blocking else "tells"
                for check in sorted(node.check_keys, key=lambda check: check.name)
            },
        }
    return found


def automation_of(defs: dg.Definitions) -> dict[str, list[str]]:
    """Names under which Dagster keeps cursors, ticks and runs."""
    return {
        "sensors": sorted(sensor.name for sensor in defs.sensors or ()),
        "schedules": sorted(schedule.name for schedule in defs.schedules or ()),
        "jobs": sorted(job.name for job in defs.jobs or ()),
    }


def settings_of() -> dict[str, Any]:
    """Every setting with its default, by its dotted name."""
    values = Settings.model_construct().model_dump(mode="json")
    return {f"{group}.{name}": v for group, named in values.items() for name, v in named.items()}


def outputs_of() -> dict[str, dict[str, Any]]:
    """What every output covers, by name, and the digest over the names and values together."""
    default = Settings.model_construct()
    off = default.phases.model_validate(dict.fromkeys(type(default.phases).model_fields, False))
    without = outputs(Settings.model_construct(phases=off))
    return {
        asset: {
            "code": made["code"],
            **{kind: sorted(made[kind]) for kind in ("inputs", "models", "settings")},
            "fingerprint": fingerprint_of(made),
            "with all phases off": fingerprint_of(without[asset]),
        }
        for asset, made in outputs(default).items()
    } | {"all of them": {"fingerprint": digest_of_all(default, DIGESTS)}}


def commands_of() -> dict[str, list[str]]:
    """Every command with its options and arguments."""
    return {name: sorted(map(_spelt, command.params)) for name, command in _commands(cli)}


def _commands(command: click.Command, name: str = "") -> Iterator[tuple[str, click.Command]]:
    yield name or "identity-pipeline", command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for own in command.list_commands(context):
            below = command.get_command(context, own)
            assert below is not None
            yield from _commands(below, f"{name} {own}".strip())


def _spelt(parameter: click.Parameter) -> str:
    kind = parameter.type
    words = ["/".join((*parameter.opts, *parameter.secondary_opts))]
    if isinstance(parameter, click.Argument):
        words = [parameter.human_readable_name.strip("[].").upper()]
    flag = isinstance(parameter, click.Option) and parameter.is_flag
    if not flag:
        words.append("|".join(kind.choices) if isinstance(kind, click.Choice) else kind.name)
    if parameter.nargs != 1 or getattr(parameter, "multiple", False):
        words.append("...")
    if parameter.required:
        words.append("required")
    value = parameter.default
    if isinstance(value, str | int | float | tuple) and value not in (False, ""):
        words.append(f"= {json.dumps(value)}")
    return " ".join(words)


def _type(kind: Any) -> str:
    """`List(Float32)`, spelt by ourselves: Polars words it otherwise from version to version."""
    if isinstance(kind, pl.List):
        return f"List({_type(kind.inner)})"
    return kind.base_type().__name__


def structure(defs: dg.Definitions) -> dict[str, dict[str, Any]]:
    """All that the golden file holds."""
    return {
        "assets": assets_of(defs),
        "automation": automation_of(defs),
        "tables": {
            table: {column: _type(kind) for column, kind in schema.items()}
            for table, schema in TABLES.items()
        },
        "settings": settings_of(),
        "outputs": outputs_of(),
        "commands": commands_of(),
    }


def written(found: dict[str, dict[str, Any]]) -> str:
    """The text of the golden file: one line for each thing that has a name."""
    sections = []
    for section, entries in found.items():
        lines = ",\n".join(f"  {json.dumps(n)}: {json.dumps(entries[n])}" for n in sorted(entries))
        sections.append(f'"{section}": {{\n{lines}\n}}')
    return "{\n" + ",\n".join(sections) + "\n}\n"


@pytest.fixture(scope="module")
def now() -> dict[str, dict[str, Any]]:
    return json.loads(written(structure(build_defs())))


@pytest.mark.parametrize("section", SECTIONS)
def test_it_is_what_the_golden_file_says(section: str, now: dict[str, dict[str, Any]]) -> None:
    before = json.loads(GOLDEN.read_text())
    assert before.keys() == set(SECTIONS)
    assert now[section] == before[section]


def test_the_order_of_columns_is_that_of_the_golden_file(now: dict[str, dict[str, Any]]) -> None:
    """It is the order in the files."""
    tables = json.loads(GOLDEN.read_text())["tables"]
    assert {n: list(of) for n, of in now["tables"].items()} == {n: list(tables[n]) for n in tables}


if __name__ == "__main__":
    GOLDEN.write_text(written(structure(build_defs())))
