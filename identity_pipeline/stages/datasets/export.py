"""A person's dataset for one consumer: chosen over all rides, cut anew, checked, written whole.

What belongs here: the way from people to a folder. What does not: any step of it (`sources`,
`trying`, `layouts`, `about`, `manifest`).

The folder is written beside its place and renamed into it. No clock goes into it: the same rides,
decisions, settings and models give the same bytes, except of recordings (`layouts.workflows`). An
export that is made of the same is reused.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from identity_pipeline.errors import printable
from identity_pipeline.media.wording import counted
from identity_pipeline.models.licences import PurposeError, purpose_fault
from identity_pipeline.settings import Settings, all_but, chosen
from identity_pipeline.stages.curation.consents import UNTRACKED_JSON, verdict_json
from identity_pipeline.stages.curation.snapshot import LibrarySnapshot
from identity_pipeline.stages.datasets.about import Account, readme, why_not_chosen, write_about
from identity_pipeline.stages.datasets.captioner import (
    Captions,
    captioner_facts,
    captions_of,
)
from identity_pipeline.stages.datasets.checks import SetFault, check_set
from identity_pipeline.stages.datasets.cutting import Cutter
from identity_pipeline.stages.datasets.layouts import scopes_of
from identity_pipeline.stages.datasets.manifest import (
    FILE,
    KIND,
    SCHEMA_VERSION,
    ManifestError,
    datasets_in,
    files_json,
    limits_json,
    not_written_json,
    person_json,
    picture_json,
    read_manifest,
    source_json,
)
from identity_pipeline.stages.datasets.pictures import Dataset, Layout, Person, parts_of
from identity_pipeline.stages.datasets.rides import MeasuredRides
from identity_pipeline.stages.datasets.sources import (
    DatasetError,
    Material,
    NoConsentError,
    material_of,
    people_of,
    refuse_changed,
)
from identity_pipeline.stages.datasets.trying import Tried, hold_out, place_of, try_pictures
from identity_pipeline.stages.imagesets.provenance import model_facts
from identity_pipeline.stages.progress.protocol import Progress, silent
from identity_pipeline.stages.specs.cache_key import deciding_settings
from identity_pipeline.storage.files import atomic
from identity_pipeline.storage.files.hashing import sha256_of_value
from identity_pipeline.storage.video.registry import VideoRegistry
from identity_pipeline.storage.video.tables import TableStore

if TYPE_CHECKING:
    from identity_pipeline.models.hub import ModelHub

CODE: Final = "1"
"""Raise it with every change of what is computed; without it old exports are reused."""
SHAPING: Final = (*all_but("datasets", "consumers"), "selection", "export", "crops", "pictures")
"""Settings that an export is made of, beside those that its tables were made with."""
README: Final = "README.md"
LEFT_BY_TRAINERS: Final = re.compile(
    r"(^|/)(cache|__pycache__|_\w+_cache)/|\.npz$|(^|/)(\.aitk_size\.json|\.DS_Store|Thumbs\.db)$"
)
"""Files that trainers and desktops put beside pictures and make again: what trainers computed of
pictures that give way is wrong for those that come. `cache/` is where the configurations of musubi
and SimpleTuner send theirs, `.npz` are kohya's, `_latent_cache/` and its like AI Toolkit's."""


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
        NoConsentError: somebody does not consent; datasets that show them are removed from the
            data folder.
        DatasetError: there is no picture of somebody, none passes, or the folder is not ours.
        PurposeError: weights that had a part in it may not be used for `export.purpose`.
        OSError: it cannot be written; what was there is unchanged.
    """
    people = people_of(library, request.person_ids, settings.datasets)
    materials = _materials(library, people, request, settings)
    _refuse_purpose(models, request, settings)
    target = request.target or default_place(library, people, request.layout.name)
    target = target.resolve()  # a link stays one, and what it leads to is exchanged
    fingerprint = sha256_of_value(_made_of(materials, request, settings, models))
    old = _current(target, fingerprint)
    if old is not None:
        _retire(target, people, request)
        return Written(target, True, old, (target / README).read_text(encoding="utf-8"))
    refuse_foreign(target)
    cutter = Cutter(library.stores.tables, models.face_pack, settings, request.size)
    tried = [
        try_pictures(material, request.layout, request.count, cutter, settings, progress)
        for material in materials
    ]
    _refuse_empty(tried, request)
    if request.layout.limits.splits and request.layout.name in settings.datasets.validation_for:
        hold_out(tried, settings.datasets.validation_share)
    with atomic.new_folder(target) as folder:
        manifest, usage = _write(folder, tried, request, settings, models, library.stores.tables)
        manifest |= {
            "fingerprint": fingerprint,
            "library": _library(library),
            "files": files_json(folder),
        }
        (folder / FILE).write_bytes(atomic.json_bytes(manifest))
        refuse_changed(library.stores.tables, materials)
        refuse_foreign(target)  # minutes went by, and somebody may have put something there
    _retire(target, people, request)
    return Written(target, False, manifest, usage)


def _materials(
    library: LibrarySnapshot, people: Sequence[Person], request: Request, settings: Settings
) -> list[Material]:
    """What there is of each person that may be shown to the consumer.

    Raises:
        NoConsentError: somebody consents nowhere; their datasets in the data folder are removed.
    """
    scopes = scopes_of(request.layout.name)
    found = list[Material]()
    for person in people:
        try:
            found.append(material_of(library, person, settings, request.rides, scopes))
        except NoConsentError:
            if not request.rides:
                withdraw(library, person.person_id, request.layout.name)
            raise
    return found


def withdraw(library: LibrarySnapshot, person_id: str, consumer: str) -> list[Path]:
    """Removes a person's datasets for a consumer from the data folder; those that were removed.

    One that holds files of somebody's own stays, and `verify` says what is wrong with it.
    """
    gone = list[Path]()
    for folder in datasets_in(library.stores.layout.datasets):
        told = _ours(folder)
        shown = {row["person_id"] for row in told["people"]} if told is not None else set()
        if told is None or person_id not in shown or told["consumer"] != consumer:
            continue
        if not strange_files(folder, told):
            atomic.remove(folder)
            gone.append(folder)
            with contextlib.suppress(OSError):  # what else is there stays
                folder.parent.rmdir()
    return gone


def _refuse_purpose(models: ModelHub, request: Request, settings: Settings) -> None:
    if settings.export.purpose != "commercial":
        return
    known = [(m["name"], m["licence"]) for m in _models(models, request, settings)]
    if fault := purpose_fault(settings.export.purpose, known):
        raise PurposeError(f"Nothing was written: {fault}.")


def _retire(target: Path, people: Sequence[Person], request: Request) -> None:
    """Removes the same people's export of before they were called otherwise.

    It stays where somebody put files of their own into it; `verify` names it.
    """
    if request.target is not None:
        return
    _, _, short = target.parent.name.rpartition("-")
    whose = {person.person_id for person in people}
    for named in sorted(target.parents[1].glob(f"*-{short}")):
        old = named / target.name
        told = None if named == target.parent else _ours(old)
        same = told is not None and whose == {row["person_id"] for row in told["people"]}
        if told is not None and same and not strange_files(old, told):
            atomic.remove(old)
            with contextlib.suppress(OSError):  # what else is there stays
                named.rmdir()


def default_place(library: LibrarySnapshot, people: Sequence[Person], consumer: str) -> Path:
    """Where the dataset of some people lies, by name and id, so that two of one name are apart."""
    ids = [person.person_id for person in people]
    short = ids[0][:8] if len(ids) == 1 else sha256_of_value(sorted(ids))[:8]
    names = "+".join(person.slug[:24] for person in people[:4])
    return library.stores.layout.datasets / f"{names}-{short}" / consumer


def refuse_foreign(target: Path) -> None:
    """An export takes the place of an older one, and of nothing else.

    Raises:
        DatasetError: something else is there, or somebody put files of their own into it.
    """
    if not target.exists() and not target.is_symlink():
        return
    if target.is_dir() and not any(target.iterdir()):
        return
    told = _ours(target)
    if told is None:
        raise DatasetError(
            f"{printable(str(target))} is there already and is no dataset that this program wrote; "
            "name another folder with --out, or move it away."
        )
    strange = strange_files(target, told)
    if strange:
        raise DatasetError(
            f"{printable(str(target))} holds {counted(len(strange), 'file')} that this program did "
            f"not write, such as {printable(strange[0])}; a new export would take their place: "
            "move them away, or name another folder with --out."
        )


def _ours(folder: Path) -> dict[str, Any] | None:
    """The manifest of a dataset that this program wrote; None of anything else."""
    try:
        told = read_manifest(folder)
    except ManifestError:
        return None
    return told if told.get("kind") == KIND else None


def strange_files(folder: Path, told: Mapping[str, Any]) -> list[str]:
    """Files in an export that neither it nor a trainer put there, relative to it.

    Args:
        folder: of the export.
        told: its manifest.
    """
    known = {FILE, *(row["file"] for row in told["files"])}
    there = (path for path in sorted(folder.rglob("*")) if path.is_symlink() or path.is_file())
    names = (path.relative_to(folder).as_posix() for path in there)
    return [name for name in names if name not in known and not LEFT_BY_TRAINERS.search(name)]


def _made_of(
    materials: Sequence[Material], request: Request, settings: Settings, models: ModelHub
) -> dict[str, Any]:
    """Everything that an export depends on, as JSON-able values."""
    made = {
        "code": CODE,
        "consumer": request.layout.name,
        "limits": _parts_json(request.layout),
        "people": [person_json(material.person) for material in materials],
        "sources": _sources(materials),
        "skipped": _skipped(materials),
        "tables": [dict(material.versions) for material in materials],
        "models": {"face_pack": models.digest("face_pack"), **_captioner(request, settings)},
        "settings": chosen(settings, SHAPING),
        "size": request.size,
        "count": request.count,
        "captions": request.captions,
        **_consent_of(materials),
    }
    return json.loads(json.dumps(made))  # as it is read back: tuples are lists


def _consent_of(materials: Sequence[Material]) -> dict[str, Any]:
    """What was consented to; nothing while consent is not required."""
    told = [one for one in materials if one.consents is not None]
    return {"consent": [row for one in told for row in _consents(one)]} if told else {}


def _consents(material: Material) -> list[dict[str, Any]]:
    who = material.person.person_id
    verdicts = sorted((material.consents or {}).items())
    return [{"person_id": who, "source_id": name, **verdict_json(one)} for name, one in verdicts]


def shown_consent(materials: Sequence[Material], consumer: str) -> dict[str, Any]:
    """What the manifest of a dataset says of consent: ids of events, and no words of anybody."""
    told = _consent_of(materials)
    if not told:
        return dict(UNTRACKED_JSON)
    return {"tracked": True, "scopes": list(scopes_of(consumer)), "sources": told["consent"]}


def _captioner(request: Request, settings: Settings) -> dict[str, Any]:
    """The captioner, where its words are wanted."""
    wanted = request.captions == "model"
    return {"captioner": captioner_facts(settings.datasets)} if wanted else {}


def _sources(materials: Sequence[Material]) -> list[dict[str, Any]]:
    return [
        source_json(material.person, material.sources[name])
        for material in materials
        for name in sorted(material.sources)
    ]


def _skipped(materials: Sequence[Material]) -> list[dict[str, str]]:
    return [
        {"person_id": m.person.person_id, "source_id": s.source_id, "reason": s.sentence}
        for m in materials
        for s in m.skipped
    ]


def _current(target: Path, fingerprint: str) -> dict[str, Any] | None:
    """The manifest of an export that is made of the same and whole, else None."""
    try:
        told = read_manifest(target)
    except ManifestError:
        return None
    whole = told.get("fingerprint") == fingerprint and files_json(target) == told["files"]
    return told if whole else None


def _refuse_empty(tried: Sequence[Tried], request: Request) -> None:
    """Nothing is written of somebody of whom no picture is fit, where any is wanted."""
    least = min(limits.least for limits in parts_of(request.layout).values())
    for one in tried:
        if one.passed or not least:
            continue
        name, left = one.material.person.name, one.not_written()
        if not left:
            raise DatasetError(f"No picture of {name} may be shown: {why_not_chosen(one.order)}.")
        raise DatasetError(
            f"None of the {len(left)} pictures of {name} that were tried is fit for "
            f"{request.layout.name}. The first: {left[0].sentence}"
        )


def _write(
    folder: Path,
    tried: Sequence[Tried],
    request: Request,
    settings: Settings,
    models: ModelHub,
    tables: TableStore,
) -> tuple[dict[str, Any], str]:
    """Everything of the folder but the manifest, and what the manifest says of it."""
    layout = request.layout
    pictures = [picture for one in tried for picture in one.passed]
    captions = captions_of(pictures, request.captions, settings)
    dataset = _dataset(tried, captions, request, settings, tables)
    files, usage = layout.write(folder, dataset), layout.usage(dataset)
    faults = _faults(tried, layout)
    facts = _models(models, request, settings)
    gate_version = deciding_settings(settings, emphasised=False)[:12]
    accounts = [_account(one, files, faults) for one in tried]
    write_about(folder, accounts, layout, facts, gate_version)
    (folder / README).write_text(readme(accounts, layout, usage), encoding="utf-8")
    manifest = {
        "schema_version": SCHEMA_VERSION,
        "kind": KIND,
        "consumer": layout.name,
        "limits": _parts_json(layout),
        **_contents(tried, files, captions),
        "lacking": [{"consumer": part, **vars(fault)} for part, fault in faults],
        "size": request.size,
        "count": request.count or settings.datasets.count,
        "captions": request.captions,
        "settings": chosen(settings, all_but("datasets", "consumers")),
        "settings_sha256": sha256_of_value(chosen(settings, SHAPING)),
        "gate_version": gate_version,
        "vision_spaces": sorted({one.material.space for one in tried}),
        "models": facts,
        "consent": shown_consent([one.material for one in tried], layout.name),
    }
    return manifest, usage


def _dataset(
    tried: Sequence[Tried],
    captions: Mapping[str, str],
    request: Request,
    settings: Settings,
    tables: TableStore,
) -> Dataset:
    """What the layout is handed."""
    fit: dict[str, frozenset[str]] = {}
    for one in tried:
        for part, keys in one.fit().items():
            fit[part] = fit.get(part, frozenset()) | keys
    sources = {name: source for one in tried for name, source in one.material.sources.items()}
    return Dataset(
        people=[one.material.person for one in tried],
        pictures=[picture for one in tried for picture in one.passed],
        captions=captions,
        size=request.size,
        repeats=settings.datasets.repeats,
        prompt=settings.datasets.caption,
        fit=fit,
        sources=[sources[name] for name in sorted(sources)],
        rides=MeasuredRides(tables, VideoRegistry(tables.layout)),
    )


def _faults(tried: Sequence[Tried], layout: Layout) -> list[tuple[str, SetFault]]:
    """What each consumer misses in the pictures of somebody, with its name."""
    return [
        (part, fault)
        for one in tried
        for part, limits in parts_of(layout).items()
        for fault in check_set(one.pictures, one.parts.get(part, ()), limits)
    ]


def _models(models: ModelHub, request: Request, settings: Settings) -> list[dict[str, Any]]:
    """Every model that had a part in it: role, name, digest and licence."""
    facts = [
        {"role": m.role, "name": m.name, "sha256": m.sha256, "licence": m.licence}
        for m in model_facts(models)
    ]
    return [*facts, *_captioner(request, settings).values()]


def _parts_json(layout: Layout) -> dict[str, dict[str, Any]]:
    """The limits of each consumer of a layout, by its name."""
    return {part: limits_json(limits) for part, limits in parts_of(layout).items()}


def _account(
    one: Tried, files: Mapping[str, Sequence[str]], faults: Sequence[tuple[str, SetFault]]
) -> Account:
    person_id = one.material.person.person_id
    lacking = [
        f"{part}: {fault.sentence}" for part, fault in faults if fault.person_id == person_id
    ]
    left, looked = one.not_written(), one.looked()
    return Account(one.material, one.passed, files, left, looked, one.order, lacking)


def _contents(
    tried: Sequence[Tried], files: Mapping[str, Sequence[str]], captions: Mapping[str, str]
) -> dict[str, Any]:
    """People, sources, and every face: written, refused, or not chosen."""
    return {
        "people": [
            {**person_json(one.material.person), "pictures": len(one.passed)} for one in tried
        ],
        "sources": _shown_sources(tried),
        "skipped": _skipped([one.material for one in tried]),
        "pictures": [row for one in tried for row in _written(one, files, captions)],
        "not_written": not_written_json(left for one in tried for left in one.not_written()),
        "not_chosen": [row for one in tried for row in one.not_chosen()],
    }


def _shown_sources(tried: Sequence[Tried]) -> list[dict[str, Any]]:
    shown = [(p.person.person_id, p.source.source_id) for one in tried for p in one.passed]
    return [
        {**row, "pictures": shown.count((row["person_id"], row["source_id"]))}
        for row in _sources([one.material for one in tried])
    ]


def _written(
    one: Tried, files: Mapping[str, Sequence[str]], captions: Mapping[str, str]
) -> list[dict[str, Any]]:
    return [
        {
            **picture_json(p, files.get(p.key, ()), captions.get(p.key), one.cut[place_of(p)]),
            "fit": sorted(part for part, keys in one.fit().items() if p.key in keys),
        }
        for p in one.passed
    ]


def _library(library: LibrarySnapshot) -> dict[str, Any]:
    """Of which library, so that it can be said later what has changed since."""
    seq, head = library.stores.ledger.head_of(library.history)
    return {"ledger_events": seq, "ledger_head": head}
