"""Demo models are refused where nobody allowed them, and say their licence where they run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import identity_pipeline
from identity_pipeline.models.cards import ModelCardError, PackCard, permitted, read_card
from identity_pipeline.models.face_pack import FacePack
from identity_pipeline.models.hub import ModelHub
from identity_pipeline.models.packs import FacePackError
from identity_pipeline.models.vision_encoder import VisionEncoder, VisionEncoderError
from identity_pipeline.settings import ModelSettings, Settings
from identity_pipeline.stages.imagesets.provenance import model_facts

BUNDLED = Path(identity_pipeline.__file__).parent / "bundled"


def demo(allow: bool) -> ModelSettings:
    return Settings().models.model_copy(
        update={
            "face_pack": str(BUNDLED / "pack"),
            "vision_encoder": str(BUNDLED / "vision"),
            "allow_demo": allow,
        }
    )


def test_the_demo_pack_is_refused_with_what_to_do() -> None:
    with pytest.raises(FacePackError, match=r"models\.face_pack .*buffalo_l .*allow_demo"):
        FacePack(demo(allow=False))
    with pytest.raises(VisionEncoderError, match=r"models\.vision_encoder .*dinov2"):
        VisionEncoder(demo(allow=False))


def test_where_allowed_every_demo_model_shows_its_licence() -> None:
    hub = ModelHub(demo(allow=True).model_copy(update={"perception": ""}))
    facts = model_facts(hub)
    roles = {fact.role for fact in facts}
    assert {"detection", "recognition", "landmark_3d_68", "face_attributes", "vision"} <= roles
    assert {fact.licence for fact in facts} == {"MIT"}
    assert all("demo" in fact.name for fact in facts)


def test_no_setting_allows_demo_models_by_itself() -> None:
    assert Settings().models.allow_demo is False


def test_a_folder_without_a_card_is_no_demo(tmp_path: Path) -> None:
    assert permitted(tmp_path, False, "models.face_pack", "buffalo_l") == PackCard()


@pytest.mark.parametrize("text", ["{", "[]", '{"licence": 3}'])
def test_a_broken_card_is_an_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "pack.json").write_text(text)
    with pytest.raises(ModelCardError, match=r"pack\.json"):
        read_card(tmp_path)


def test_a_later_cards_unknown_fields_do_no_harm(tmp_path: Path) -> None:
    (tmp_path / "pack.json").write_text(json.dumps({"licence": "MIT", "made_by": "us"}))
    assert read_card(tmp_path).licence == "MIT"
