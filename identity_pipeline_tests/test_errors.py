"""A message names addresses, and never what only their owner should know."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from identity_pipeline.errors import IdentityPipelineError, without_secrets
from identity_pipeline.settings.stores import PublishSettings
from identity_pipeline.storage.index.client import IndexPlace, IndexUnreachableError, server
from identity_pipeline.storage.layout import Layout

SECRET = "sEcReT"  # noqa: S105
ADDRESSES = [
    f"https://me:{SECRET}@host:6333/x",
    f"https://{SECRET}@host",
    f"s3://bucket/x?X-Amz-Signature={SECRET}&a=1",
    f"https://host/?api-key={SECRET}",
    f"az://c/p?sv=1&sig={SECRET}",
    f"postgresql://dagster:{SECRET}@db/dagster",
]


@pytest.mark.parametrize("url", ADDRESSES)
def test_an_error_does_not_tell_a_secret(url: str) -> None:
    assert SECRET not in without_secrets(f"{url!r} did not answer")
    assert "host" in str(IdentityPipelineError(f"{url} host"))
    assert SECRET not in str(IndexUnreachableError(url))
    with pytest.raises(ValueError, match="must hold no key"):
        PublishSettings(url=url)


def test_an_address_without_one_stays_as_it_is() -> None:
    for url in ("s3://bucket/prefix", "file:///a/b", "http://127.0.0.1:6333/?timeout=5", "a@b.c"):
        assert without_secrets(url) == url


def test_the_index_does_not_tell_its_address_whole() -> None:
    url = f"http://me:{SECRET}@127.0.0.1:9"
    place = IndexPlace.of(Layout(Path("data")), {"QDRANT_URL": url, "QDRANT_API_KEY": SECRET})
    assert SECRET not in f"{place} {place!r}"
    with pytest.raises(IndexUnreachableError) as caught, server(place) as client:
        client.get_collections()
    assert SECRET not in str(caught.value)


def test_a_refused_setting_does_not_tell_it(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "identity_pipeline", "settings"],
        env={
            **os.environ,
            "PYTHONPATH": str(Path(__file__).parents[1]),
            "IDENTITY_PIPELINE__PUBLISH__URL": f"s3://AKIA:{SECRET}@bucket/x",
        },
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "publish.url" in done.stderr and SECRET not in done.stdout + done.stderr
