"""The tables of videos as DuckDB is handed them, whether they lie by themselves or in packs.

DuckDB reads a file of `fsspec` in pieces, as it reads one of the disk. An address is
`tables://ASSET/VIDEO.parquet`; nothing else can be read by one, and nothing written.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from fsspec.spec import AbstractFileSystem

from identity_pipeline.storage.catalogue.files import PROTOCOL
from identity_pipeline.storage.layout import Layout
from identity_pipeline.storage.progress.known import changed_at
from identity_pipeline.storage.video.outputs import Found, Outputs
from identity_pipeline.storage.video.packs import NAME


class TableFiles(AbstractFileSystem):
    """See the first lines."""

    protocol = PROTOCOL
    cachable = False

    def __init__(self, layout: Layout) -> None:
        """Of a data folder."""
        super().__init__()
        self._outputs = Outputs(layout)
        self._listed: dict[str, tuple[tuple[int, int], list[str]]] = {}

    def glob(self, path: str, maxdepth: int | None = None, **kwargs: Any) -> list[str]:
        """The addresses of `ASSET/*PART`, by video; an asset that is `*` stands for all."""
        del maxdepth, kwargs
        asset, _, part = _bare(path).partition("/*")
        if not part:
            return [_bare(path)] if self.exists(path) else []
        layout = self._outputs.layout
        assets = sorted(f.name for f in layout.tables.glob("*/")) if asset == "*" else [asset]
        return [address for one in assets for address in self._addresses(one, part)]

    def _addresses(self, asset: str, part: str) -> list[str]:
        """Those of all videos; DuckDB asks for the same several times a query."""
        layout = self._outputs.layout
        now = changed_at(layout.tables / asset), changed_at(layout.packs)
        then, listed = self._listed.get(f"{asset}{part}", (None, []))
        if then != now:
            listed = [f"{asset}/{v}{part}" for v in sorted(self._outputs.videos(asset, part))]
            self._listed[f"{asset}{part}"] = now, listed
        return listed

    def info(self, path: str, **kwargs: Any) -> dict[str, Any]:
        """Name and size."""
        del kwargs
        return {"name": _bare(path), "size": self._found(path).size, "type": "file"}

    def exists(self, path: str, **kwargs: Any) -> bool:
        """Whether it is there."""
        del kwargs
        try:
            return bool(self._found(path))
        except FileNotFoundError:
            return False

    def modified(self, path: str) -> datetime:
        """When it was written."""
        return datetime.fromtimestamp(self._found(path).changed_ns / 1e9, UTC)

    def _open(self, path: str, mode: str = "rb", *args: Any, **kwargs: Any) -> Any:
        del args, kwargs
        if mode != "rb":
            raise PermissionError("tables are only read here")
        return self._outputs.open(*_parts(path))

    def _found(self, path: str) -> Found:
        found = self._outputs.find(*_parts(path))
        if found is None:
            raise FileNotFoundError(path)
        return found


def _bare(path: str) -> str:
    return path.removeprefix(f"{PROTOCOL}://").strip("/")


def _parts(path: str) -> tuple[str, str, str]:
    """Asset, video and part of an address."""
    asset, _, file = _bare(path).partition("/")
    video_id, dot, part = file.partition(".")
    if not NAME.fullmatch(f"{asset}{dot}{part}"):
        raise FileNotFoundError(path)
    return asset, video_id, dot + part
