"""Settings of templates, calibration, the matching of known people, and profiles."""

from __future__ import annotations

from typing import Any

from identity_pipeline.settings.base import Group, tunable


def _pin(description: str) -> Any:
    """A threshold that a person sets by hand."""
    return tunable(None, description, unit="cosine", source="not pinned", ge=-1, le=1)


def _default(value: float, description: str) -> Any:
    """A threshold between templates that holds while nothing is measured."""
    source = "chosen for ArcFace-like spaces, whose practice is 0.28-0.48; not measured"
    return tunable(value, description, unit="cosine", source=source, gt=0, le=1)


class MatchSettings(Group):
    """From the faces of a track to the person it is."""

    template_min_faces: int = tunable(
        3,
        "A track with fewer usable faces gives no template.",
        unit="faces",
        source="chosen; identity_builder's prototype wants three strict frames",
        ge=1,
    )
    template_thin_cos: float = tunable(
        0.98,
        "Of successive faces closer than this only the best counts.",
        unit="cosine",
        source="chosen: a standing car must not outvote the ride",
        ge=0,
        le=1,
    )
    template_weight_floor: float = tunable(
        0.05,
        "Least weight of a usable face in its template.",
        unit="quality",
        source="chosen: a usable face counts",
        gt=0,
        le=1,
    )
    genuine_gap_s: float = tunable(
        1.0,
        "Two faces of a track that lie farther apart in time are a genuine pair.",
        unit="s",
        source="design: label-free calibration from ride physics",
        ge=0,
    )
    pairs_per_track: int = tunable(
        400,
        "Face pairs taken from a track, or from two tracks, at most; evenly spread.",
        unit="pairs",
        source="chosen: faces of one track tell little more",
        ge=10,
    )
    samples_per_track: int = tunable(
        8,
        "Faces of a track kept for comparisons with the tracks of other videos.",
        unit="faces",
        source="chosen: faces of one track tell little more",
        ge=1,
    )
    track_pairs_max: int = tunable(
        200_000,
        "Pairs of templates used at most; evenly spread.",
        unit="pairs",
        source="chosen: 20 false accepts at a rate of 1e-4",
        ge=100,
    )
    far_exclude: float = tunable(
        1e-2,
        "False-accept rate of `exclude`: below it two tracks are not the same person.",
        unit="share of impostor comparisons",
        source="design",
        gt=0,
        lt=0.5,
    )
    far_suggest: float = tunable(
        1e-3,
        "False-accept rate of `suggest`.",
        unit="share of impostor comparisons",
        source="design",
        gt=0,
        lt=0.5,
    )
    far_assign: float = tunable(
        1e-4,
        "False-accept rate of `assign`, per known person: of so many tracks of somebody else at "
        "most one reaches it. Kept at the safe end of what is known, not on average.",
        unit="share of impostor comparisons",
        source="design",
        gt=0,
        lt=0.5,
    )
    fpir_assign: float = tunable(
        1e-3,
        "The budget: of all tracks of strangers, each held against the whole gallery, at most this "
        "share is named as anybody without asking. With more than ten people it makes `assign` "
        "stricter than its rate per person. Where it cannot be shown to hold, everybody is "
        "suggested and nobody named.",
        unit="share of strangers",
        source="chosen: at most 1 in 1,000 strangers named; `stats` prints the bound reached",
        gt=0,
        lt=0.5,
    )
    fpir_suggest: float = tunable(
        1e-1,
        "Share of strangers that may be suggested as any known person; with many people it makes "
        "`suggest` stricter than its rate per person.",
        unit="share of strangers",
        source="chosen: with 590 known synthetic people, the rate per person alone drew a "
        "question about two of five unmatched tracks",
        gt=0,
        lt=0.5,
    )
    pin_exclude: float | None = _pin("Overrides `exclude` between templates.")
    pin_suggest: float | None = _pin("Overrides `suggest` between templates.")
    pin_assign: float | None = _pin(
        "Overrides `assign` between templates; then the rate is the word of whoever sets it."
    )
    pin_probe_exclude: float | None = _pin(
        "Overrides `exclude` of a single face against a template."
    )
    pin_probe_suggest: float | None = _pin(
        "Overrides `suggest` of a single face against a template."
    )
    pin_probe_assign: float | None = _pin("Overrides `assign` of a single face against a template.")
    default_exclude: float = _default(
        0.25, "`exclude` between templates while nothing could be measured."
    )
    default_suggest: float = _default(
        0.35, "`suggest` between templates while nothing could be measured."
    )
    default_assign: float = _default(
        0.45,
        "`assign` between templates while nothing could be measured: it bounds `suggest`, "
        "and nobody is named by it.",
    )
    lookalike_cos: float | None = tunable(
        None,
        "Nobody is named by a lower cosine, and no two unknown tracks are linked by one, whatever "
        "was calibrated; a pin still holds. For recognisers that confuse people of one group of "
        "look more than people at random: a calibration on few people cannot know.",
        unit="cosine",
        source="unset; a face pack may carry its own",
        ge=-1,
        le=1,
    )
    counted_exceedances: int = tunable(
        10,
        "A rate is counted where this many impostor pairs exceed the threshold, else it is "
        "extrapolated.",
        unit="pairs",
        source="chosen: a relative error of about a third",
        ge=1,
    )
    tail_fit_min_pairs: int = tunable(
        8,
        "With fewer independent impostor pairs no tail is fitted.",
        unit="pairs of tracks",
        source="chosen: Student's quantile at 1e-4 is then 7.1 against the normal's 3.7",
        ge=3,
    )
    cohort_below: int = tunable(
        300,
        "With fewer known impostor pairs the tail is fitted robustly (median, MAD) to all pairs "
        "of tracks of different videos, most of which are of different people; 0: never.",
        unit="pairs of tracks",
        source="rendered library of 60 rides: two rides of twins among 39 known pairs would raise "
        "the merge floor from 0.81 to 0.92",
        ge=0,
    )
    bootstrap_rounds: int = tunable(
        200,
        "Resamplings by track behind an interval.",
        unit="rounds",
        source="chosen",
        ge=20,
    )
    bootstrap_seed: int = tunable(
        20240607, "Seed of the resampling.", unit="seed", source="chosen", ge=0
    )
    interval: float = tunable(
        0.95,
        "Coverage of the intervals; `assign` is read at their upper end.",
        unit="share",
        source="convention",
        gt=0.5,
        lt=1,
    )
    margin_min: float = tunable(
        0.05,
        "Lead over the second-best person from which a match is made without asking.",
        unit="cosine",
        source="momentscan in production (rival margin)",
        ge=0,
        le=2,
    )
    worst_pair_margin: float = tunable(
        0.02,
        "Nobody is named without asking unless the score leads what the nearest other known person "
        "reaches with that person by this much: two people who are taken for each other are asked "
        "about, whatever the rate over all pairs is.",
        unit="cosine",
        source="chosen: templates of one track's halves differ by so much",
        ge=0,
        le=1,
    )
    nearest_shown: int = tunable(
        3, "References named as the nearest.", unit="references", source="chosen", ge=1
    )
    exemplars_max: int = tunable(
        8, "Exemplars of a person; pinned ones come on top.", unit="tracks", source="chosen", ge=1
    )
    exemplar_quality_weight: float = tunable(
        0.5,
        "Weight of quality against diversity in the choice of exemplars.",
        unit="share",
        source="chosen",
        ge=0,
        le=1,
    )
    centres_max: int = tunable(
        3,
        "Spherical centres of a person, of templates in the gallery, of faces in a k-means head.",
        unit="centres",
        source="design (k <= 3)",
        ge=1,
        le=3,
    )
    centre_min_members: int = tunable(
        3,
        "Fewest members of one of several centres.",
        unit="templates or faces",
        source="chosen",
        ge=1,
    )
    centre_min_gain: float = tunable(
        0.05,
        "Gain in the mean cosine to the own centre that one centre more must bring.",
        unit="cosine",
        source="chosen",
        ge=0,
        le=1,
    )
    suggestion_days: int = tunable(
        30, "A suggestion expires after.", unit="days", source="image-search-service", ge=1
    )
    suggestion_regrow: float = tunable(
        0.05,
        "A rejected or expired suggestion comes back only when its score has risen by more.",
        unit="cosine",
        source="chosen",
        ge=0,
        le=2,
    )
    find_more_max: int = tunable(
        50, "Tracks that find-more lists.", unit="tracks", source="image-search-service", ge=1
    )
    quarantine_cos: float | None = tunable(
        None,
        "An embedding farther than this from its person's direction is kept out of the profile; "
        "unset: the calibrated `exclude` of a face against a template, but no higher than what "
        "99 of 100 of a person's own faces reach; nothing is kept out while either is unknown.",
        unit="cosine",
        source="calibration",
        ge=-1,
        le=1,
    )
