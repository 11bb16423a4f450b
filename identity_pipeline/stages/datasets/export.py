"""A person's dataset for one consumer: chosen over all rides, cut anew, checked, written whole.

What belongs here: the way from people to a folder. What does not: any step of it (`sources`,
`core.datasets.selection`, `cutting`, `checks`, `captioner`, `layouts`, `about`, `manifest`).

The folder is written beside its place and renamed into it. No clock goes into it: the same rides,
decisions, settings and models give the same bytes. An export that is made of the same is reused.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import polars as pl

from identity_pipeline.core.datasets.selection import ordered, validation_sources
from identity_pipeline.core.imagesets.faces import VECTORS
from identity_pipeline.core.imagesets.one_face import Fault
from identity_pipeline.errors import printable
from identity_pipeline.settings import Settings, all_but, chosen
from identity_pipeline.stages.curation.snapshot import LibrarySnapshot
from identity_pipeline.stages.datasets.about import Account, write_about
from identity_pipeline.stages.datasets.checks import Looker, check, check_set
from identity_pipeline.stages.datasets.cutting import Cut, Cutter, Place
from identity_pipeline.stages.datasets.manifest import (
    FILE,
    KIND,
    SCHEMA_VERSION,
    ManifestError,
    NotWritten,
    files_json,
    measured,
    not_written_json,
    picture_json,
    read_manifest,
)
from identity_pipeline.stages.datasets.pictures import (
    Dataset,
    Layout,
    Limits,
    Person,
    Picture,
    Verdict,
)
from identity_pipeline.stages.datasets.sources import (
    DatasetError,
    Material,
    material_of,
    people_of,
)
from identity_pipeline.stages.imagesets.provenance import model_facts
from identity_pipeline.stages.progress.protocol import Progress, silent
from identity_pipeline.stages.specs.cache_key import deciding_settings
from identity_pipeline.storage.files import atomic
from identity_pipeline.storage.files.hashing import sha256_of_value

if TYPE_CHECKING:
    from identity_pipeline.models.hub import ModelHub

CODE: Final = "1"
"""Raise it with every change of what is computed; without it old exports are reused."""
SHAPING: Final = (*all_but("datasets", "consumers"), "selection", "export", "crops")
"""Settings that an export is made of, beside those that its tables were made with."""
RESERVE: Final = 0.25
"""So many more pictures are cut at once, as a share, for those that a check refuses: a source is
then decoded once. Chosen."""
Captions = Literal["template", "none", "model"]


@dataclass(frozen=True)
class Request:
    """What is asked for.

    Attributes:
        person_ids: of whom; several make one dataset.
        layout: for which consumer.
        rides: only these rides and photo sets; all where none is named.
        size: longest side of a picture, px; null: as it is cut.
        count: pictures of a person at most; null: `datasets.count`.
        captions: where they come from.
        target: the folder; null: its place in the data folder.
    """

    person_ids: tuple[str, ...]
    layout: Layout
    rides: tuple[str, ...] = ()
    size: int | None = None
    count: int | None = None
    captions: Captions = "template"
    target: Path | None = None


@dataclass(frozen=True)
class Written:
    """A dataset that is there.

    Attributes:
        folder: where.
        reused: it was there already, made of the same.
        manifest: what it says of itself.
        usage: Markdown: how the consumer is pointed at it.
    """

    folder: Path
    reused: bool
    manifest: Mapping[str, Any]
    usage: str


@dataclass
class _Tried:
    """One person's pictures as they are tried, in their order.

    Attributes:
        material: their rides and faces.
        order: all faces by rank, with the reasons of the others.
        wanted: how many pictures.
        cut: what became of each place that was tried.
        pictures: those that could be cut, by place in the order.
        verdicts: on these, in the same order.
    """

    material: Material
    order: pl.DataFrame
    wanted: int
    cut: dict[Place, Cut | Fault] = field(default_factory=dict)
    pictures: list[Picture] = field(default_factory=list)
    verdicts: tuple[Verdict, ...] = ()

    @property
    def passed(self) -> list[Picture]:
        """Those that are written."""
        fit = {verdict.key for verdict in self.verdicts if verdict.passed}
        return [picture for picture in self.pictures if picture.key in fit]


def export(
    library: LibrarySnapshot,
    request: Request,
    settings: Settings,
    models: ModelHub,
    progress: Progress = silent,
) -> Written:
    """Writes a dataset of one or several people, or finds that it is there.

    Args:
        library: as it is now.
        request: what is asked for.
        settings: all settings.
        models: the face pack in use looks at every picture.
        progress: called as pictures are cut.

    Raises:
        DatasetError: there is no picture of somebody, too few pass, or the folder is not ours.
        OSError: it cannot be written; what was there is unchanged.
    """
    people = people_of(library, request.person_ids, settings.datasets)
    materials = [material_of(library, p, settings.datasets, request.rides) for p in people]
    target = request.target or default_place(library, people, request.layout.name)
    refuse_foreign(target)
    made_of = _made_of(materials, request, settings, models)
    fingerprint = sha256_of_value(made_of)
    old = _current(target, fingerprint)
    if old is not None:
        return Written(target, True, old, _usage(target))
    tried = [
        _tried(library, material, request, settings, models, progress) for material in materials
    ]
    _refuse_empty(tried, request)
    with atomic.new_folder(target) as folder:
        manifest, usage = _write(folder, tried, request, settings, models)
        manifest |= {
            "fingerprint": fingerprint,
            "library": _library(library),
            "files": files_json(folder),
        }
        (folder / FILE).write_bytes(atomic.json_bytes(manifest))
    return Written(target, False, manifest, usage)


def default_place(library: LibrarySnapshot, people: Sequence[Person], consumer: str) -> Path:
    """Where the dataset of some people lies, by name and id, so that two of one name are apart."""
    ids = [person.person_id for person in people]
    short = ids[0][:8] if len(ids) == 1 else sha256_of_value(sorted(ids))[:8]
    names = "+".join(person.slug[:24] for person in people[:4])
    return library.stores.layout.datasets / f"{names}-{short}" / consumer


def refuse_foreign(target: Path) -> None:
    """An export takes the place of an older one, and of nothing else.

    Raises:
        DatasetError: something else is there.
    """
    if not target.exists() and not target.is_symlink():
        return
    if target.is_dir() and not any(target.iterdir()):
        return
    try:
        ours = target.is_dir() and read_manifest(target).get("kind") == KIND
    except ManifestError:
        ours = False
    if not ours:
        raise DatasetError(
            f"{printable(str(target))} is there already and is no dataset that this program wrote; "
            "name another folder with --out, or move it away."
        )


def _made_of(
    materials: Sequence[Material], request: Request, settings: Settings, models: ModelHub
) -> dict[str, Any]:
    """Everything that an export depends on, as JSON-able values."""
    return json.loads(
        json.dumps(
            {
                "code": CODE,
                "consumer": request.layout.name,
                "limits": _limits_json(request.layout.limits),
                "people": [_person_json(m.person) for m in materials],
                "sources": [_source_json(m, s) for m in materials for s in sorted(m.sources)],
                "skipped": [[s.source_id, s.sentence] for m in materials for s in m.skipped],
                "tables": [dict(m.versions) for m in materials],
                "models": {"face_pack": models.digest("face_pack")},
                "settings": chosen(settings, SHAPING),
                "rides": sorted(request.rides),
                "size": request.size,
                "count": request.count,
                "captions": request.captions,
            }
        )
    )


def _current(target: Path, fingerprint: str) -> dict[str, Any] | None:
    """The manifest of an export that is made of the same and whole, else None."""
    try:
        told = read_manifest(target)
    except ManifestError:
        return None
    whole = told.get("fingerprint") == fingerprint and files_json(target) == told["files"]
    return told if whole else None


def _usage(target: Path) -> str:
    path = target / "README.md"
    return path.read_text(encoding="utf-8") if path.is_file() else ""


def _tried(
    library: LibrarySnapshot,
    material: Material,
    request: Request,
    settings: Settings,
    models: ModelHub,
    progress: Progress,
) -> _Tried:
    """Cuts and checks the pictures of a person in their order, until enough are fit."""
    limits = request.layout.limits
    wanted = request.count or settings.datasets.count
    wanted = min(wanted, limits.most) if limits.most is not None else wanted
    rows = material.pool.height
    order = ordered(material.pool, settings.selection, settings.datasets, rows)
    tried = _Tried(material, order, wanted)
    cutter = Cutter(library.stores.tables, models.face_pack, settings, request.size)
    looker = Looker(models.face_pack)
    for places in _batches(order, wanted):
        faces = material.pool.join(places.select("source_id", "face_id"), on=["source_id", "face_id"])
        tried.cut |= cutter.cut(faces, progress)
        tried.pictures = _pictures(tried, _validation(tried, limits, settings), looked_at=False)
        tried.verdicts = check(tried.pictures, replace(limits, most=wanted), looker)
        if len(tried.passed) >= wanted:
            break
    tried.pictures = _pictures(tried, _validation(tried, limits, settings), looked_at=True)
    return tried


def _batches(order: pl.DataFrame, wanted: int) -> Iterator[pl.DataFrame]:
    """Places in the order, as many at a time as may be needed."""
    ranked = order.filter(pl.col("rank").is_not_null()).sort("rank")
    size = wanted + math.ceil(wanted * RESERVE) + 2
    for start in range(0, ranked.height, size):
        yield ranked.slice(start, size)


def _validation(tried: _Tried, limits: Limits, settings: Settings) -> frozenset[str]:
    """The sources that are held out, by how many pictures of each are wanted."""
    if not limits.splits:
        return frozenset()
    first = tried.order.filter(pl.col("rank") <= tried.wanted)
    counts = dict(first.group_by("source_id").len().sort("source_id").iter_rows())
    return validation_sources(counts, settings.datasets.validation_share)


def _pictures(tried: _Tried, held_out: frozenset[str], *, looked_at: bool) -> list[Picture]:
    """What could be cut, as pictures, by place in the order.

    Args:
        tried: with what was cut.
        held_out: sources of the validation split.
        looked_at: the verdicts are known: those that passed are numbered without gaps.
    """
    material, person = tried.material, tried.material.person
    told = {
        (row["source_id"], row["face_id"]): row
        for row in material.pool.drop(VECTORS).iter_rows(named=True)
    }
    fit = {verdict.key for verdict in tried.verdicts if verdict.passed}
    made: list[Picture] = []
    number = 0
    for row in tried.order.filter(pl.col("rank").is_not_null()).sort("rank").iter_rows(named=True):
        place = row["source_id"], row["face_id"]
        cut = tried.cut.get(place)
        if not isinstance(cut, Cut):
            continue
        face, source = told[place], material.sources[row["source_id"]]
        key, rank = f"{person.slug}_p{row['rank']:04d}", row["rank"]
        if looked_at and key in fit:
            number += 1
            key, rank = f"{person.slug}_{number:03d}", number
        made.append(
            Picture(
                key=key,
                person=person,
                source=source,
                face_id=row["face_id"],
                frame_idx=face["frame_idx"],
                timestamp_ms=face["timestamp_ms"] if source.kind == "ride" else None,
                role=row["role"],
                rank=rank,
                split="validation" if source.source_id in held_out else "train",
                variant=row["variant"],
                jpeg=cut.jpeg,
                width=cut.width,
                height=cut.height,
                face=cut.face,
                key_points=cut.key_points,
                measured=measured({**face, "novelty": row["novelty"], "kind": row["kind"]}),
            )
        )
    if looked_at:
        keys = [picture.key for picture in made]
        verdicts = zip(keys, tried.verdicts, strict=True)
        tried.verdicts = tuple(replace(verdict, key=key) for key, verdict in verdicts)
    return made


def _refuse_empty(tried: Sequence[_Tried], request: Request) -> None:
    """Nothing is written of somebody of whom no picture is fit."""
    for one in tried:
        if one.passed:
            continue
        left = _not_written(one)
        why = f" The first: {left[0].sentence}" if left else ""
        raise DatasetError(
            f"None of the {len(left)} pictures of {one.material.person.name} that were tried is "
            f"fit for {request.layout.name}.{why}"
        )


def _not_written(tried: _Tried) -> list[NotWritten]:
    """What was tried before enough were found, and is not there, by place."""
    verdicts = {p.face_id + p.source.source_id: v for p, v in zip(tried.pictures, tried.verdicts, strict=True)}
    passed = {(p.source.source_id, p.face_id) for p in tried.passed}
    ranks = tried.order.filter(pl.col("rank").is_not_null())
    places = {(r["source_id"], r["face_id"]): r["rank"] for r in ranks.iter_rows(named=True)}
    last = max((places[place] for place in passed), default=len(places))
    found = []
    for place, cut in tried.cut.items():
        if place in passed or places[place] > last:
            continue
        if isinstance(cut, Fault):
            code, sentence = cut.code, cut.sentence
        else:
            verdict = verdicts[place[1] + place[0]]
            code, sentence = str(verdict.code), str(verdict.sentence)
        who = tried.material.person.person_id
        found.append(NotWritten(who, *place, places[place], code, sentence))
    return sorted(found, key=lambda one: one.place)


def _write(
    folder: Path,
    tried: Sequence[_Tried],
    request: Request,
    settings: Settings,
    models: ModelHub,
) -> tuple[dict[str, Any], str]:
    """Everything of the folder but the manifest, and what the manifest says of it."""
    layout = request.layout
    pictures = [picture for one in tried for picture in one.passed]
    people = [one.material.person for one in tried]
    captions = _captions(pictures, request.captions)
    dataset = Dataset(people, pictures, captions, request.size)
    files = layout.write(folder, dataset)
    usage = layout.usage(dataset)
    faults = check_set(pictures, [Verdict(p.key, passed=True) for p in pictures], layout.limits)
    facts = [
        {"role": m.role, "name": m.name, "sha256": m.sha256, "licence": m.licence}
        for m in model_facts(models)
    ]
    gate_version = deciding_settings(settings, emphasised=False)[:12]
    accounts = [
        Account(
            one.material.person,
            one.passed,
            files,
            _not_written(one),
            {place: cut.jpeg for place, cut in one.cut.items() if isinstance(cut, Cut)},
            one.material.sources,
            one.material.skipped,
            one.order,
            [f.sentence for f in faults if f.person_id == one.material.person.person_id],
        )
        for one in tried
    ]
    write_about(folder, accounts, layout.name, layout.sentence, facts, gate_version)
    (folder / "README.md").write_text(_readme(accounts, layout, usage), encoding="utf-8")
    manifest = {
        "schema_version": SCHEMA_VERSION,
        "kind": KIND,
        "consumer": layout.name,
        "limits": _limits_json(layout.limits),
        "people": [
            {**_person_json(one.material.person), "pictures": len(one.passed)} for one in tried
        ],
        "sources": [
            {
                **_source_json(one.material, name),
                "pictures": sum(p.source.source_id == name for p in one.passed),
            }
            for one in tried
            for name in sorted(one.material.sources)
        ],
        "skipped": [
            {
                "person_id": one.material.person.person_id,
                "source_id": skipped.source_id,
                "reason": skipped.sentence,
            }
            for one in tried
            for skipped in one.material.skipped
        ],
        "pictures": [
            picture_json(
                picture,
                Verdict(picture.key, passed=True),
                files.get(picture.key, ()),
                captions.get(picture.key),
                _cut_json(one, picture),
            )
            for one in tried
            for picture in one.passed
        ],
        "not_written": not_written_json(left for one in tried for left in _not_written(one)),
        "not_chosen": [row for one in tried for row in _not_chosen(one)],
        "lacking": [
            {"person_id": f.person_id, "code": f.code, "sentence": f.sentence} for f in faults
        ],
        "size": request.size,
        "count": request.count or settings.datasets.count,
        "captions": request.captions,
        "settings": chosen(settings, all_but("datasets", "consumers")),
        "settings_sha256": sha256_of_value(chosen(settings, SHAPING)),
        "gate_version": gate_version,
        "vision_space": sorted({one.material.space for one in tried}),
        "models": facts,
        "consent": None,
    }
    return manifest, usage


def _captions(pictures: Sequence[Picture], wanted: Captions) -> dict[str, str]:
    if wanted == "none":
        return {}
    return {p.key: f"{p.person.token} {p.person.class_word}" for p in pictures}


def _cut_json(tried: _Tried, picture: Picture) -> dict[str, Any]:
    cut = tried.cut[picture.source.source_id, picture.face_id]
    assert isinstance(cut, Cut)
    return {"crop": [round(float(v), 3) for v in cut.crop], "made": cut.made}


def _not_chosen(tried: _Tried) -> Iterator[dict[str, Any]]:
    """Every face that might have been shown and was not tried, with its reason."""
    person_id = tried.material.person.person_id
    written = {(p.source.source_id, p.face_id) for p in tried.passed}
    known = written | {(n.source_id, n.face_id) for n in _not_written(tried)}
    for row in tried.order.sort("source_id", "face_id").iter_rows(named=True):
        if (row["source_id"], row["face_id"]) in known:
            continue
        yield {
            "person_id": person_id,
            "source_id": row["source_id"],
            "face_id": row["face_id"],
            "reason": row["reason"] if row["rank"] is None else "not_needed",
            "rival_source_id": row["rival_source_id"],
            "rival_face_id": row["rival_face_id"],
        }


def _person_json(person: Person) -> dict[str, Any]:
    return {
        "person_id": person.person_id,
        "name": person.name,
        "slug": person.slug,
        "token": person.token,
        "class_word": person.class_word,
    }


def _source_json(material: Material, source_id: str) -> dict[str, Any]:
    source = material.sources[source_id]
    return {
        "person_id": material.person.person_id,
        "source_id": source.source_id,
        "kind": source.kind,
        "sha256": source.sha256,
        "date": source.date,
        "date_from": source.date_from,
        "origin": source.origin,
    }


def _limits_json(limits: Limits) -> dict[str, Any]:
    return {name: getattr(limits, name) for name in limits.__dataclass_fields__}


def _library(library: LibrarySnapshot) -> dict[str, Any]:
    """Of which library, so that it can be said later what has changed since."""
    seq, head = library.stores.ledger.head_of(library.history)
    generation = library.generation
    return {
        "generation": generation.number if generation else None,
        "ledger_events": seq,
        "ledger_head": head,
    }


def _readme(accounts: Sequence[Account], layout: Layout, usage: str) -> str:
    """`README.md`: how the consumer is pointed at it, and what else lies there."""
    lines = [f"# {', '.join(a.person.name for a in accounts)} for {layout.name}", ""]
    lines += [layout.sentence, "", usage.strip(), "", "## What is here", ""]
    for account in accounts:
        kinds = {name: source.kind for name, source in account.sources.items()}
        counts: dict[str, int] = {}
        for picture in account.pictures:
            counts[picture.source.source_id] = counts.get(picture.source.source_id, 0) + 1
        of = ", ".join(f"{n} of {name} ({kinds[name]})" for name, n in sorted(counts.items()))
        lines.append(f"- {account.person.name}: {len(account.pictures)} pictures: {of}.")
    lines += [
        "- `about/index.html` shows every picture, and those that were refused with the reason.",
        "- `manifest.json` says of every picture where it comes from and what was measured, which "
        "models judged it under which licences, and that consent is not recorded.",
        "",
        "`identity-pipeline verify .` in this folder checks all of it, without a network.",
        "",
    ]
    return "\n".join(lines)
