"""What nets cost a face on a processor, as their files are and as they are opened, and whether the
bytes that they give are the same.

Processor time, the least of several rounds that take turns: of the mesh and the iris net of
`models.perception` and of the recogniser of the face pack.
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import click
import numpy as np
import onnxruntime
from rich.console import Console
from rich.table import Table

from identity_pipeline.models.device import session_options
from identity_pipeline.models.face_mesh import IRIS_FILE, MESH_FILE, perception_folder
from identity_pipeline.models.hub import ModelHub
from identity_pipeline.models.processor import at_once, net_to_open
from identity_pipeline.settings import ModelSettings
from identity_pipeline_tests.benchmarks import material

CPU = ["CPUExecutionProvider"]
FACES = 32
"""The usual batch, `models.recognition_batch`."""


@dataclass(frozen=True)
class Net:
    """What was measured of one net.

    Attributes:
        name: its file.
        before_ms: processor time a face of the file as it is, in one batch.
        now_ms: as it is opened, in the batches in which it is run.
        same: whether both gave the same bytes.
    """

    name: str
    before_ms: float
    now_ms: float
    same: bool


def compared(net: Path, rounds: int) -> Net:
    """Runs a net both ways in turn on the same random faces."""
    sessions = [
        onnxruntime.InferenceSession(form, sess_options=session_options(), providers=CPU)
        for form in (str(net), net_to_open(net, CPU))
    ]
    given = sessions[0].get_inputs()[0]
    faces = np.random.default_rng(0).random((FACES, *given.shape[1:]), np.float32) * 2 - 1
    sizes = (FACES, at_once(CPU, FACES))

    def run(session: onnxruntime.InferenceSession, size: int) -> bytes:
        parts = [faces[i : i + size] for i in range(0, FACES, size)]
        outputs = zip(*(session.run(None, {given.name: part}) for part in parts), strict=True)
        return b"".join(np.concatenate([*each]).tobytes() for each in outputs)

    least, told = [float("inf")] * 2, [b""] * 2
    for _ in range(rounds):
        for n, (session, size) in enumerate(zip(sessions, sizes, strict=True)):
            before = time.process_time()
            told[n] = run(session, size)
            least[n] = min(least[n], time.process_time() - before)
    before_ms, now_ms = (1000 * seconds / FACES for seconds in least)
    return Net(net.name, before_ms, now_ms, told[0] == told[1])


@click.command(help=(__doc__ or "").split("\n\n")[0])
@click.option("--models", type=Path, help="Face pack folder. Default: that of the real material.")
@click.option("--rounds", default=3, show_default=True)
@click.option("--json", "json_file", type=Path, help="Also write the figures to this file.")
def main(models: Path | None, rounds: int, json_file: Path | None) -> None:
    """Measures and prints."""
    onnxruntime.set_default_logger_severity(3)
    settings = ModelSettings(face_pack=str(material.models_or_default(models)), device="cpu")
    folder = perception_folder(settings)
    nets = [folder / MESH_FILE, folder / IRIS_FILE] if folder else []
    nets.append(ModelHub(settings).face_pack.recogniser_file)
    table = Table(
        title=f"Nets on a processor, ms of it a face, {FACES} faces", title_justify="left"
    )
    for column in ("net", "file, one batch", "as opened and run", "times", "same bytes"):
        table.add_column(column, justify="left" if column == "net" else "right")
    found = [compared(net, rounds) for net in nets]
    for net in found:
        numbers = (net.before_ms, net.now_ms, net.before_ms / net.now_ms)
        table.add_row(net.name, *(f"{n:.2f}" for n in numbers), "yes" if net.same else "NO")
    Console().print(table)
    if json_file:
        json_file.write_text(json.dumps([asdict(net) for net in found], indent=1))


if __name__ == "__main__":
    main()
