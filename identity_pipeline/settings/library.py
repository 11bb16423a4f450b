"""Settings of the identity library: how unknown people are grouped, and what a copy is."""

from __future__ import annotations

from typing import Literal

from pydantic import model_validator

from identity_pipeline.settings.base import Group, tunable

MEASURED = "identity_pipeline_tests/benchmarks/cluster_methods.py"


class ClusterSettings(Group):
    """Grouping of the tracks of unknown people."""

    method: Literal["agglomerative", "hdbscan", "dbscan"] = tunable(
        "agglomerative",
        "How tracks are grouped: average linkage, HDBSCAN or DBSCAN, each above the merge floor.",
        unit="name",
        source="synthetic libraries of a theme park's shape, three spaces: average linkage at FAR "
        "5e-4 and hdbscan at 2e-4 reach B-cubed precision 0.99 at equal recall (0.84); average "
        f"linkage bears a floor that is too low better ({MEASURED})",
    )
    merge_false_links: float = tunable(
        0.02,
        "The merge floor is the cosine at which a track expects so many links to other people; "
        "the false-accept rate follows from the size of the library.",
        unit="links per track",
        source="fitted: rendered library of 60 rides and 45 people, B-cubed precision 1.00 at "
        "recall 0.85 (0.05: 0.96 at 0.87), benchmarks/library_quality.py",
        gt=0,
    )
    merge_far_max: float = tunable(
        1e-2,
        "Largest false-accept rate of the merge floor, for very small libraries.",
        unit="share of impostor pairs",
        source="design: the rate of the exclude threshold",
        gt=0,
        lt=1,
    )
    merge_cos: float | None = tunable(
        None,
        "Pins the merge floor instead of calibrating it; no link below it is ever used.",
        unit="cosine",
        source="unset: read from the calibration of the embedding space",
        ge=-1,
        le=1,
    )
    min_cluster_size: int = tunable(
        2,
        "Groups of fewer tracks are noise.",
        unit="tracks",
        source="design: most people ride a few times; three or more would hide couples of tracks",
        ge=2,
    )
    min_samples: int = tunable(
        1,
        "Neighbours, besides itself, that make a track dense (hdbscan, dbscan).",
        unit="tracks",
        source="design: who rides twice has one neighbour",
        ge=1,
    )
    hdbscan_selection: Literal["eom", "leaf"] = tunable(
        "eom",
        "HDBSCAN's choice of clusters: excess of mass, or the leaves of the tree.",
        unit="name",
        source="default of hdbscan",
    )
    hdbscan_epsilon_cos: float | None = tunable(
        None,
        "HDBSCAN takes no cluster apart above this cosine.",
        unit="cosine",
        source="unset, as in hdbscan",
        ge=-1,
        le=1,
    )
    neighbours: int = tunable(
        32,
        "Nearest neighbours kept per track by hdbscan in a library of more than 2048 tracks.",
        unit="tracks",
        source="earlier measurement: partition of the exact one to ARI 0.999 (synthetic, 5-50 k)",
        ge=2,
    )
    max_links: int = tunable(
        60_000_000,
        "More pairs above the merge floor than this are refused (agglomerative, dbscan).",
        unit="pairs",
        source="memory: 65 bytes a pair at the peak, 4 GB (measured at 7.6 million pairs)",
        ge=1,
    )
    tile_mb: int = tunable(
        16,
        "Memory of one tile of the product of all tracks with all.",
        unit="MB",
        source="measured on bytes: 16 MB (261 G products a CPU second), 64 MB (226 G)",
        ge=1,
    )
    carry_jaccard: float = tunable(
        0.5,
        "A cluster keeps its id when it shares this much of its known tracks with the old one.",
        unit="Jaccard index",
        source="design: over a half, at most one old cluster can claim a new one",
        gt=0,
        le=1,
    )

    @model_validator(mode="after")
    def _core_distance_within_neighbours(self) -> ClusterSettings:
        if self.min_samples > self.neighbours:
            raise ValueError("cluster.min_samples must not exceed cluster.neighbours")
        return self


class CopySettings(Group):
    """When two videos are copies of one ride: then one of them counts."""

    likeness_min: float = tunable(
        0.93,
        "Share of the signs of their frames' hashes that agree, over all that they have in common.",
        unit="share",
        source="real and rendered rides: copies 0.994 to 1, with a counter burned in 0.954 to "
        "0.964; another ride in the same park 0.85, one with half of the picture copied 0.950: "
        "identity_pipeline_tests/benchmarks/copies_quality.py",
        ge=0.5,
        le=1,
    )
    face_likeness_min: float = tunable(
        0.9,
        "The same where each face is, in both videos: other riders are no copy.",
        unit="share",
        source="the same: copies 0.973 to 1, another rider in one seat 0.18 to 0.64",
        ge=0.5,
        le=1,
    )
    heads_likeness_min: float = tunable(
        0.65,
        "How alike the heads in the same places must move, of those that move: 1 of one movement, "
        "0 of two.",
        unit="share of the movement",
        source="eight real clips with six copies each, by copies_quality.py --data: copies 0.81 to "
        "1, other riders and the same ones at other moments 0.48 at most; set on three clips",
        ge=0,
        le=1,
    )
    people_likeness_min: float = tunable(
        0.5,
        "How alike the people in the same places must be, against how alike each one's own good "
        "faces are.",
        unit="ratio of cosines",
        source="the same, with the open pack: copies 0.76 to 1.1, other people 0.33 at most",
        ge=0,
        le=1,
    )
    common_min_s: float = tunable(
        1.5,
        "So long they must show the same.",
        unit="s",
        source="design: shorter than any ride; 15 frames at the default rate",
        ge=1,
    )
    common_share: float = tunable(
        0.5,
        "And so much of the shorter one: a copy may be cut at an end.",
        unit="share of the duration",
        source="design: two rides have at most a common trailer",
        gt=0,
        le=1,
    )
