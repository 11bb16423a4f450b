"""How a process keeps its memory: what a frame leaves free is there for the next one."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

ARRAYS = """
import resource, sys
import numpy as np
from identity_pipeline import process_memory
from identity_pipeline.core.video.frames import laplacian_variance
if sys.argv[1] == "settled":
    process_memory.settle_in()
def faults(times):
    luma = np.zeros((360, 640), np.uint8)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(times):
        laplacian_variance(luma)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
def held():
    return int(open("/proc/self/statm").read().split()[1])
faults(3)
again = faults(200)
large = [np.ones(1 << 20, np.uint8) for _ in range(50)]
most = held()
del large
process_memory.give_back()
print(again, (most - held()) / most)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="what is set is glibc's")
def test_memory_of_one_frame_is_that_of_the_next_until_it_is_given_back() -> None:
    def measured(how: str) -> tuple[int, float]:
        command = [sys.executable, "-c", ARRAYS, how]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        faults, freed = done.stdout.split()
        return int(faults), float(freed)

    faults, freed = measured("settled")
    assert faults < 1000  # of 200 frames; else each one takes its 400 pages anew
    assert freed > 0.3  # 50 MB of what is some 90
