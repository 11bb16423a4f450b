"""Generations: all tables of a run are seen, or none; a crash leaves the one in force."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from identity_pipeline.schemas import LIBRARY_TABLES, SchemaError, empty
from identity_pipeline.storage import generations as module
from identity_pipeline.storage.generations import KEPT, Generations, NoGenerationError
from identity_pipeline.storage.layout import Layout
from identity_pipeline.storage.tables import LIBRARY, TableStore


def tables(clusters: int) -> dict[str, pl.DataFrame]:
    rows = [{"cluster_id": i, "track_count": 2} for i in range(clusters)]
    made = {name: empty(name) for name in LIBRARY_TABLES}
    made["unknown_clusters"] = pl.concat(
        [made["unknown_clusters"], pl.DataFrame(rows, schema=made["unknown_clusters"].schema)]
    )
    return made


def publish(kept: Generations, number: int) -> None:
    kept.publish(tables(number), f"{number:064d}", space="s", next_cluster_id=number)


@pytest.fixture
def kept(tmp_path: Path) -> Generations:
    return Generations(Layout(tmp_path))


def test_nothing_is_there_before_the_first(kept: Generations) -> None:
    assert kept.current() is None
    assert kept.previous() is None
    with pytest.raises(NoGenerationError, match="recluster"):
        kept.read("people")


def test_readers_see_the_last_and_the_one_before_is_kept(kept: Generations) -> None:
    for number in (1, 2, 3):
        publish(kept, number)
    current, previous = kept.current(), kept.previous()
    assert current and previous
    assert (current.number, previous.number) == (3, 2)
    assert kept.read("unknown_clusters").height == 3
    assert kept.read("unknown_clusters", previous).height == 2
    store = TableStore(kept.layout)
    assert store.read("unknown_clusters", LIBRARY).height == 3
    assert store.manifest("unknown_clusters", LIBRARY) is not None


def test_only_the_last_few_are_kept(kept: Generations) -> None:
    for number in range(1, KEPT + 4):
        publish(kept, number)
    assert len(list(kept.root.glob("0*"))) == KEPT


def test_a_crash_before_the_switch_leaves_what_was_in_force(
    kept: Generations, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(kept, 1)

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(module.Generations, "_put_in_force", die)
        with pytest.raises(KeyboardInterrupt):
            publish(kept, 2)
    current = kept.current()
    assert current and current.number == 1
    assert kept.read("unknown_clusters").height == 1
    publish(kept, 5)
    assert kept.read("unknown_clusters").height == 5


def test_a_table_of_another_shape_changes_nothing(kept: Generations) -> None:
    publish(kept, 1)
    with pytest.raises(SchemaError):
        kept.publish(
            tables(2) | {"people": pl.DataFrame({"x": [1]})},
            "f" * 64,
            space="s",
            next_cluster_id=1,
        )
    assert kept.read("unknown_clusters").height == 1
