"""Files of labels: columns in any order, few must be there, and every fault is one sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from identity_pipeline.core.evaluation.labels import LABELS
from identity_pipeline.storage.video.labels import LabelError, read_labels


def write(folder: Path, text: str, name: str = "faces.csv") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_columns_may_lack_and_an_empty_one_says_nothing(tmp_path: Path) -> None:
    path = write(tmp_path, "seat,clip,extra,frame_idx,eyes\nleft,a,1,7,open\nright,a,2,7,\n")
    labels = read_labels([path])
    assert list(labels.columns) == list(LABELS)
    assert labels.select("clip", "frame_idx", "seat", "eyes", "mouth").rows() == [
        ("a", 7, "left", "open", None),
        ("a", 7, "right", None, None),
    ]


def test_of_several_files_the_first_counts_for_a_face(tmp_path: Path) -> None:
    one = write(tmp_path, "clip,frame_idx,seat,eyes\na,7,only,open\n")
    two = write(tmp_path, "clip,frame_idx,seat,eyes\na,7,only,closed\na,8,only,half\n", "two.csv")
    assert read_labels([one, two])["eyes"].to_list() == ["open", "half"]
    assert read_labels([two, one])["eyes"].to_list() == ["closed", "half"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("clip,frame_idx\na,7\n", "no column seat"),
        ("clip,frame_idx,seat\na,7,left\na,,left\n", "line 3 has no frame_idx"),
        ("clip,frame_idx,seat\na,7,left\na,-1,left\n", "line 3 has no frame number but '-1'"),
        ("clip,frame_idx,seat\na,x,left\n", "no frame number but 'x'"),
        ("clip,frame_idx,seat,eyes\na,7,left,shut\n", "line 2 says eyes 'shut', which is none of"),
        ("clip,frame_idx,seat\na,7,only\na,7,left\n", "one rider or two"),
        ("", "no file of labels"),
    ],
)
def test_every_fault_is_one_sentence(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(LabelError, match=r"^faces.csv is no") as caught:
        read_labels([write(tmp_path, text)])
    assert said in str(caught.value)
