"""Bad files: each fails or succeeds on its own partition with one clear sentence."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from identity_pipeline.storage.files import atomic
from identity_pipeline.storage.video.failures import FailureNotes
from identity_pipeline_tests.conftest import stripes
from identity_pipeline_tests.library import VideoLibrary, failure_of
from identity_pipeline_tests.synthetic import write_video

MakeVideo = Callable[..., Path]


def text_file(folder: Path, make: MakeVideo) -> Path:
    path = folder / "text.mp4"
    path.write_text("This is no video.\n" * 100)
    return path


def empty_file(folder: Path, make: MakeVideo) -> Path:
    path = folder / "empty.mp4"
    path.touch()
    return path


def without_index(folder: Path, make: MakeVideo) -> Path:
    """Cut where the index would follow: the container cannot be opened."""
    whole = make("whole.mp4", 60).read_bytes()
    path = folder / "cut.mp4"
    path.write_bytes(whole[: len(whole) // 2])
    return path


def cut_after_index(folder: Path, make: MakeVideo) -> Path:
    """The index comes first and promises more than there is."""
    rng = np.random.default_rng(0)
    noise = (rng.integers(0, 255, (96, 128, 3), dtype=np.uint8) for _ in range(150))
    whole = write_video(folder / "whole.mp4", noise, faststart=True).read_bytes()
    path = folder / "cut_fast.mp4"
    path.write_bytes(whole[: len(whole) // 3])
    return path


def sound_only(folder: Path, make: MakeVideo) -> Path:
    path = folder / "sound.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=44100)
        for i in range(20):
            samples = np.zeros((1, 1024), dtype=np.float32)
            frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout="mono")
            frame.sample_rate, frame.pts = 44100, i * 1024
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def still(folder: Path, make: MakeVideo) -> Path:
    """A photograph under a video's name."""
    path = folder / "photograph.mp4"
    path.write_bytes(cv2.imencode(".jpg", np.zeros((96, 128, 3), np.uint8))[1].tobytes())
    return path


def absurd_size(folder: Path, make: MakeVideo) -> Path:
    """The header of an uncompressed video that claims pictures of 30000 x 30000."""
    path = folder / "absurd.y4m"
    path.write_bytes(b"YUV4MPEG2 W30000 H30000 F30:1 Ip A1:1 C420\nFRAME\n" + bytes(4096))
    return path.rename(folder / "absurd.mkv")


@pytest.mark.parametrize(
    ("make_bad", "code"),
    [
        (text_file, "not_a_video"),
        (empty_file, "empty"),
        (without_index, "not_a_video"),
        (cut_after_index, "truncated"),
        (sound_only, "no_video_stream"),
        # The decoder library refuses some absurd headers itself, before they can be read.
        (absurd_size, "not_a_video"),
    ],
)
def test_a_bad_file_fails_with_one_sentence_and_leaves_nothing(
    library: VideoLibrary, tmp_path: Path, make_video: MakeVideo, make_bad: Callable, code: str
) -> None:
    path = make_bad(tmp_path, make_video)
    result = library.run(path)
    assert not result.success
    found, sentence = failure_of(result)
    assert (found, path.name in sentence, "\n" in sentence) == (code, True, False)
    video_id = library.video_id(path.stem)
    note = FailureNotes(library.store.layout).get(video_id)
    assert note is not None and note.code == code
    # A raised limit mends a truncated file; nothing mends the rest.
    assert note.permanent == (code != "truncated")
    assert not library.store.layout.export(video_id).exists()
    assert not [p for p in library.root.rglob("*") if atomic.is_temporary(p)]


def test_others_go_on_after_a_bad_file(
    library: VideoLibrary, tmp_path: Path, make_video: MakeVideo
) -> None:
    assert not library.run(text_file(tmp_path, make_video)).success
    assert library.run(make_video("good.mp4", 12)).success


def test_a_video_without_a_face_gives_an_export_that_says_so(
    library: VideoLibrary, make_video: MakeVideo
) -> None:
    assert library.run(make_video("nobody.mp4", 30)).success
    assert library.table("face_detections", "nobody").height == 0
    assert library.table("riders", "nobody").height == 0
    page = (library.export("nobody") / "index.html").read_text()
    assert "rider" in page
    assert not list(library.export("nobody").rglob("*.jpg"))


def test_a_video_of_two_frames_works(library: VideoLibrary, make_video: MakeVideo) -> None:
    assert library.run(make_video("two.mp4", 2)).success
    assert library.table("frames", "two").height == 1


def test_names_with_spaces_dots_and_letters_of_the_world_work(
    library: VideoLibrary, tmp_path: Path, make_video: MakeVideo
) -> None:
    folder = tmp_path / "Fahrt ü 乗り物"
    folder.mkdir()
    path = folder / "..Ride №1 (café) — été.mp4"
    shutil.copy(make_video("plain.mp4", 6), path)
    assert library.run(folder / ".." / folder.name / path.name).success
    assert library.export(path.stem).is_relative_to(library.root)


def test_the_same_bytes_under_two_names_are_one_video(
    library: VideoLibrary, tmp_path: Path, make_video: MakeVideo
) -> None:
    first = make_video("first.mp4", 6)
    second = Path(shutil.copy(first, tmp_path / "second.mp4"))
    assert library.register(first) == library.register(second)


def test_a_file_that_changed_since_it_was_registered_is_refused(
    library: VideoLibrary, make_video: MakeVideo
) -> None:
    path = make_video("changing.mp4", 6)
    library.register(path)
    job_before = library.video_id("changing")
    images = (stripes(i + 50) for i in range(9))
    write_video(path, images)
    from identity_pipeline.definitions import build_defs
    from identity_pipeline.defs.resources.resources import SettingsResource

    job = build_defs(SettingsResource.of(**library.groups)).resolve_job_def("per_video")
    result = job.execute_in_process(
        instance=library.instance, partition_key=job_before, raise_on_error=False
    )
    assert failure_of(result)[0] == "changed"


@pytest.mark.slow
def test_four_faces_give_two_riders_and_two_bystanders(
    library: VideoLibrary, real: Path, tmp_path: Path
) -> None:
    """Two real rides side by side, the right one smaller: its riders lose their seats.

    Their faces are too small for a picture here, which the export says.
    """
    from identity_pipeline.media.video import sampled_frames
    from identity_pipeline.settings import load_settings

    video = load_settings(video={"analysis_fps": 10}).video
    clips = [real / "videos" / f"ride_duo_{name}.mp4" for name in "ab"]
    pairs = zip(*(sampled_frames(clip, video) for clip in clips), strict=False)
    images = (
        np.hstack([a.bgr[::2, ::2], b.bgr[::2, ::2]]) for i, (a, b) in enumerate(pairs) if i < 30
    )
    path = write_video(tmp_path / "four.mp4", images, fps=10)
    assert library.run(path, overrides={"quality": {"strict_face_px": 5000.0}}).success
    assert "(quality.strict_face_px)" in (library.export("four") / "index.html").read_text()
    riders = library.table("riders", "four")
    persistent = riders.filter(riders["presence"] > 0.5)
    assert persistent.height == 4
    assert riders["person_id"].drop_nulls().sort().to_list() == [0, 1]
    assert (persistent["reason"] == "bystander").sum() == 2
