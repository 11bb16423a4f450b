"""Tables of a set of photographs that a ride has not: its pictures, and the face chosen of each.

All others are those of a ride, under their names; picture n is frame n there.
"""

from __future__ import annotations

from typing import Final

import polars as pl

from identity_pipeline.tables.base import COSINE, COUNT, Table

TABLES: Final[dict[str, Table]] = {
    "photo_set": Table(
        {
            "frame_idx": pl.Int64,  # number of the picture in the set, from 1
            "name": pl.String,  # of the file that was handed over
            "sha256": pl.String,
            "size_bytes": pl.Int64,
            "format": pl.String,  # this and all to `taken_at`: see media.stills; null: not read
            "coded_width": pl.Int64,  # px, as they are in the file
            "coded_height": pl.Int64,
            "width": pl.Int64,  # px of the upright picture that faces are looked for in
            "height": pl.Int64,
            "scale": pl.Float32,  # px of that picture per px of the file
            "orientation": pl.Int64,  # 1 to 8, as EXIF counts them
            "bit_depth": pl.Int64,
            "profile": pl.String,  # of the colours that were brought to sRGB; null: none to bring
            "transparent": pl.Boolean,
            "taken_at": pl.String,  # ISO, by the camera's clock; null: nothing tells
            "status": pl.String,  # "read" or "refused"
            "reason": pl.String,  # why it was refused, see media.stills; null: it was not
            "sentence": pl.String,  # the same in words
        },
        "frame_idx",
        ranges=dict.fromkeys(("width", "height", "coded_width", "coded_height"), COUNT),
    ),
    "photo_faces": Table(
        {
            "frame_idx": pl.Int64,  # number of the picture in the set, from 1
            "name": pl.String,  # of the file that was handed over
            "status": pl.String,  # "chosen" or "left_out"
            "reason": pl.String,  # see core.tracks.photo_choice.REASONS; null: it was chosen
            "sentence": pl.String,  # the same in words
            "face_id": pl.String,  # of the chosen face; null: none
            "face_count": pl.Int64,  # faces that were found in it; null: it was not read
            "usable_count": pl.Int64,  # of them those that pass the loose gate
            "face_px": pl.Float32,  # longer side of the chosen or else the largest face
            "fit": pl.Float32,  # its mean cosine to the person's faces in the other pictures
            "rival_fit": pl.Float32,  # the best of the other faces of the picture
        },
        "frame_idx",
        ranges={"fit": COSINE, "rival_fit": COSINE, "usable_count": COUNT},
    ),
}
