"""The small vision encoder: DINOv2's architecture, trained so that near means same pose and expression.

Belongs here: the encoder's configuration, its training head, and its export in Hugging Face format.
Does not belong here: its loss and data.
"""

from __future__ import annotations

import json
from pathlib import Path

from torch import Tensor, nn
from transformers import Dinov2Config, Dinov2Model

SIDE = 224


def configuration() -> Dinov2Config:
    return Dinov2Config(  # type: ignore[call-arg]
        hidden_size=160, num_hidden_layers=5, num_attention_heads=4, mlp_ratio=3, image_size=SIDE, patch_size=28,
        drop_path_rate=0.0, layerscale_value=1.0, attn_implementation="sdpa",
    )  # fmt: skip


class VisionTrainer(nn.Module):
    """The encoder and a linear reading of pose and attributes from its pooled output."""

    def __init__(self, targets: int) -> None:
        super().__init__()
        config = configuration()
        self.encoder = Dinov2Model(config)
        self.reading = nn.Linear(config.hidden_size, targets)

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        pooled = self.encoder(pixel_values=pictures).pooler_output
        return pooled, self.reading(pooled)


def export(weights: dict[str, Tensor], folder: Path) -> None:
    """Write config, weights (half precision) and preprocessing for `AutoModel.from_pretrained`."""
    encoder = Dinov2Model(configuration())
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
    (folder / "preprocessor_config.json").write_text(json.dumps(preprocessing, indent=2) + "\n")
