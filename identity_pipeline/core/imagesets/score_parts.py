"""The parts of a picture's score: what is wrong with its eyes, mouth, view, light, sharpness, pose.

Every part is a number in [0, 1], 1 where nothing is wrong, and never rises with a fault. It is null
where nothing was measured. What a person usually looks like is taken from their own plain faces of
the video: skin, brows and mouths differ more between people than between pictures. How the parts
make a score, and how well it agrees with people who looked, is said in `core.imagesets.portrait`.

The limits of the faults are chosen, in view of eight people in real ride clips.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import polars as pl

UNMEASURED: Final = 0.7
"""What counts for a measure that is null, beside others of its part that are not, and for a part
that is null: less than a good one, more than one with a fault. Chosen."""
PLAIN_YAW: Final = 20.0
"""Degrees up to which a face tells its owner's usual brows, mouth and light. Chosen."""
COVER_NEAR_MS: Final = 450.0
"""A cover that passes is beside the face so long before and after it is before it. Chosen."""
RARELY: Final = 0.15
"""A cover passes only for who is covered on at most this share of their faces: goggles that are
worn do not, nor does what only looks like a cover. Chosen."""
MARRED: Final = 0.5
"""A part that has lost more than half mars a face as an anchor, and its view also as coverage.
Chosen."""
BLACK_LUMA: Final = 50.0
"""Mean luma below which a face is nearly black, whoever it is. Chosen, above the strict gate's
floor of 40."""
FULL_SIZE_PX: Final = 112.0
"""A face of the recogniser's own input size loses nothing by its size."""


class Fault(NamedTuple):
    """How a fault lowers a part: not at all up to `free`, to a half at `half`, then ever less."""

    free: float
    half: float

    def share(self, fault: pl.Expr) -> pl.Expr:
        """What is left of a part, in (0, 1]; null where the fault is not known."""
        over = ((fault - self.free) / (self.half - self.free)).clip(lower_bound=0.0)
        return 1 / (1 + over**2)


LIDS_LOW: Final = Fault(0.07, 0.18)
"""Of 1 - `lid_ratio`."""
LIDS_WIDE: Final = Fault(0.07, 0.17)
"""Of `lid_ratio` over the usual one, less 1: a stare, or fright."""
LIDS_UNLIKE: Final = Fault(0.06, 0.2)
"""Of the difference of both lid gaps, beyond the usual one: a squint, or half a wink."""
LIDS_SHUT: Final = Fault(0.1, 0.4)
"""Of 1 - `eye_open`, where no iris net measured the lids."""
STILL_OPEN: Final = Fault(0.05, 0.2)
"""Of `eye_open`, where the picture is to show closed eyes."""
GAZE: Final = Fault(0.03, 0.08)
"""Eye widths that the irises are off the middle."""
BROWS: Final = Fault(0.02, 0.06)
"""Distances of the outer eye corners that the brows are off their owner's usual height: frowns
and raised brows."""
MOUTH_OPEN: Final = Fault(0.05, 0.22)
"""Of `mouth_open`, after what a smile may open it."""
CROOKED: Final = Fault(0.012, 0.03)
"""Distances of the outer eye corners that the mouth's corners are off their usual places."""
CORNERS_DOWN: Final = Fault(0.01, 0.04)
"""Distances of the outer eye corners that the mouth's corners hang below their usual places."""
SMILES_FROM: Final = 0.3
"""`smile` from which a face counts as one that smiles: the limit of the bins."""
SMILE_FROM, SMILE_FULL = 0.6, 0.9
"""`smile` from which a mouth begins to smile outright, and from which it does."""
SMILE_OPENS: Final = 0.25
"""So much of `mouth_open` belongs to a full smile: it shows teeth."""
SMILE_LIDS: Final = 0.1
"""So much of `lid_ratio` a full smile takes: it lifts the cheeks."""
YAW: Final = Fault(5.0, 14.0)
PITCH: Final = Fault(7.0, 16.0)
"""After the person's own level was taken off."""
ROLL: Final = Fault(3.0, 10.0)
"""Degrees, like yaw and pitch."""
COVER: Final = Fault(0.03, 0.1)
"""Of `occlusion`."""
COVER_BESIDE: Final = Fault(0.25, 0.45)
"""Of `cover_beside`. Plain faces of eight people in real ride clips have 0.4 at most, and those
with a post across a cheek or an ear 0.3 to 1; chosen with them in view."""
COVER_NEAR: Final = 0.4
"""What is left of the view of a face that was, or will be, covered in a moment."""
DARKER: Final = Fault(0.2, 0.7)
"""Stops (powers of two) that a face is darker than its owner's plain faces."""
LIGHTER: Final = Fault(0.5, 1.2)
"""Stops that it is lighter: where most of a ride is dim, the light part of it is the better one."""
BLACK: Final = Fault(0.0, 15.0)
"""Luma below `BLACK_LUMA`."""
BACKLIGHT: Final = Fault(1.0, 1.8)
"""Stops that the surround is lighter than the face."""
OWN_BACKLIGHT: Final = Fault(0.3, 1.0)
"""Stops of that beyond what is usual for the person."""
FLAT: Final = Fault(0.2, 0.8)
"""Stops of contrast below the usual."""
CLIPPED: Final = Fault(0.02, 0.1)
"""Share of the face that is blown, beyond the usual; `CRUSHED` is that which is black."""
CRUSHED: Final = Fault(0.03, 0.15)
SOFT: Final = Fault(0.2, 1.0)
"""Stops of sharpness below the usual."""
NEIGHBOUR: Final = Fault(0.005, 0.05)
"""Share of the export crop that heads of neighbours cover."""


def usual(column: str, among: pl.Expr | None = None) -> pl.Expr:
    """A person's own median of a measure over their plain faces, or over all where none is plain.

    A plain face is strict, near frontal, in normal light, and has nothing before it.

    Args:
        column: the measure.
        among: which of the plain faces tell, where some of them do; all when None.
    """
    plain = (
        pl.col("strict")
        & (pl.col("lighting_bin") == "normal")
        & pl.col("occlusion_bin").is_in(["none", "unknown"])
        & (pl.col("yaw").abs() <= PLAIN_YAW)
    ).fill_null(False)
    told = [plain] if among is None else [plain & among.fill_null(False), plain]
    own = [pl.col(column).filter(tells).median().over("person_id") for tells in told]
    return pl.coalesce(*own, pl.col(column).median().over("person_id"))


def part(*shares: pl.Expr) -> pl.Expr:
    """The product of what its faults leave; null where none of them is known."""
    known = pl.any_horizontal(*(share.is_not_null() for share in shares))
    product = shares[0].fill_null(UNMEASURED)
    for share in shares[1:]:
        product = product * share.fill_null(UNMEASURED)
    return pl.when(known).then(product)


def _stops(value: pl.Expr) -> pl.Expr:
    """Powers of two."""
    return value.clip(lower_bound=1e-3).log(2.0)


def smiling() -> pl.Expr:
    """0 where a face does not smile, 1 where it smiles outright; 0 where it was not measured."""
    return (
        ((pl.col("smile") - SMILE_FROM) / (SMILE_FULL - SMILE_FROM)).clip(0.0, 1.0).fill_null(0.0)
    )


def usual_calm(column: str) -> pl.Expr:
    """The own median of a measure over faces that do not smile, where there are any.

    A smile lifts the mouth's corners and the cheeks: beside the faces of who smiles half of the
    ride a calm mouth hangs, and open eyes stare.
    """
    return usual(column, pl.col("smile") < SMILES_FROM)


def lids() -> pl.Expr:
    """How open the eyes are: 0 where one is closed, less than 1 where lids hang."""
    low = LIDS_LOW.share(1 - pl.col("lid_ratio") - SMILE_LIDS * smiling())
    open_ = pl.coalesce(low, LIDS_SHUT.share(1 - pl.col("eye_open")))
    shut = (pl.col("eyes") == "closed") | pl.col("wink").fill_null(False)
    return pl.when(shut).then(0.0).otherwise(open_)


def closed() -> pl.Expr:
    """How clearly the eyes are closed: half-shut ones are neither."""
    return STILL_OPEN.share(pl.col("eye_open"))


def eyes() -> pl.Expr:
    """Open, not staring, looking into the camera under calm brows."""
    unlike = pl.col("lid_gap_left") - pl.col("lid_gap_right")
    usually = usual("lid_gap_left") - usual("lid_gap_right")
    brows = (pl.col("brow_height") - usual("brow_height")).abs()
    open_ = lids()
    looks = part(
        open_,
        LIDS_WIDE.share(pl.col("lid_ratio") / usual_calm("lid_ratio") - 1),
        LIDS_UNLIKE.share((unlike - usually).abs()),
        GAZE.share(pl.col("gaze_offset").abs()),
        BROWS.share(brows),
    )
    return pl.when(open_.is_not_null()).then(looks)


def mouth() -> pl.Expr:
    """Closed and calm, or an outright smile; drawn neither to one side nor down."""
    opens = pl.col("mouth_open") - SMILE_OPENS * smiling()
    sideways = (
        (pl.col("mouth_tilt") - usual_calm("mouth_tilt")) ** 2
        + (pl.col("mouth_shift") - usual_calm("mouth_shift")) ** 2
    ).sqrt()
    return part(
        MOUTH_OPEN.share(opens),
        CROOKED.share(sideways),
        CORNERS_DOWN.share(pl.col("mouth_drop") - usual_calm("mouth_drop")),
    )


def pose() -> pl.Expr:
    """Frontal and level."""
    return part(
        YAW.share(pl.col("yaw").abs()),
        PITCH.share(pl.col("pitch").abs()),
        ROLL.share(pl.col("roll").abs()),
    )


def view() -> pl.Expr:
    """Nothing before the face or beside it, now or in a moment; see `with_cover_near`."""
    near = pl.when(pl.col("cover_near").fill_null(False)).then(COVER_NEAR).otherwise(1.0)
    beside = COVER_BESIDE.share(pl.col("cover_beside"))
    return part(COVER.share(pl.col("occlusion")), beside) * near


def light() -> pl.Expr:
    """The person's own normal exposure: neither dark nor blown, nor flat, nor against the light."""
    luma = pl.col("luma_mean")
    against = _stops(pl.col("surround_luma") / luma.clip(lower_bound=1.0))
    usually = _stops(usual("surround_luma") / usual("luma_mean").clip(lower_bound=1.0))
    exposed = part(
        DARKER.share(_stops(usual("luma_mean")) - _stops(luma)),
        LIGHTER.share(_stops(luma) - _stops(usual("luma_mean"))),
        BLACK.share(BLACK_LUMA - luma),
        BACKLIGHT.share(against),
        OWN_BACKLIGHT.share(against - usually),
        FLAT.share(_stops(usual("contrast")) - _stops(pl.col("contrast"))),
        CLIPPED.share(pl.col("clipped_share") - usual("clipped_share")),
        CRUSHED.share(pl.col("crushed_share") - usual("crushed_share")),
    )
    return pl.when(luma.is_not_null()).then(exposed)


def sharp() -> pl.Expr:
    """As sharp as the person's other faces, and large enough."""
    size = (pl.col("face_px") / FULL_SIZE_PX).clip(0.0, 1.0).sqrt()
    return part(SOFT.share(-_stops(pl.col("relative_sharpness"))), size)


def alone(faces: pl.DataFrame) -> pl.Expr:
    """Nobody's head in the picture; null for all where no export crop was measured."""
    if "neighbour_share" not in faces.columns:
        return pl.lit(None, dtype=pl.Float64)
    return NEIGHBOUR.share(pl.col("neighbour_share"))


def with_cover_near(faces: pl.DataFrame) -> pl.DataFrame:
    """Adds `cover_near`: whether the same person's face is covered at about the same time.

    What passes before a face stands beside it just before and after, in the same picture.

    Args:
        faces: person_id, timestamp_ms, occlusion_bin, cover_beside.
    """
    is_covered = pl.col("occlusion_bin").is_in(["partial", "heavy"]).fill_null(False) | (
        pl.col("cover_beside") >= COVER_BESIDE.half
    ).fill_null(False)
    covered = (
        faces.filter(is_covered)
        .select("person_id", "timestamp_ms", covered_ms="timestamp_ms")
        .sort("timestamp_ms")
    )
    order = faces.with_row_index("_row").sort("timestamp_ms")
    joined = order.join_asof(
        covered,
        on="timestamp_ms",
        by="person_id",
        strategy="nearest",
        check_sortedness=False,
    )
    apart = (pl.col("covered_ms") - pl.col("timestamp_ms")).abs()
    passes = is_covered.mean().over("person_id") <= RARELY
    near = (passes & (apart <= COVER_NEAR_MS)).fill_null(False)
    return joined.with_columns(cover_near=near).sort("_row").drop("_row", "covered_ms")
