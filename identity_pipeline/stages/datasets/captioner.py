"""Captions of pictures: none, put together from what was measured, or a model's own words.

What belongs here: which captions a dataset gets, and a captioner of `transformers`. What does not:
what a measure lets a caption say (`core.datasets.captions`).

A model's captions are its own claims; nobody measured them. It runs on this machine, from
safetensors alone, with no code of its repository, and without chance, so that the same pictures get
the same words.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Literal, get_args

from identity_pipeline.core.datasets.captions import instance_prompt, template_caption
from identity_pipeline.errors import IdentityPipelineError
from identity_pipeline.settings import DatasetSettings, Settings
from identity_pipeline.stages.datasets.pictures import Picture
from identity_pipeline.storage.files.hashing import sha256_of_file, sha256_of_value

Captions = Literal["template", "none", "model"]
CAPTIONS: Final[tuple[Captions, ...]] = get_args(Captions)
FILES: Final = ("*.json", "*.txt", "*.model", "*.jinja", "*.safetensors")
"""What is fetched of a captioner: no pickled weights, and no code."""


class CaptionerError(IdentityPipelineError, RuntimeError):
    """No captioner is set, or it cannot be loaded."""


def captions_of(pictures: Sequence[Picture], how: Captions, settings: Settings) -> dict[str, str]:
    """Captions by the pictures' keys, each one line; empty where none are wanted.

    Args:
        pictures: of anybody.
        how: `template`, `none`, or `model`.
        settings: words, and the captioner.

    Raises:
        CaptionerError: a model is wanted, and there is none, or it does not load.
    """
    if how == "none" or not pictures:
        return {}
    wanted = settings.datasets
    if how == "model":
        captioner = Captioner(wanted, settings.models.device)
        return {picture.key: captioner.caption(picture) for picture in pictures}
    return {
        picture.key: template_caption(
            picture.person.token, picture.person.class_word, picture.measured, wanted
        )
        for picture in pictures
    }


class Captioner:
    """A model of pictures and texts, from a folder or the Hugging Face cache."""

    def __init__(
        self, settings: DatasetSettings, device: Literal["auto", "cpu", "cuda"] = "auto"
    ) -> None:
        """Opens processor and network.

        Raises:
            CaptionerError: none is set, or it cannot be loaded.
            DeviceError: the device is not there.
        """
        from identity_pipeline.models.device import torch_device

        self._settings = settings
        self._device = torch_device(device)
        folder = captioner_folder(settings)
        try:
            self._processor, self._model = _open(folder)
        except CaptionerError:
            raise
        except Exception as error:  # of transformers, safetensors or torch, by what is wrong
            raise CaptionerError(
                f"datasets.captioner names {folder}, which does not open as a captioner "
                f"({_in_short(error)}); name a Hugging Face id, or a folder that save_pretrained "
                "wrote."
            ) from error
        self._model.to(self._device)

    def caption(self, picture: Picture) -> str:
        """The person's prompt, then what the model says of the picture; one line.

        Raises:
            CaptionerError: the model does not take a picture and a question.
        """
        from PIL import Image

        person = picture.person
        with Image.open(io.BytesIO(picture.jpeg)) as opened:
            image = opened.convert("RGB")
        try:
            said = self._say(image)
        except Exception as error:  # of transformers or torch, by the model
            raise CaptionerError(
                f"{self._settings.captioner} could not caption {picture.key} "
                f"({_in_short(error)}); set another datasets.captioner or "
                "datasets.captioner_prompt, or take --captions template."
            ) from error
        prompt = instance_prompt(person.token, person.class_word, self._settings.caption)
        return f"{prompt}, {said}" if said else prompt

    def _say(self, image: Any) -> str:
        """The model's words alone, without the question, in one line."""
        import torch

        inputs = self._processor(
            images=image, text=self._question() or None, return_tensors="pt"
        ).to(self._device)
        with torch.inference_mode():
            tokens = self._model.generate(
                **inputs,
                do_sample=False,
                num_beams=1,
                max_new_tokens=self._settings.captioner_tokens,
            )
        said = self._processor.batch_decode(
            self._without_question(tokens, inputs), skip_special_tokens=True
        )[0]
        return " ".join(said.split()).strip(" .")

    def _question(self) -> str:
        """What the model is asked, in its own form of a talk where it has one."""
        asked = self._settings.captioner_prompt
        if not getattr(self._processor, "chat_template", None):
            return asked
        content = [{"type": "image"}, {"type": "text", "text": asked or "Describe the picture."}]
        return self._processor.apply_chat_template(
            [{"role": "user", "content": content}], add_generation_prompt=True
        )

    def _without_question(self, tokens: Any, inputs: Any) -> Any:
        """Models of one stack repeat what they were asked; those with an encoder do not."""
        asked = inputs.get("input_ids")
        if asked is None or self._model.config.is_encoder_decoder:
            return tokens
        length = asked.shape[1]
        repeats = tokens.shape[1] >= length and bool((tokens[:, :length] == asked).all())
        return tokens[:, length:] if repeats else tokens


def _in_short(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def captioner_facts(settings: DatasetSettings) -> dict[str, str | None]:
    """Role, name, SHA-256 over all its files, and licence of the captioner; null is not known.

    Raises:
        CaptionerError: none is set, or it is not to be had.
        ModelCardError: its card cannot be read.
    """
    from identity_pipeline.models.cards import read_card

    folder = captioner_folder(settings)
    digests = {
        path.name: sha256_of_file(path)
        for pattern in FILES
        for path in sorted(folder.glob(pattern))
    }
    card = read_card(folder)
    named = Path(settings.captioner).expanduser()
    return {
        "role": "captioner",
        "name": card.name or (named.name if named.is_dir() else settings.captioner),
        "sha256": sha256_of_value(digests),
        "licence": card.licence,
    }


def captioner_folder(settings: DatasetSettings) -> Path:
    """The folder of the captioner, fetched from the hub if it is an id that is not in the cache.

    Raises:
        CaptionerError: none is set, there is no such folder, or it could not be fetched.
    """
    name, revision = settings.captioner, settings.captioner_revision
    if not name:
        raise CaptionerError(
            "no captioner is set; set datasets.captioner to a folder that save_pretrained wrote, "
            "or to a Hugging Face id, or take --captions template."
        )
    folder = Path(name).expanduser()
    if folder.is_dir():
        return folder.resolve()
    if folder.is_absolute() or folder.exists():
        raise CaptionerError(
            f"datasets.captioner names {folder}, which is no folder; name one that "
            "save_pretrained wrote, or a Hugging Face id."
        )
    if not revision:
        raise CaptionerError(
            f"{name} is no folder here, and of no commit on the Hugging Face hub; set "
            "datasets.captioner_revision to the 40 hex digits of the commit that you mean."
        )
    return _from_hub(name, revision)


def _from_hub(name: str, revision: str) -> Path:
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=list(FILES)))
    except Exception as error:
        raise CaptionerError(
            f"the captioner {name} (commit {revision[:12]}) is neither a folder nor in the Hugging "
            f"Face cache and could not be downloaded ({type(error).__name__}); get it once on a "
            "machine with a network, or take --captions template."
        ) from error


def _open(folder: Path) -> tuple[Any, Any]:
    """Processor and network.

    Raises:
        CaptionerError: there are no safetensors, or weights are missing, which would be drawn at
            random.
    """
    import torch
    from transformers import AutoModelForImageTextToText, AutoProcessor
    from transformers.utils import logging

    if not any(folder.glob("*.safetensors")):
        raise CaptionerError(f"{folder} holds no .safetensors; pickled weights are not loaded.")
    logging.disable_progress_bar()
    processor = AutoProcessor.from_pretrained(
        folder, local_files_only=True, trust_remote_code=False
    )
    loaded: Any = AutoModelForImageTextToText.from_pretrained(
        folder,
        local_files_only=True,
        trust_remote_code=False,
        use_safetensors=True,
        dtype=torch.float32,
        output_loading_info=True,
    )
    model, found = loaded
    missing = sorted(found["missing_keys"])
    if missing:
        raise CaptionerError(
            f"{folder} lacks {len(missing)} weights (such as {missing[0]}); fetch it anew."
        )
    return processor, model.eval()
