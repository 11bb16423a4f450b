"""A captioner of transformers, tiny and at random: it loads, is asked, and says the same again."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from identity_pipeline.core.geometry import Box
from identity_pipeline.media.crops import encode_jpeg
from identity_pipeline.settings import DatasetSettings, ModelSettings, Settings
from identity_pipeline.stages.datasets.captioner import CaptionerError, captioner_facts, captions_of
from identity_pipeline.stages.datasets.pictures import Person, Picture, Source

WORDS = ("a", "man", "helmet", "with", "on", "road", "smiling", "what", "is", "there")


@pytest.fixture(scope="module")
def captioner(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as `save_pretrained` writes it, of BLIP's architecture with weights at random."""
    import torch
    from transformers import (
        BertTokenizer,
        BlipConfig,
        BlipForConditionalGeneration,
        BlipImageProcessor,
        BlipProcessor,
    )

    folder = tmp_path_factory.mktemp("captioner")
    special = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[DEC]")
    (folder / "vocab.txt").write_text("\n".join((*special, *WORDS)), encoding="utf-8")
    tokenizer = BertTokenizer(vocab=str(folder / "vocab.txt"))
    tokenizer.bos_token = special[-1]
    small = {
        **{"hidden_size": 16, "intermediate_size": 16},
        **{"num_hidden_layers": 1, "num_attention_heads": 2},
    }
    text = {
        **small,
        **{"vocab_size": len(special) + len(WORDS), "encoder_hidden_size": 16},
        **{"projection_dim": 8, "bos_token_id": 5, "pad_token_id": 0, "sep_token_id": 3},
        "eos_token_id": 3,
    }
    config = BlipConfig(
        text_config=text, vision_config=small | {"image_size": 32, "patch_size": 16}
    )
    torch.manual_seed(5)
    BlipForConditionalGeneration(config).save_pretrained(folder)
    pictures = BlipImageProcessor(size={"height": 32, "width": 32})
    BlipProcessor(pictures, tokenizer).save_pretrained(folder)
    return folder


def pictures() -> list[Picture]:
    person = Person("0d9a1c52-3a5e-4a35-8a58-0f3f6f0c1a01", "Ada", "ada", "ada", "person")
    source = Source("solo-00000001", "ride", "ab" * 32, None, "human")
    pixels = np.random.default_rng(2).integers(0, 255, (48, 48, 3), np.uint8)
    return [
        Picture(
            *(f"ada_00{rank}", person, source, "000001-0", 1, 40.0, "anchor", rank, "train", None),
            jpeg=encode_jpeg(pixels // rank, 92),
            width=48,
            height=48,
            face=Box(10, 10, 30, 30),
            key_points=np.zeros((5, 2), np.float32),
            measured={"lighting_bin": "dark"},
        )
        for rank in (1, 2)
    ]


def settings(captioner: Path | str = "", **more: Any) -> Settings:
    return Settings(
        datasets=DatasetSettings(captioner=str(captioner), captioner_tokens=8, **more),
        models=ModelSettings(device="cpu"),
    )


def test_a_model_goes_on_after_the_persons_prompt(captioner: Path) -> None:
    shown = pictures()
    said = captions_of(shown, "model", settings(captioner))
    assert said == captions_of(shown, "model", settings(captioner))  # nothing by chance
    for caption in said.values():
        beginning, _, rest = caption.partition(", ")
        assert beginning == "photo of ada person"
        assert rest and set(rest.split()) <= set(WORDS)


def test_a_model_can_be_asked(captioner: Path) -> None:
    asked = captions_of(pictures(), "model", settings(captioner, captioner_prompt="what is there"))
    assert set(asked) == {"ada_001", "ada_002"}
    assert all("[" not in caption and "\n" not in caption for caption in asked.values())


def test_a_model_that_cannot_take_the_picture_is_told(
    captioner: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers import BlipForConditionalGeneration

    def refuse(*_: Any, **__: Any) -> None:
        raise ValueError("no pixels\nand more")

    monkeypatch.setattr(BlipForConditionalGeneration, "generate", refuse)
    with pytest.raises(CaptionerError, match=r"caption ada_001 \(no pixels\); set another"):
        captions_of(pictures(), "model", settings(captioner))


def test_an_export_can_say_which_model_it_was(captioner: Path, tmp_path: Path) -> None:
    facts = captioner_facts(settings(captioner).datasets)
    assert facts["role"] == "captioner" and facts["name"] == captioner.name
    assert facts["licence"] is None
    copy = tmp_path / "copy"
    shutil.copytree(captioner, copy)
    assert captioner_facts(settings(copy).datasets)["sha256"] == facts["sha256"]
    (copy / "pack.json").write_text('{"name": "words", "licence": "MIT"}', encoding="utf-8")
    own = captioner_facts(settings(copy).datasets)
    assert (own["name"], own["licence"]) == ("words", "MIT") and own["sha256"] != facts["sha256"]


def test_captions_are_put_together_or_left_out() -> None:
    put = "photo of ada person, in dim light"
    assert captions_of(pictures(), "template", settings()) == {"ada_001": put, "ada_002": put}
    assert captions_of(pictures(), "none", settings()) == {}


def test_pickled_weights_and_half_a_model_are_refused(captioner: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    pickled = tmp_path / "pickled"
    pickled.mkdir()
    for file in captioner.iterdir():
        if file.suffix != ".safetensors":
            (pickled / file.name).write_bytes(file.read_bytes())
    (pickled / "pytorch_model.bin").write_bytes(b"\x80\x04.")
    with pytest.raises(CaptionerError, match=r"no \.safetensors; pickled weights are not loaded"):
        captions_of(pictures(), "model", settings(pickled))
    weights = load_file(captioner / "model.safetensors")
    weights.pop(next(name for name in sorted(weights) if "vision_model" in name))
    save_file(weights, pickled / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(CaptionerError, match=r"lacks 1 weights .* fetch it anew"):
        captions_of(pictures(), "model", settings(pickled))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("", "no captioner is set; set datasets.captioner"),
        ("/nowhere/captioner", "is no folder"),
        ("somebody/captioner", "set datasets.captioner_revision to the 40 hex digits"),
    ],
)
def test_without_a_captioner_it_says_what_to_do(name: str, words: str) -> None:
    with pytest.raises(CaptionerError, match=words):
        captions_of(pictures(), "model", settings(name))


def test_a_captioner_that_is_not_here_is_not_waited_for() -> None:
    with pytest.raises(CaptionerError, match="could not be downloaded"):
        captions_of(
            pictures(), "model", settings("somebody/captioner", captioner_revision="ab" * 20)
        )


def test_a_folder_that_is_no_captioner_is_named(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"{}")
    with pytest.raises(CaptionerError, match="does not open as a captioner"):
        captions_of(pictures(), "model", settings(tmp_path))
