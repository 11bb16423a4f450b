"""`evaluate` and `evaluation_report` on what the pipeline really made, judged by its truth."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from click.testing import CliRunner, Result

import identity_pipeline
from identity_pipeline.cli.main import cli
from identity_pipeline.core.evaluation.report import Section
from identity_pipeline.definitions import build_defs
from identity_pipeline.defs.assets.reports import evaluation_report
from identity_pipeline.defs.resources.resources import SettingsResource
from identity_pipeline.settings import load_settings
from identity_pipeline.stages.evaluation.evaluate import (
    EvaluationError,
    collect,
    evaluate,
    nothing_to_evaluate,
    write_report,
)
from identity_pipeline.stages.specs.exported import exported_rows
from identity_pipeline.storage.layout import Layout
from identity_pipeline.storage.video.registry import VideoRegistry
from identity_pipeline.storage.video.tables import TableStore
from identity_pipeline.storage.video.truth import SUFFIX
from identity_pipeline.tables import SET_ASSETS
from identity_pipeline_tests.library import DET_SIZE, VideoLibrary

RIDES = Path(identity_pipeline.__file__).parent / "bundled" / "rides"


def call(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["evaluate", *map(str, arguments)], env={"COLUMNS": "160"})


def values(section: Section) -> dict[str, float | None]:
    return {figure.key: figure.value for figure in section.figures}


def at_least(found: dict[str, float | None], **bounds: float) -> None:
    for name, bound in bounds.items():
        value = found[name.replace("__", ".")]
        assert value is not None and value >= bound, (name, value)


@pytest.fixture(scope="module")
def page(demo: VideoLibrary, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page that the command writes for the bundled ride."""
    folder = tmp_path_factory.mktemp("evaluation")
    result = call("--data", demo.root, "--out", folder)
    assert result.exit_code == 0, result.output
    assert "Exported images with a wrong person" in result.output
    return folder / "index.html"


def test_the_demo_finds_its_faces_and_exports_nobody_wrong(page: Path) -> None:
    report = json.loads(page.with_name("report.json").read_text())
    (section,) = report["sections"]
    figures = {figure["key"]: figure for figure in section["figures"]}
    found = {key: figure["value"] for key, figure in figures.items()}
    at_least(found, detection__recall_riders=0.9, tracking__purity=0.95, riders__recall=1.0)
    assert found["exports.wrong"] == 0.0
    assert figures["exports.wrong"]["high"] < 0.2, "the bound says that zero was seen in many"
    assert all(f["value"] is not None or f["reason"] for f in section["figures"])
    assert all("1 rendered clip (demo_solo-" in f["measured_on"] for f in section["figures"]
               if f["value"] is not None)  # fmt: skip
    assert report["identity_spaces"][0].startswith("open/")
    assert report["gate_versions"] and report["package_version"]


def test_the_same_input_gives_the_same_bytes(
    page: Path, demo: VideoLibrary, tmp_path: Path
) -> None:
    assert call("--data", demo.root, "--out", tmp_path).exit_code == 0
    for name in ("report.json", "index.html"):
        assert (tmp_path / name).read_bytes() == page.with_name(name).read_bytes()


class Plots(HTMLParser):
    """The labels of the plots."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.labels: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "svg":
            self.labels.append(str(dict(attrs)["aria-label"]))


def test_the_page_holds_the_plots(page: Path) -> None:
    labels = " ".join(Plots(page.read_text(encoding="utf-8")).labels)
    for name in ("ROC curves", "Pose error over true yaw", "Bins filled", "yaw bins",
                 "expression bins", "occlusion bins", "lighting bins"):  # fmt: skip
        assert name in labels


def test_an_earlier_report_shows_what_has_changed(
    page: Path, demo: VideoLibrary, tmp_path: Path
) -> None:
    earlier = json.loads(page.with_name("report.json").read_text())
    figures = {f["key"]: f for f in earlier["sections"][0]["figures"]}
    figures["detection.precision"]["value"] = 0.1
    before = tmp_path / "before.json"
    before.write_text(json.dumps(earlier))
    result = call("demo_solo", "--data", demo.root, "--out", tmp_path, "--against", before)
    assert result.exit_code == 0, result.output
    assert "▲ better, was 10.0 %" in result.output and "= as before" in result.output
    differences = json.loads((tmp_path / "report.json").read_text())["differences"]
    (precision,) = [d for d in differences if d["key"] == "detection.precision"]
    assert precision["verdict"] == "better" and precision["within"] is False
    assert "was 10.0 %" in (tmp_path / "index.html").read_text()


def test_no_report_to_compare_with_is_one_sentence(demo: VideoLibrary, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.json"
    wrong.write_text("{}")
    result = call("--data", demo.root, "--against", wrong, "--out", tmp_path / "out")
    assert result.exit_code == 1 and "no evaluation report" in result.output


def test_a_video_without_tables_says_what_to_run(tmp_path: Path) -> None:
    VideoRegistry(Layout(tmp_path)).register(RIDES / "demo_solo.mp4")
    for names in (["demo_solo.mp4"], []):
        result = call(*names, "--data", tmp_path)
        assert result.exit_code == 1
        assert "has no finished tables; run `" in result.output
        assert f"--data {tmp_path} run` on its file first" in result.output


def test_videos_without_truth_are_said(tmp_path: Path) -> None:
    assert "no video is registered" in call("--data", tmp_path).output
    VideoRegistry(Layout(tmp_path)).register(RIDES / "demo_solo.mp4")
    empty = tmp_path / "empty"
    empty.mkdir()
    output = call("--data", tmp_path, "--truth", empty).output
    assert "none of the 1 registered videos has a truth file" in output
    output = call("demo_solo", "--data", tmp_path, "--truth", empty).output
    assert "has no truth: there is no demo_solo.truth.json in" in output


def test_one_malformed_truth_leaves_the_others_alone(demo: VideoLibrary, tmp_path: Path) -> None:
    (tmp_path / "demo_solo.truth.json").write_text("{}")
    material = collect(demo.store, folder=tmp_path)
    assert not material.videos and "no usable truth" in nothing_to_evaluate(material, tmp_path)
    with pytest.raises(EvaluationError, match="no usable truth"):
        evaluate(material, load_settings())


def resources(root: Path) -> dict[str, Any]:
    settings = SettingsResource.of(paths={"data": str(root)})
    return dict(build_defs(settings).resources or {})


def test_the_asset_reports_what_is_finished_and_passes_over_what_failed(
    demo: VideoLibrary, instance: dg.DagsterInstance
) -> None:
    unfinished, _ = VideoRegistry(demo.store.layout).register(RIDES / "demo_duo_a.mp4")
    try:
        result = dg.materialize(
            [evaluation_report], instance=instance, resources=resources(demo.root)
        )
    finally:
        demo.store.layout.registration(unfinished.video_id).unlink()
    assert result.success
    (event,) = result.asset_materializations_for_node("evaluation_report")
    metadata = {name: entry.value for name, entry in event.metadata.items()}
    assert metadata["evaluated_videos"] == 1 and metadata["videos_left_out"] == 1
    assert metadata["rendered/exports.wrong"] == 0.0
    assert "| Faces found (recall) |" in str(metadata["figures"])
    assert Path(str(metadata["page"])).is_file()


def test_the_asset_says_when_there_is_nothing_with_truth(
    instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    result = dg.materialize([evaluation_report], instance=instance, resources=resources(tmp_path))
    (event,) = result.asset_materializations_for_node("evaluation_report")
    assert result.success
    assert "no video is registered" in str(event.metadata["note"].value)


RARELY = {"video": {"analysis_fps": 3.0}, "models": {"det_size": DET_SIZE}}


def test_production_models_on_a_rendered_ride_are_measured_exactly(library: VideoLibrary) -> None:
    run = library.run(RIDES / "demo_solo.mp4", overrides=RARELY)
    assert run.success
    report = evaluate(collect(library.store), load_settings())
    (section,) = report.sections
    found = values(section)
    assert section.origin == "rendered"
    at_least(found, detection__recall=0.95, detection__precision=0.95, tracking__idf1=0.9,
             riders__recall=1.0, bins__yaw_adjacent=0.9, recognition__all_auc=0.95)  # fmt: skip
    assert found["exports.wrong"] == 0.0
    assert found["pose.yaw_mae"] is not None and found["pose.yaw_mae"] < 6.0


def test_real_clips_are_measured_as_far_as_their_truth_goes(
    real_library: VideoLibrary, tmp_path: Path
) -> None:
    material = collect(TableStore(Layout(real_library.root)))
    assert material.without_truth == len(list(real_clips(real_library, with_truth=False)))
    report = evaluate(material, load_settings())
    (section,) = report.sections
    found = values(section)
    assert section.origin == "real" and len(section.videos) == len(material.videos)
    at_least(found, detection__seats=0.9, tracking__idf1=0.9, riders__recall=1.0,
             riders__precision=1.0, bins__lighting=0.9, recognition__across_auc=0.95)  # fmt: skip
    assert found["exports.wrong"] == 0.0
    for key in ("detection.recall", "pose.yaw_mae", "coverage.yaw", "vision.encoder_pose"):
        assert found[key] is None and "truth of these clips" in str(section.figure(key).reason)
    assert "not measured: the truth" in write_report(report, tmp_path).read_text()


def real_clips(library: VideoLibrary, *, with_truth: bool) -> list[Path]:
    paths = [Path(r.path) for r in VideoRegistry(library.store.layout).all()]
    return [path for path in paths if path.with_suffix(SUFFIX).is_file() == with_truth]


def write_csv(path: Path, rows: list[dict[str, object]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def labels_of_demo(folder: Path) -> Path:
    """What a looker would write of some faces of the bundled solo ride, from its truth."""
    frames = json.loads((RIDES / "demo_solo.truth.json").read_bytes())["frames"]
    rows: list[dict[str, object]] = []
    for frame in frames[::6]:
        for face in frame["faces"][:1]:
            hidden = face["occlusion"]
            rows.append({
                "clip": "demo_solo", "frame_idx": frame["frame_idx"], "seat": "only",
                "eyes": "closed" if face["eye_open"] < 0.3 else "open",
                "mouth": "open" if face["mouth_open"] >= 0.3 else "closed",
                "smile": "broad" if face["smile"] >= 0.3 else "none", "teeth": "no",
                "occlusion": "none" if hidden < 0.1 else "partial" if hidden <= 0.4 else "heavy",
                "occluder": "bar" if hidden >= 0.1 else "", "light": frame["lighting"],
                "blur": "sharp", "head_turn": "frontal", "good_anchor": "unsure", "note": "",
            })  # fmt: skip
    return write_csv(folder / "faces.csv", rows)


def test_labelled_faces_are_judged_person_by_person(demo: VideoLibrary, tmp_path: Path) -> None:
    empty = tmp_path / "no_truth"
    empty.mkdir()
    labels = labels_of_demo(tmp_path)
    result = call("--data", demo.root, "--labels", labels, "--truth", empty, "--out", tmp_path)
    assert result.exit_code == 0, result.output
    assert "Closed or slightly open mouths called open" in result.output
    assert "demo_solo only" in result.output, "without a truth a person is a clip and a seat"
    (section,) = json.loads((tmp_path / "report.json").read_text())["sections"]
    figures = {figure["key"]: figure for figure in section["figures"]}
    assert section["origin"] == "real" and figures["labels.met"]["value"] > 0.5
    assert figures["expression.right"]["n"] > 10
    assert [person["person"] for person in section["people"]] == ["demo_solo only"]
    assert "demo_solo only" in (tmp_path / "index.html").read_text()
    result = call("--data", demo.root, "--labels", labels, "--out", tmp_path)
    (section,) = json.loads((tmp_path / "report.json").read_text())["sections"]
    assert section["origin"] == "rendered" and section["people"][0]["person"] != "demo_solo only"


def test_labels_without_a_run_are_named(demo: VideoLibrary, tmp_path: Path) -> None:
    row = {"clip": "unheard_of", "frame_idx": 1, "seat": "only", "eyes": "open"}
    labels = write_csv(tmp_path / "faces.csv", [row])
    result = call("--data", demo.root, "--labels", labels, "--out", tmp_path)
    assert result.exit_code == 0
    assert "no run of labelled clips (unheard_of)" in result.output


def score(script: Path, data: Path, labels: Path) -> str:
    """What the script of the labels prints of the same run."""
    command = [sys.executable, str(script), str(data), str(labels)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


SCORED = {
    r"labelled faces met in the tables: (\d+)/(\d+)": "labels.met",
    r"EYES.*?all: recall (\d+)/(\d+)": "eyes.closed_found",
    r"EYES.*?false alarms (\d+)/(\d+)": "eyes.open_called_closed",
    r"EYES.*?called closed: half (\d+)/(\d+)": "eyes.half_called_closed",
    r"EYES.*?wink (\d+)/(\d+)": "eyes.wink_called_closed",
    r"covered: recall (\d+)/(\d+)": "eyes.closed_found_clear",
    r"covered: recall [^,]*, false alarms (\d+)/(\d+)": "eyes.open_called_closed_clear",
    r"EXPRESSION.*?all: right (\d+)/(\d+)": "expression.right",
    r"only the first bin (\d+)/(\d+)": "expression.first",
    r"not blurred: right (\d+)/(\d+)": "expression.right_clear",
    r"heavy\): recall (\d+)/(\d+)": "cover.found",
    r"heavy\): recall [^,]*, false alarms (\d+)/(\d+)": "cover.plain_called_covered",
    r"lighting dark: recall (\d+)/(\d+)": "light.dark_found",
    r"lighting overexposed: recall [^,]*, false alarms (\d+)/(\d+)": "light.overexposed_false",
    r"anchor: .*?eyes closed, half or wink +(\d+)/(\d+)": "sets.anchor_eyes_not_open",
    r"coverage: .*?occluder over the face +(\d+)/(\d+)": "sets.coverage_covered",
    r"challenge: .*?dark +(\d+)/(\d+)": "sets.challenge_dark",
    r"pair: .*?head turned left or right +(\d+)/(\d+)": "sets.pair_turned",
}
"""A line of the script, and the figure that counts the same."""


def as_shown(root: Path, folder: Path) -> Path:
    """The tables with what the exports really show of the sets, which is what is to be judged."""
    store = TableStore(Layout(root))
    shutil.copytree(root / "tables", folder / "tables", copy_function=os.link)
    for name in SET_ASSETS:
        for video in store.videos_with(name):
            shown = exported_rows(store, name, video, store.read(name, video))
            path = folder / "tables" / name / f"{video}.parquet"
            path.unlink()
            shown.write_parquet(path)
    return folder


def agrees_with_script(root: Path, labels: Path, script: Path, out: Path) -> int:
    printed = score(script, as_shown(root, out / "shown"), labels)
    result = call("--data", root, "--labels", labels, "--out", out)
    assert result.exit_code == 0, result.output
    (section,) = json.loads((out / "report.json").read_text())["sections"]
    figures = {figure["key"]: figure for figure in section["figures"]}
    compared = 0
    for pattern, key in SCORED.items():
        line = re.search(pattern, printed, re.DOTALL)
        if line is None or line[2] == "0":
            continue
        figure = figures[key]
        counted = (round(figure["value"] * figure["n"]), figure["n"])
        assert counted == (int(line[1]), int(line[2])), key
        compared += 1
    return compared


def test_figures_of_labels_are_those_of_the_script_beside_them(
    demo: VideoLibrary, real: Path, tmp_path: Path
) -> None:
    script = real / "labels" / "score.py"
    if not script.is_file():
        pytest.skip(f"no {script}")
    assert agrees_with_script(demo.root, labels_of_demo(tmp_path), script, tmp_path) >= 8


def test_real_faces_are_judged_as_the_script_judges_them(
    real_library: VideoLibrary, real: Path, tmp_path: Path
) -> None:
    labels, script = (real / "labels" / name for name in ("real_faces.csv", "score.py"))
    if not script.is_file():
        pytest.skip(f"no {script}")
    rows = labels.read_text(encoding="utf-8").splitlines(keepends=True)
    ran = {clip.stem for clip in (real / "videos").glob("*.mp4")}
    own = tmp_path / "labels.csv"
    own.write_text("".join([rows[0], *(row for row in rows if row.split(",")[0] in ran)]))
    assert agrees_with_script(real_library.root, own, script, tmp_path) >= 15
