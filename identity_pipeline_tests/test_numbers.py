"""Numbers of models: whose hold, where they come from, and which cards are refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from identity_pipeline.settings import Settings, SettingsError, load_settings
from identity_pipeline.settings.numbers import (
    DECIDING,
    FACE_NUMBERS,
    SHIPPED_PACKS,
    VISION_NUMBERS,
    read_numbers,
)
from identity_pipeline.stages.specs.assets import VIDEO_SPECS
from identity_pipeline.stages.specs.cache_key import key_parts
from identity_pipeline_tests.cli.test_cli import call


def pack(folder: Path, **card: object) -> str:
    """A pack's folder that holds nothing but its card."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "pack.json").write_text(json.dumps(card))
    return str(folder)


def test_a_model_speaks_only_of_settings_that_there_are() -> None:
    for name in (*FACE_NUMBERS, *VISION_NUMBERS):
        group, _, own = name.partition(".")
        assert own in type(Settings.model_fields[group].default).model_fields, name


def test_what_a_person_sets_wins_then_the_pack_then_the_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers = {"tracking.stitch_cos": 0.8, "tracking.split_cos": 0.6, "cluster.merge_cos": 0.7}
    folder = pack(tmp_path / "mine", numbers=numbers, provenance={"tracking.split_cos": "a park"})
    monkeypatch.setenv("IDENTITY_PIPELINE__TRACKING__STITCH_COS", "0.5")
    settings = load_settings(models={"face_pack": folder})
    assert settings.tracking.stitch_cos == 0.5
    assert settings.tracking.split_cos == 0.6
    assert settings.cluster.merge_cos == 0.7
    assert settings.stability.stable_min == Settings().stability.stable_min
    assert settings.numbers.source["tracking.split_cos"] == "of the pack mine: a park"
    of_pack = settings.numbers.source.keys() - set(VISION_NUMBERS)
    assert of_pack == {"tracking.split_cos", "cluster.merge_cos"}


def test_a_vision_encoder_gives_the_numbers_of_novelty(tmp_path: Path) -> None:
    folder = pack(tmp_path / "eye", numbers={"selection.novelty_min": 0.02}, provenance="a park")
    models = {"vision_encoder": folder, "face_pack": "buffalo_l"}
    settings = load_settings(models=models)
    assert settings.selection.novelty_min == 0.02
    source = {n: told for n, told in settings.numbers.source.items() if n in VISION_NUMBERS}
    assert source == {"selection.novelty_min": "of the encoder eye: a park"}


def test_the_numbers_are_in_the_cache_key(tmp_path: Path) -> None:
    spec = VIDEO_SPECS["face_tracks"]
    folder = pack(tmp_path / "mine", numbers={"tracking.stitch_cos": 0.8})
    settings = load_settings(models={"face_pack": folder})
    parts = key_parts(spec, settings, {}, dict.fromkeys(spec.inputs))
    assert parts["settings"]["tracking.stitch_cos"] == 0.8


@pytest.mark.parametrize(
    ("numbers", "words"),
    [
        ({"tracking.stich_cos": 0.8}, "did you mean tracking.stitch_cos"),
        ({"selection.novelty_min": 0.1}, "no number of such a model"),
        ({"tracking.stitch_cos": 1.8}, r"tracking\.stitch_cos cannot be used"),
        ({"tracking.stitch_cos": "much"}, "no model card"),
    ],
)
def test_a_card_with_a_wrong_number_is_refused(
    tmp_path: Path, numbers: dict[str, object], words: str
) -> None:
    folder = pack(tmp_path / "mine", numbers=numbers)
    with pytest.raises(SettingsError, match=words) as caught:
        load_settings(models={"face_pack": folder})
    assert "pack.json" in str(caught.value)


def test_which_packs_have_no_numbers_that_anybody_knows(tmp_path: Path) -> None:
    def unknown(folder: str, **more: object) -> tuple[str, ...]:
        return load_settings(models={"face_pack": folder, **more}).numbers.unknown

    bare = str(tmp_path / "bare")
    assert unknown(bare) == DECIDING
    assert unknown(bare, arcface_like=True) == ()
    assert unknown("buffalo_l") == unknown(str(tmp_path / "buffalo_l")) == ()
    assert unknown(pack(tmp_path / "says", arcface_like=True)) == ()
    assert unknown(pack(tmp_path / "all", numbers=dict.fromkeys(DECIDING, 0.5))) == ()
    some = pack(tmp_path / "some", numbers=dict.fromkeys(DECIDING[1:], 0.5))
    assert unknown(some) == DECIDING[:1]
    (tmp_path / "aura").mkdir()
    (tmp_path / "aura" / "glintr100.onnx").write_bytes(b"")
    assert unknown(str(tmp_path / "aura")) == ()


def test_numbers_of_the_open_pack_are_known_before_it_is_there_and_say_where_they_come_from(
    tmp_path: Path,
) -> None:
    models = {"face_pack": "open", "face_pack_root": str(tmp_path)}
    settings = load_settings(models=models)
    assert settings.numbers.unknown == ()
    card = read_numbers(SHIPPED_PACKS["open"], FACE_NUMBERS)
    assert set(DECIDING) <= set(card.numbers)
    assert all(card.provenance_of(name) for name in card.numbers)


def test_settings_are_shown_with_the_source_of_a_models_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = pack(tmp_path / "mine", numbers={"tracking.stitch_cos": 0.81}, provenance="a park")
    monkeypatch.setenv("IDENTITY_PIPELINE__MODELS__FACE_PACK", folder)
    said = " ".join(call("settings", "tracking").output.split())
    assert "0.81" in said and "of the pack mine: a park" in said
