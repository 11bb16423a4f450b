"""What commands take in common."""

from __future__ import annotations

import click
import pytest
from click.testing import CliRunner

from identity_pipeline.cli.options import Moment
from identity_pipeline_tests.benchmarks.reach import main as reach


@pytest.mark.parametrize(("said", "seconds"), [("58.5", 58.5), ("0:41", 41.0), ("2:03.5", 123.5)])
def test_a_moment_is_said_in_seconds_or_as_pages_show_it(said: str, seconds: float) -> None:
    assert Moment().convert(said, None, None) == seconds


def test_what_is_no_moment_is_told_with_what_is() -> None:
    with pytest.raises(click.BadParameter, match="say 58"):
        Moment().convert("soon", None, None)


def test_the_table_of_benchmarks_takes_only_those_that_it_has() -> None:
    refused = CliRunner().invoke(reach, ["--only", "bench_nosuch"])
    assert refused.exit_code == 2 and "'bench_video'" in refused.output
    assert "bench_video" in CliRunner().invoke(reach, ["--help"]).output
