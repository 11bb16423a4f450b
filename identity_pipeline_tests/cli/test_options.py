"""What commands take in common."""

from __future__ import annotations

import click
import pytest

from identity_pipeline.cli.options import Moment


@pytest.mark.parametrize(("said", "seconds"), [("58.5", 58.5), ("0:41", 41.0), ("2:03.5", 123.5)])
def test_a_moment_is_said_in_seconds_or_as_pages_show_it(said: str, seconds: float) -> None:
    assert Moment().convert(said, None, None) == seconds


def test_what_is_no_moment_is_told_with_what_is() -> None:
    with pytest.raises(click.BadParameter, match="say 58"):
        Moment().convert("soon", None, None)
