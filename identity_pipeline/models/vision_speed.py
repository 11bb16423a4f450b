"""What 16 bits bring a vision encoder on the machine at hand."""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter
from typing import Final

from identity_pipeline.models.self_check import least_cosine
from identity_pipeline.models.vision_encoder import VisionEncoder
from identity_pipeline.models.vision_precision import sample_pictures
from identity_pipeline.settings import ModelSettings

WORTH: Final = 1.25
"""Times as fast that 16 bits must be to be worth another space of vectors."""


@dataclass(frozen=True)
class MeasuredPrecision:
    """A vision encoder in full and in 16 bits, on the bundled photographs.

    Attributes:
        device: `cpu` or `cuda`.
        full_ms: milliseconds on the clock a picture, in batches; the quickest round, as other load
            only adds.
        bf16_ms: the same in 16 bits.
        least_cosine: of a picture's two vectors.
    """

    device: str
    full_ms: float
    bf16_ms: float
    least_cosine: float

    @property
    def times_as_fast(self) -> float:
        """How many times as fast 16 bits are."""
        return self.full_ms / self.bf16_ms

    @property
    def worth_it(self) -> bool:
        """Whether 16 bits are faster by enough; one whose vectors change does not open."""
        return self.times_as_fast >= WORTH


def measured_precision(settings: ModelSettings, rounds: int) -> MeasuredPrecision:
    """Runs the encoder in both precisions by turns, so that other load falls on both alike.

    Raises:
        VisionEncoderError: the encoder is not there, or does not allow 16 bits.
        DeviceError: the device is not there.
    """
    full, narrow = (
        VisionEncoder(settings.model_copy(update={"vision_precision": precision}))
        for precision in ("full", "bf16")
    )
    samples = sample_pictures()
    batch = [samples[i % len(samples)] for i in range(settings.vision_batch)]
    cosine = least_cosine(full.embed(batch), narrow.embed(batch))
    seconds: list[tuple[float, float]] = []
    for _ in range(rounds):
        began = perf_counter()
        full.embed(batch)
        between = perf_counter()
        narrow.embed(batch)
        seconds.append((between - began, perf_counter() - between))
    full_ms, bf16_ms = (1000 * min(times) / len(batch) for times in zip(*seconds, strict=True))
    return MeasuredPrecision(full.device, full_ms, bf16_ms, cosine)
