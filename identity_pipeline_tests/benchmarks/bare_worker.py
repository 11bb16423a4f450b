"""One process of the bare parts: decoding and networks alone on the inputs that the job gave them.

`python -m identity_pipeline_tests.benchmarks.bare_worker VIDEO...` loads the models and
runs the job once for every video to record what its networks are given; none of that is timed. Then
it says `ready`, waits for a line, runs all bare parts of all its videos, and prints as JSON the
seconds that took, by the clock and of the processor. Several of them at once show what the machine
gives when nothing but the parts runs on it.
"""

from __future__ import annotations

import json
import logging
import statistics
import subprocess
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path

from identity_pipeline.settings import load_settings
from identity_pipeline_tests.benchmarks import parts
from identity_pipeline_tests.benchmarks.pipeline_run import load_models, run_pipeline
from identity_pipeline_tests.benchmarks.recording import Calls, recorded
from identity_pipeline_tests.benchmarks.timing import Sample, measured

READY, GO = "ready", "go"


def bare_parts(workers: int, videos: Sequence[Path]) -> tuple[Sample, float]:
    """All bare parts of the videos, dealt out to so many processes that start at once.

    Args:
        workers: processes.
        videos: clips.

    Returns:
        Seconds of the clock from the start to the last process's end, and processor seconds of all;
        seconds of the clock in which a process opened its models, on average.

    Raises:
        RuntimeError: a process failed; what it said is on the standard error.
    """
    started = [
        subprocess.Popen(
            [sys.executable, "-m", __name__, *map(str, videos[number::workers])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(workers)
    ]
    try:
        opened = [_line(process).split() for process in started]
        if not all(line[:1] == [READY] for line in opened):
            raise RuntimeError("a process of bare parts ended before it was ready")
        with measured() as whole:
            for process in started:
                assert process.stdin is not None
                process.stdin.write(f"{GO}\n")
                process.stdin.flush()
            spent = [json.loads(_line(process)) for process in started]
    finally:
        for process in started:
            process.kill()
            process.wait()
    opening = statistics.mean(float(seconds) for _, seconds in opened)
    return Sample(whole.wall, sum(one["cpu"] for one in spent)), opening


def _line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def main(videos: Sequence[Path]) -> None:
    """Prepares, waits, measures and prints."""
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    settings = load_settings()
    with measured() as opening:
        hub = load_models(settings)
    work: list[tuple[Path, list[Calls]]] = []
    for video in videos:
        with recorded(hub) as calls:
            run_pipeline(video, hub, {})
        work.append((video, calls))
    print(READY, opening.wall, flush=True)
    sys.stdin.readline()
    with measured() as sample:
        for video, calls in work:
            parts.decode_alone(video, settings.video.analysis_fps)
            for one in calls:
                one.replay()
    print(json.dumps({"wall": sample.wall, "cpu": sample.cpu}), flush=True)


if __name__ == "__main__":
    main([Path(video) for video in sys.argv[1:]])
