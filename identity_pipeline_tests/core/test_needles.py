"""Pieces of vectors and pictures in any bytes, and names however they are spelled."""

from __future__ import annotations

import html
import json

import numpy as np
import pytest

from identity_pipeline.core.privacy.needles import LENGTH, Needles, pieces, same_direction
from identity_pipeline.core.privacy.spelling import Texture, forms_of, places_of, within_kept


def blobs(count: int, size: int = 512) -> list[bytes]:
    rng = np.random.default_rng(3)
    return [rng.standard_normal(size).astype("<f4").tobytes() for _ in range(count)]


def test_each_of_many_pieces_is_found_wherever_it_begins() -> None:
    known = [piece for blob in blobs(200) for piece in pieces(blob, 3)]
    needles, rng = Needles(known), np.random.default_rng(4)
    data = bytearray(rng.bytes(100_000))
    wanted = {}
    for number, place in enumerate((0, 1001, 2002, 3003, 50_004, 100_000 - LENGTH)):
        data[place : place + LENGTH] = known[number * 7]
        wanted[place] = number * 7
    assert dict(needles.find(bytes(data))) == wanted
    assert needles.find(rng.bytes(100_000)) == []
    assert needles.find(b"short") == [] == Needles([]).find(bytes(data))


def test_what_is_the_same_in_everybodys_picture_is_no_piece() -> None:
    assert pieces(bytes(40_000), 3) == []
    half = np.random.default_rng(5).bytes(20_000)
    assert all(piece in half for piece in pieces(bytes(20_000) + half, 3))
    slope = np.linspace(17, 60, 112)[:, None] + np.array([0, 5, 11])  # a dark pixel, and the next
    assert pieces(np.tile(slope.round().astype(np.uint8), (112, 1, 1)).tobytes(), 3) == []


def test_a_fragment_of_a_vector_is_enough() -> None:
    (blob,) = blobs(1)
    needles = Needles(pieces(blob, 3))
    assert needles.find(blob[: len(blob) // 2]) and needles.find(blob[len(blob) // 2 :])


def test_a_vector_is_known_in_half_precision_and_few_decimals_and_no_other_is() -> None:
    rng = np.random.default_rng(6)
    wanted = rng.standard_normal((3, 128)).astype(np.float32)
    wanted /= np.linalg.norm(wanted, axis=1, keepdims=True)
    near = wanted[1] + 0.03 * rng.standard_normal(128).astype(np.float32)
    rows = np.stack([wanted[2].astype(np.float16), wanted[0].round(4) * 7, near, np.zeros(128)])
    assert same_direction(rows, wanted, 0.9999).tolist() == [2, 0, -1, -1]


def found(data: bytes, name: str, texture: Texture = "text") -> set[str]:
    return {form.name for form in forms_of(name) if any(places_of(data, form, texture))}


@pytest.mark.parametrize("name", ["Kïm O'Bö", "Ben & Ådå", "李雷", "Ada"])
def test_a_name_is_found_however_it_is_written(name: str) -> None:
    for text in (
        json.dumps({"name": name}),
        json.dumps({"name": name}, ensure_ascii=False),
        json.dumps({"metadata": json.dumps({"name": name})}),
        f"<p>{html.escape(name)}</p>",
        "<p>" + "".join(c if c.isascii() else f"&#{ord(c)};" for c in html.escape(name)) + "</p>",
        f"line\\n{name} rides",
    ):
        assert found(text.encode(), name), text
    for encoding in ("utf-16-le", "utf-16-be"):
        assert "UTF-16" in found(f"the rider {name} was here".encode(encoding), name)


def test_part_of_another_word_is_no_name() -> None:
    assert not found(b"Canada, Benchmark, Adam and Adamson", "Ada")
    assert found(b"track_Ada-12", "Ada") and found("Adá, Ada".encode(), "Ada")


def test_a_short_name_in_pixels_is_chance_and_in_a_comment_is_not() -> None:
    pixels = bytes(range(128, 256))
    assert not found(pixels + b"Ada" + pixels, "Ada", "dense")
    assert found(pixels + b"Comment: this is Ada." + pixels, "Ada", "dense")
    assert found(pixels + b"Ada Kim" + b"x" + pixels, "Ada Kim", "pages")


def test_a_name_within_words_that_stay_is_told_apart() -> None:
    data, form = b"solo_d10-ac7ee3c2 of d10", forms_of("d10")[0]
    kept = [
        within_kept(data, p, form, ["solo_d10-ac7ee3c2"]) for p in places_of(data, form, "text")
    ]
    assert kept == [True, False]
