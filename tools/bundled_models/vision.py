"""The small vision encoder: a ResNet, trained so that near means same pose and expression.

Belongs here: the encoder's configuration, its training head, and its export in Hugging Face format:
`python -m tools.bundled_models.vision --weights FILE --out identity_pipeline/bundled/vision`.
Does not belong here: its loss and data. (A vision transformer of this size learned hardly anything
from as many samples: it knows nothing of neighbourhoods.)
"""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path

from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import ResNetConfig, ResNetModel

SIDE, CELLS, WIDTH = 112, 4, 192  # the picture's and the last map's side; the embedding


def configuration() -> ResNetConfig:
    """Four stages, the last one wider."""
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    export(load_file(arguments.weights), arguments.out)
    path = arguments.out / "model.safetensors"
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    print(f"{path.name}  {path.stat().st_size} bytes  sha256 {digest}")


if __name__ == "__main__":
    main()
