"""Another vision encoder: the bundled one as another training might have left it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Final

import numpy as np

NOISE: Final = 0.02
"""Of the spread of each tensor's weights: other vectors, of the same use."""


def another_encoder(original: Path, folder: Path, seed: int) -> Path:
    """A folder with the architecture of an encoder and other weights.

    Args:
        original: folder of the encoder.
        folder: of the new one; it must not be there.
        seed: of the noise.
    """
    from safetensors.numpy import load_file, save_file

    shutil.copytree(original, folder)
    rng = np.random.default_rng(seed)
    weights = load_file(original / "model.safetensors")
    for name in sorted(weights):
        tensor = weights[name]
        if tensor.ndim >= 2:
            noise = rng.normal(0.0, NOISE * float(tensor.astype(np.float32).std()), tensor.shape)
            weights[name] = (tensor + noise).astype(tensor.dtype)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    card = json.loads((original / "pack.json").read_text())
    name = f"{card['name']}, trained anew"
    (folder / "pack.json").write_text(json.dumps({**card, "name": name}, indent=2))
    return folder
