"""Whether a picture is fit for a consumer, looked at again by the open pack's detector."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np

from identity_pipeline.core.geometry import Box
from identity_pipeline.media.crops import ImageBGR
from identity_pipeline.models.face_pack import FacePack
from identity_pipeline.stages.datasets.checks import Checked, Looker, check, check_set
from identity_pipeline.stages.datasets.pictures import Dataset, Limits, Picture, parts_of
from identity_pipeline_tests.pictures import ADA, BEN, frame, pack, picture, portrait, turned


def codes(pictures: list[Picture], limits: Limits) -> list[str | None]:
    return [verdict.code for verdict in check(pictures, limits, pack())]


def beside(pixels: ImageBGR, other: ImageBGR) -> ImageBGR:
    return np.concatenate([pixels, other[: pixels.shape[0]]], axis=1)


def test_a_face_alone_passes_and_one_with_company_or_without_a_face_does_not() -> None:
    pixels, face, _ = portrait()
    shown = [
        picture(1),
        picture(2, beside(pixels, pixels)),
        picture(3, np.full_like(pixels, 90)),
        picture(4, face=Box(0, 0, face.x1 / 2, face.y1 / 2)),
    ]
    verdicts = check(shown, Limits(detect_at=(640, 576, 512)), pack())
    assert [verdict.code for verdict in verdicts] == [
        *(None, "second_face", "no_face_found", "other_face_largest"),
    ]
    assert [verdict.key for verdict in verdicts] == [one.key for one in shown]
    assert all(verdict.sentence and verdict.sentence.endswith(".") for verdict in verdicts[1:])


def test_a_loader_goes_on_to_smaller_sizes_until_one_shows_a_face() -> None:
    """A face that fills the picture is missed at one size and found at a smaller one."""

    class Shortsighted(FacePack):
        def detect(self, frame: ImageBGR, *, size: object = None, **given: object) -> object:  # pyright: ignore[reportIncompatibleMethodOverride]
            sizes.append(size)
            found = pack().detect(frame, size=640, score_min=0.35)
            return (
                found
                if size == 512
                else replace(found, boxes=found.boxes[:0], scores=found.scores[:0])
            )

    sizes: list[object] = []
    blind = Shortsighted.__new__(Shortsighted)
    assert check([picture(1)], Limits(detect_at=(640, 576, 512, 448, 384)), blind)[0].passed
    assert sizes == [640, 576, 512, 448]
    refused = check([picture(1)], Limits(detect_at=(640, 576)), blind)[0]
    assert refused.code == "no_face_found"
    assert "640, 576" in str(refused.sentence)


def test_sizes_and_angles_are_held_and_what_is_unmeasured_is_said() -> None:
    pixels, face, _ = portrait()
    side = pixels.shape[0]
    assert codes([picture(1)], Limits(short_side_px=side)) == [None]
    assert codes([picture(1)], Limits(short_side_px=side + 1)) == ["picture_too_small"]
    assert codes([picture(1)], Limits(face_px=int(face.longer_side) + 2)) == ["face_too_small"]
    limits = Limits(yaw_max=15.0, pitch_max=10.0, detect_at=())
    shown = [*turned([15.0, -15.5, None]), picture(9, measured={"yaw": 0.0, "pitch": -11.0})]
    assert codes(shown, limits) == [None, "turned_away", "pose_unmeasured", "tilted"]
    ahead = {"yaw": 1.0, "pitch": 2.0, "yaw_camera": 17.0, "pitch_camera": 2.0}
    assert codes([picture(1, measured=ahead)], limits) == ["turned_away"]  # in the picture they are


def test_whoever_needs_no_face_alone_takes_company_but_not_a_lack_of_the_person() -> None:
    pixels, face, _ = portrait()
    limits = Limits(one_face=False)
    assert codes([picture(1, beside(pixels, pixels))], limits) == [None]
    away = Box(0, 0, face.x1 / 2, face.y1 / 2)
    assert codes([picture(1, face=away)], limits) == ["no_face_found"]
    assert codes([picture(1, np.full_like(pixels, 90))], Limits(detect_at=())) == [None]


def test_a_consumer_gets_the_best_it_can_take_person_by_person() -> None:
    limits = Limits(most=2, least=2, detect_at=())
    shown = [*turned([0.0, 30.0, 0.0]), *turned([0.0], BEN)]
    verdicts = check(shown[::-1], limits, pack())
    assert [verdict.code for verdict in verdicts] == [None, "enough_without_it", None, None]
    (fault,) = check_set(shown[::-1], verdicts, limits)
    assert (fault.person_id, fault.code) == (BEN.person_id, "too_few_pictures")


def test_turned_heads_give_way_until_enough_are_frontal_and_a_lack_of_them_is_said() -> None:
    limits = Limits(frontal_share=0.5, detect_at=())
    shown = turned([0.0, 40.0, None, 10.0, -30.0, 50.0])
    assert codes(shown, limits) == [*[None] * 4, "too_few_frontal", "too_few_frontal"]
    poor = turned([40.0, 50.0])
    few = replace(limits, least=2)
    verdicts = check(poor, few, pack())
    assert [verdict.code for verdict in verdicts] == [None, None]
    assert [fault.code for fault in check_set(poor, verdicts, few)] == ["too_few_frontal"]


def test_who_draws_what_it_sees_gets_open_eyes_one_look_and_a_calm_face() -> None:
    eyes = [picture(n, measured={"eyes": kind}) for n, kind in enumerate(("closed", "open", None))]
    assert codes(eyes, Limits(eyes_open=True, detect_at=())) == ["eyes_closed", None, None]
    looks = [replace(one, variant=look) for one, look in zip(eyes, ("a", "b", "a"), strict=True)]
    assert codes(looks, Limits(one_look=True, detect_at=())) == [None, "other_look", None]
    shown = [replace(one, role="coverage") for one in turned([30.0, 5.0, 1.0, 2.0])]
    alone = Limits(most=1, portraits=1, detect_at=())
    assert codes(shown, alone)[1] is None
    shown[3] = replace(shown[3], role="anchor")
    assert codes(shown, alone)[3] is None
    assert codes(shown, replace(alone, portraits=0))[0] is None


class Several:
    """A layout for two consumers."""

    name, sentence, limits = "several", "Two.", Limits()
    parts: Final = {"any": Limits(most=1), "frontal": Limits(yaw_max=10.0)}

    def write(self, root: Path, dataset: Dataset) -> dict[str, tuple[str, ...]]:
        raise NotImplementedError

    def usage(self, dataset: Dataset) -> str:
        raise NotImplementedError


def test_several_consumers_have_verdicts_of_their_own_and_look_once() -> None:
    shown = turned([20.0, 5.0, 30.0])
    looker = Looker(pack())
    parts = {part: check(shown, limits, looker) for part, limits in parts_of(Several()).items()}
    checked = Checked(parts)
    first, second, third = (one.key for one in shown)
    assert checked.fit == {"any": {first}, "frontal": {second}}
    assert [verdict.passed for verdict in checked.verdicts] == [True, True, False]
    assert checked.verdicts[2].code == "enough_without_it"
    data = Dataset([ADA], shown, fit=checked.fit)
    assert [one.key for one in data.of(ADA, "frontal")] == [second]
    assert [one.key for one in data.of(ADA)] == [first, second, third]


def test_somebody_behind_the_seat_is_a_second_face() -> None:
    """In this frame of the bundled ride another head looks over the seat."""
    pixels, face, _ = portrait("demo_solo", 30)
    assert codes([picture(1, pixels, face=face)], Limits()) == ["second_face"]


def test_a_frame_with_two_riders_is_refused_wherever_it_comes_from() -> None:
    pixels = frame("demo_duo_a", 40)
    found = pack().detect(pixels)
    boxes = sorted((Box(*box) for box in found.boxes.tolist()), key=lambda box: -box.area)
    assert len(boxes) >= 2
    looker = Looker(pack())
    limits = Limits(detect_at=(640, 320, 160))
    assert not check([picture(1, pixels, face=boxes[0])], limits, looker)[0].passed
    assert check([picture(1, pixels, face=boxes[1])], limits, looker)[0].code in (
        "second_face",
        "other_face_largest",
    )
