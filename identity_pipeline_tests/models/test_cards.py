"""Cards of folders of models."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import identity_pipeline
from identity_pipeline.models.cards import ModelCardError, PackCard, read_card
from identity_pipeline.models.hub import ModelHub
from identity_pipeline.settings import ModelSettings
from identity_pipeline.stages.imagesets.provenance import model_facts

BUNDLED = Path(identity_pipeline.__file__).parent / "bundled"


def test_every_model_that_is_used_by_default_shows_its_licence() -> None:
    facts = model_facts(ModelHub(ModelSettings()))
    roles = {fact.role for fact in facts}
    assert {"detection", "recognition", "face_mesh", "iris", "vision"} <= roles
    assert all(fact.licence for fact in facts)


def test_an_export_says_how_precisely_its_pictures_were_compared() -> None:
    facts = model_facts(ModelHub(ModelSettings(vision_precision="bf16", device="cpu")))
    assert {fact.provider for fact in facts if fact.role == "vision"} == {"cpu (bf16)"}


def test_a_folder_may_have_no_card(tmp_path: Path) -> None:
    assert read_card(tmp_path) == PackCard()


@pytest.mark.parametrize("text", ["{", "[]", '{"licence": 3}'])
def test_a_broken_card_is_an_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "pack.json").write_text(text)
    with pytest.raises(ModelCardError, match=r"pack\.json"):
        read_card(tmp_path)


def test_a_later_cards_unknown_fields_do_no_harm(tmp_path: Path) -> None:
    (tmp_path / "pack.json").write_text(json.dumps({"licence": "MIT", "made_by": "us"}))
    assert read_card(tmp_path).licence == "MIT"
