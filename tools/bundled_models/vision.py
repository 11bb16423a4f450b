"""The small vision encoder: a ResNet, trained so that near means same pose and expression.

Belongs here: the encoder's configuration, its training head, and its export in Hugging Face format.
Does not belong here: its loss and data. (A vision transformer of this size learned hardly anything
from as many samples: it knows nothing of neighbourhoods, and cannot begin with the reader's trunk.)
"""

from __future__ import annotations

import json
from pathlib import Path

from torch import Tensor, nn
from transformers import ResNetConfig, ResNetModel

SIDE, CELLS, WIDTH = 112, 4, 192  # the picture's and the last map's side; the embedding


def configuration() -> ResNetConfig:
    """The stages of the face networks' trunk, and a wider last one."""
    return ResNetConfig(
        embedding_size=24, hidden_sizes=[24, 56, 96, WIDTH], depths=[1, 2, 2, 1], layer_type="basic"
    )


class VisionTrainer(nn.Module):
    """The encoder, with a reading of pose and attributes from its embedding.

    Its last map also says where the 68 landmarks are: rich and exact teaching.
    """

    def __init__(self, targets: int) -> None:
        super().__init__()
        self.encoder = ResNetModel(configuration())
        self.reading = nn.Linear(WIDTH, targets)
        self.gather = nn.Conv2d(WIDTH, 24, 1)
        self.landmarks = nn.Linear(24 * CELLS**2, 136)

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        out = self.encoder(pixel_values=pictures)
        embedding = out.pooler_output.flatten(1)
        spots = self.gather(out.last_hidden_state).flatten(1)
        return embedding, self.reading(embedding), self.landmarks(spots)


# Blocks of the face networks' trunk, and where the encoder has the same.
_BLOCKS = {"fine.1": "0.layers.0", "fine.2": "1.layers.0", "fine.3": "1.layers.1", "middle.0": "2.layers.0",
           "middle.1": "2.layers.1"}  # fmt: skip
_PARTS = {"first": "layer.0", "second": "layer.1", "shortcut": "shortcut"}
_LAYERS = {"0": "convolution", "1": "normalization"}


def from_trunk(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """The weights of the face networks' trunk under the encoder's names (all but stem and last stage)."""
    out = {}
    for ours, theirs in _BLOCKS.items():
        for part, layer in _PARTS.items():
            for number, kind in _LAYERS.items():
                for key, value in weights.items():
                    head = f"trunk.{ours}.{part}.{number}."
                    if key.startswith(head):
                        name = f"encoder.encoder.stages.{theirs}.{layer}.{kind}."
                        out[name + key.removeprefix(head)] = value
    return out


def export(weights: dict[str, Tensor], folder: Path) -> None:
    """Write config, weights (half precision) and preprocessing for `AutoModel.from_pretrained`."""
    encoder = ResNetModel(configuration())
    encoder.train(False)
    prefix = "encoder."
    encoder.load_state_dict(
        {k.removeprefix(prefix): v for k, v in weights.items() if k.startswith(prefix)}
    )
    folder.mkdir(parents=True, exist_ok=True)
    encoder.half().save_pretrained(folder)  # type: ignore[no-untyped-call]
    preprocessing = {
        "image_processor_type": "BitImageProcessor",
        "do_resize": True,
        "size": {"shortest_edge": SIDE},
        "resample": 3,
        "do_center_crop": True,
        "crop_size": {"height": SIDE, "width": SIDE},
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "do_convert_rgb": True,
        "image_mean": [0.485, 0.456, 0.406],
        "image_std": [0.229, 0.224, 0.225],
    }
    (folder / "preprocessor_config.json").write_text(
        json.dumps(preprocessing, indent=2) + "\n", encoding="utf-8"
    )
