"""Settings of the heads that learn from labels: what teaches, how, and when a head goes live."""

from __future__ import annotations

from typing import Literal

from identity_pipeline.settings.base import Group, tunable


class TrainSettings(Group):
    """Training, judgement and the retraining sensor."""

    thin_cos: float = tunable(
        0.98,
        "Of successive faces of a track closer than this only the best teaches.",
        unit="cosine",
        source="as match.template_thin_cos: near-identical positives teach nothing",
        ge=0,
        le=1,
    )
    faces_per_track_max: int = tunable(
        24,
        "Faces of a track that teach at most, evenly spread.",
        unit="faces",
        source="chosen",
        ge=2,
    )
    held_out_people: float = tunable(
        0.25,
        "Share of people, drawn by a hash of their id, of whom no face ever teaches.",
        unit="share",
        source="chosen: heads are judged on people they have never seen",
        gt=0,
        lt=1,
    )
    held_out_videos: float = tunable(
        0.2,
        "Share of videos, drawn by a hash of their id, of which no face ever teaches.",
        unit="share",
        source="chosen",
        gt=0,
        lt=1,
    )
    people_min: int = tunable(
        8,
        "Fewer people who teach are refused.",
        unit="people",
        source="chosen: a batch of 8 people",
        ge=2,
    )
    tracks_per_person_min: int = tunable(
        2,
        "A person with fewer confirmed tracks outside the held-out part does not teach.",
        unit="tracks",
        source="chosen: the same face on another ride is what there is to learn",
        ge=1,
    )
    videos_min: int = tunable(
        10, "Fewer videos that teach are refused.", unit="videos", source="chosen", ge=2
    )
    held_out_people_min: int = tunable(
        5,
        "With fewer people to judge by a training is refused.",
        unit="people",
        source="chosen: fewer give a bootstrap no spread",
        ge=2,
    )
    objective: Literal["triplet", "arcface"] = tunable(
        "arcface",
        "What a training minimises: semi-hard triplets, or an angular margin to a proxy a person.",
        unit="name",
        source="rendered library of 160 rides (benchmarks/head_quality.py): at each base_share "
        "arcface's heads accept more held-out pairs of faces than triplet's",
    )
    base_share: float = tunable(
        0.7,
        "Share of the recogniser's own cosine in the cosine of the new space.",
        unit="share",
        source="fitted on the same rides: at 0 heads lose held-out people, at 0.5 and 0.7 "
        "nobody is lost, and at 0.7 the gain is surest",
        ge=0,
        lt=1,
    )
    margin: float = tunable(
        0.2,
        "By how much a triplet's negative must be farther.",
        unit="cosine",
        source="design",
        gt=0,
    )
    arcface_margin: float = tunable(
        0.3, "Additive angle of the arcface objective.", unit="radian", source="chosen", gt=0
    )
    arcface_scale: float = tunable(16.0, "Scale of its softmax.", unit="1", source="chosen", gt=0)
    epochs: int = tunable(20, "Epochs of a training.", unit="epochs", source="design", ge=1)
    rate: float = tunable(1e-3, "Learning rate of AdamW.", unit="1", source="chosen", gt=0)
    weight_decay: float = tunable(1e-2, "Decay of AdamW.", unit="1", source="torch's default", ge=0)
    people_per_batch: int = tunable(16, "P of a P x K batch.", unit="people", source="chosen", ge=2)
    faces_per_person: int = tunable(4, "K of a P x K batch.", unit="faces", source="chosen", ge=2)
    seed: int = tunable(
        20240607, "Seed of split, weights and batches.", unit="seed", source="chosen", ge=0
    )
    judge_far: float = tunable(
        1e-2,
        "False-accept rate at which champion and challenger are compared; in a library too small "
        "to count it, the strictest rate that can be counted.",
        unit="share of impostor pairs",
        source="chosen: held-out track pairs of a hundred tracks can be counted there",
        gt=0,
        lt=0.5,
    )
    judge_far_max: float = tunable(
        5e-2,
        "A library in which not even this rate can be counted cannot judge a head.",
        unit="share of impostor pairs",
        source="chosen",
        gt=0,
        lt=0.5,
    )
    judge_faces_per_track: int = tunable(
        8,
        "Faces of each track that judge, evenly spread; fewer where there are many tracks.",
        unit="faces",
        source="as match.samples_per_track",
        ge=1,
    )
    recall_drop_max: float = tunable(
        0.01,
        "A head by which any person's recall falls by more does not go live.",
        unit="share of the person's held-out genuine pairs of tracks",
        source="design: one point",
        ge=0,
        le=1,
    )
    doubtful_lead: float = tunable(
        0.2,
        "A confirmed track is doubtful when another person's track is nearer by this much than any "
        "other of its own person's.",
        unit="cosine",
        source="rendered library of 160 rides: 1.6 percent of true labels, 7 of labels of which 5 "
        "percent were dealt out anew, 37 where a third was",
        gt=0,
        le=2,
    )
    doubtful_share_max: float = tunable(
        0.05,
        "With more doubtful labels no head goes live.",
        unit="share of confirmed tracks with another video",
        source="the same",
        ge=0,
        le=1,
    )
    automatic: bool = tunable(
        False,
        "Whether the sensor `retrain_when_labelled` and the schedule `retrain_monthly` are on when "
        "the code location loads; each can be switched in the UI.",
        unit="yes or no",
        source="chosen: training is asked for until its effect is known",
    )
    retrain_tracks: int = tunable(
        50,
        "So many newly confirmed tracks ask for a training.",
        unit="tracks",
        source="chosen: some twenty people with a few rides each",
        ge=1,
    )
    retrain_people: int = tunable(
        10, "So many new people ask for a training.", unit="people", source="chosen", ge=1
    )
    retrain_hours: float = tunable(
        6.0, "Least time between two automatic trainings.", unit="h", source="chosen", ge=0
    )
