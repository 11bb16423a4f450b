"""What finding copies costs at the size of a season, and that all of them are found.

Writes no video: hashes as those of rides of two minutes on one track, whose scenery all share, one
of a hundred with a copy that begins later and has other noise. Measured: making the keys of a video
(once for each, when it is new), reading the keys of all, finding pairs, and judging them.

    python -m identity_pipeline_tests.benchmarks.bench_copies --videos 20000
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from identity_pipeline.core.video.copies import (
    Look,
    are_copies,
    candidate_pairs,
    keys_of,
    likeness,
)
from identity_pipeline.core.video.key_table import Keys, KeyTable
from identity_pipeline.settings import CopySettings
from identity_pipeline.storage.video.copy_keys import read_keys, write_keys
from identity_pipeline_tests.benchmarks.timing import measured

FRAMES, SCENES = 1200, 240
SHARED, NOISY = 0.7, 0.03
"""Shares of the signs: that are of the scenery, and that differ from video to video by noise."""


def look_like(seed: int, noise: int, late: int = 0) -> Look:
    """The hashes of a ride of two minutes; those of a seed are alike but for the noise."""
    scenery = np.random.default_rng(0).integers(0, 2, (SCENES, 128), dtype=np.uint8)
    which = np.random.default_rng(1).random(128) < SHARED
    own = np.random.default_rng(seed + 10).integers(0, 2, (SCENES, 128), dtype=np.uint8)
    bits = np.repeat(np.where(which, scenery, own), FRAMES // SCENES, axis=0)[late:]
    flips = np.random.default_rng(noise + 10**6).random(bits.shape) < NOISY
    signs = _words(bits ^ flips)
    large = np.full_like(signs, np.iinfo(np.uint64).max)
    return Look(np.arange(len(signs)) * 100.0, signs, large)


def _words(bits: NDArray[np.uint8]) -> NDArray[np.uint64]:
    return np.ascontiguousarray(np.packbits(bits, axis=1)).view(np.uint64)


@click.command(help=(__doc__ or "").split("\n\n")[0])
@click.option("--videos", default=20_000, show_default=True)
def main(videos: int) -> None:
    """Measures and prints."""
    copied = range(0, videos, 100)
    made = {f"ride-{n:06d}": (n, n, 0) for n in range(videos)}
    made |= {f"x-copy-{n:06d}": (n, videos + n, 130) for n in copied}
    keys: dict[str, tuple[str, Keys]] = {}
    making = 0.0
    for name, of in made.items():
        look = look_like(*of)
        with measured() as sample:
            keys[name] = ("0" * 64, keys_of(look))
        making += sample.cpu
    with tempfile.TemporaryDirectory(prefix="bench-copies-") as folder:
        path = Path(folder) / "keys.npz"
        write_keys(path, KeyTable.of(keys))
        size = path.stat().st_size
        with measured() as reading:
            held = read_keys(path)
    with measured() as pairing:
        pairs = candidate_pairs(held)
    found = set()
    judging = 0.0
    for pair in pairs:
        one, other = (look_like(*made[name]) for name in (pair.left, pair.right))
        with measured() as sample:
            if are_copies(likeness(one, other, pair.offsets_ms), one, other, CopySettings()):
                found.add((pair.left, pair.right))
        judging += sample.cpu
    right = {(f"ride-{n:06d}", f"x-copy-{n:06d}") for n in copied}
    table = Table(title=f"Copies among {len(made):,} videos of two minutes", title_justify="left")
    for column in ("what", "figure"):
        table.add_column(column, justify="left" if column == "what" else "right")
    table.add_row("keys of one new video", f"{1000 * making / len(made):.2f} ms of CPU")
    table.add_row("file of all keys", f"{size / 1e6:.1f} MB")
    table.add_row("reading it", f"{reading.cpu:.2f} s of CPU")
    table.add_row("finding pairs", f"{pairing.cpu:.2f} s of CPU")
    table.add_row("pairs of all pairs", f"{len(pairs):,} of {len(made) * (len(made) - 1) // 2:,}")
    table.add_row("judging one pair", f"{1000 * judging / max(len(pairs), 1):.2f} ms of CPU")
    table.add_row("copies found", f"{len(found & right)} of {len(right)}")
    table.add_row("others taken for copies", str(len(found - right)))
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
