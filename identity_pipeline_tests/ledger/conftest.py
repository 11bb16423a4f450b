"""People and tracks that the tests of decisions share."""

from __future__ import annotations

import pytest

from identity_pipeline_tests.ledger.curator import Curator, t


@pytest.fixture
def me() -> Curator:
    return Curator()


@pytest.fixture
def ann(me: Curator) -> str:
    return me.person("Ann", t(1), t(2), t(3))


@pytest.fixture
def bob(me: Curator, ann: str) -> str:
    return me.person("Bob", t(11), t(12))
