"""The open detector and mesh with another recogniser: one of AuraFace's shape, made up."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from click.testing import Result
from onnx import TensorProto, helper, numpy_helper

from identity_pipeline.models.face_pack import FacePack
from identity_pipeline.models.open_pack import build, check
from identity_pipeline.settings import load_settings
from identity_pipeline_tests.cli.test_cli import call


def combined(folder: Path, file: Path, licence: str, *more: str) -> Result:
    """What the command says."""
    return call(
        "models", "combine", str(folder), "--recogniser", str(file), "--licence", licence, *more
    )


def recogniser(path: Path, side: int = 112) -> Path:
    """Input and output as `glintr100.onnx` has them: (N, 3, 112, 112) to (N, 512)."""
    weights = np.random.default_rng(0).normal(size=(3 * (side // 8) ** 2, 512)).astype(np.float32)
    nodes = [
        helper.make_node(
            "AveragePool", ["input.1"], ["small"], kernel_shape=[8, 8], strides=[8, 8]
        ),
        helper.make_node("Flatten", ["small"], ["row"], axis=1),
        helper.make_node("MatMul", ["row", "weights"], ["1333"]),
    ]
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "made_up",
        [value("input.1", TensorProto.FLOAT, ["None", 3, side, side])],
        [value("1333", TensorProto.FLOAT, ["None", 512])],
        [numpy_helper.from_array(weights, "weights")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    onnx.save(model, path)
    return path


def test_a_recogniser_of_aurafaces_shape_makes_a_pack_that_knows_its_numbers(
    open_pack: Path, tmp_path: Path
) -> None:
    del open_pack
    file, folder = recogniser(tmp_path / "glintr100.onnx"), tmp_path / "auraface"
    made = combined(folder, file, "Apache-2.0")
    assert made.exit_code == 0 and "512 numbers a face" in made.output
    settings = load_settings(models={"face_pack": str(folder), "device": "cpu"})
    pack = FacePack(settings.models)
    assert (pack.name, pack.space.dimension) == ("auraface", 512)
    found = pack.detect(np.ascontiguousarray(check.drawn_face(640)[..., ::-1]))
    assert len(found.boxes) == 1, "by the open detector"
    assert pack.embed([np.full((112, 112, 3), 99, np.uint8)] * 2).shape == (2, 512)
    assert not settings.numbers.unknown, "the product's own numbers are for such spaces"
    assert settings.tracking.stitch_cos == 0.5 and settings.match.lookalike_cos is None
    assert "models.det_score_min" in settings.numbers.source, "the detector's stay"
    card = json.loads((folder / "pack.json").read_text())
    assert card["licence"].startswith("recogniser: Apache-2.0")
    assert set(card["files"]) == {*build.NETS, "glintr100.onnx"} - {build.RECOGNISER}


@pytest.mark.parametrize("scale", [(), ("--own-scale",)])
def test_cosines_of_another_scale_need_numbers_first(
    open_pack: Path, tmp_path: Path, scale: tuple[str, ...]
) -> None:
    del open_pack
    file, folder = recogniser(tmp_path / "other.onnx"), tmp_path / "other"
    combined(folder, file, "MIT", *scale)
    settings = load_settings(models={"face_pack": str(folder)})
    assert bool(settings.numbers.unknown) == bool(scale)


def test_what_is_no_recogniser_is_refused_and_nothing_is_made(
    open_pack: Path, tmp_path: Path
) -> None:
    other, text = recogniser(tmp_path / "large.onnx", 160), tmp_path / "text.onnx"
    text.write_text("no model")
    for file, word in (
        (other, "aligned face"),
        (text, "can be opened"),
        (open_pack / build.MESH, "aligned face"),
    ):
        said = combined(tmp_path / "new", file, "x")
        assert said.exit_code and word in said.output.replace("\n", " ")
        assert not (tmp_path / "new").exists()
