"""A catalog in two files: `catalog.jsonl`, which only grows, for programs, and `catalog.md`, made from it, for people."""

from __future__ import annotations

import dataclasses
import html
import json
import os
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import field
from pathlib import Path
from typing import Any

from dovetail_data_catalog.interface import CatalogEntry, DataCatalog

_FIELDS = {each.name for each in dataclasses.fields(CatalogEntry)}
_UNITS = ("B", "kB", "MB", "GB", "TB")


class FileCatalog(DataCatalog):
    """Keeps the catalog in a folder, such as one that a site or a wiki shows."""

    path: Path = field(default=Path("catalog"), metadata={"help": "The folder, made when the first entry is published."})
    title: str = field(default="Data catalog", metadata={"help": "The heading of the page."})

    def publish(self, entries: Sequence[CatalogEntry]) -> None:
        known = {entry.key: entry for entry in self._read()}
        news = [entry for entry in map(_plain, entries) if known.get(entry.key) != entry]
        if news:
            self._append("".join(json.dumps(dataclasses.asdict(entry), ensure_ascii=False) + "\n" for entry in news).encode())
            self._show()

    def entries(self) -> Sequence[CatalogEntry]:
        known = {entry.key: entry for entry in self._read()}
        return sorted(known.values(), key=lambda entry: (entry.name, -entry.version))

    def check(self) -> list[str]:
        folder = self.path if self.path.exists() else next(parent for parent in self.path.absolute().parents if parent.exists())
        if not folder.is_dir() or not os.access(folder, os.W_OK):
            return [f"Data catalog '{self.name}' cannot write to {folder}. Give another path, or let yourself write there."]
        lost = sum(1 for entry in self._lines() if entry is None)
        cure = f"Delete {'them' if lost > 1 else 'it'}; the next run that produces these artifacts publishes them again."
        return [f"Data catalog '{self.name}': {lost} line{'s' if lost > 1 else ''} of {self._table} cannot be read. {cure}"] if lost else []

    @property
    def _table(self) -> Path:
        return self.path / "catalog.jsonl"

    def _append(self, lines: bytes) -> None:
        """In one write, which the system does not mix with another's; a line that a writer left unfinished is ended first."""
        self.path.mkdir(parents=True, exist_ok=True)
        with open(self._table, "ab+", buffering=0) as file:
            file.seek(max(file.seek(0, os.SEEK_END) - 1, 0))
            file.write(lines if file.read(1) in (b"", b"\n") else b"\n" + lines)

    def _read(self) -> Iterator[CatalogEntry]:
        return (entry for entry in self._lines() if entry is not None)

    def _lines(self) -> Iterator[CatalogEntry | None]:
        """Each line's entry, None for one that holds none."""
        try:
            text = self._table.read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return
        yield from (_entry(line) for line in text.split("\n") if line.strip())

    def _show(self) -> None:
        """Write the page anew, once more for as long as others publish meanwhile."""
        shown = -1
        while shown != (size := self._table.stat().st_size):
            shown = size
            handle, aside = tempfile.mkstemp(prefix=".catalog", dir=self.path)
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(page(self.title, self.entries()))
            os.chmod(aside, 0o644)
            os.replace(aside, self.path / "catalog.md")


def page(title: str, entries: Sequence[CatalogEntry]) -> str:
    """The entries as Markdown: one row for the newest version of each artifact, then each with its versions."""
    versions: dict[str, list[CatalogEntry]] = {}
    for entry in entries:
        versions.setdefault(entry.name, []).append(entry)
    lines = [f"# {_cell(title)}", "", "| artifact | version | kind | size | pipeline | produced |", "| --- | --- | --- | --- | --- | --- |"]
    for entry, *_ in versions.values():
        cells = (entry.name, entry.version, entry.kind, _size(entry.size), entry.pipeline, entry.produced[:16].replace("T", " "))
        lines.append(f"| {' | '.join(_cell(cell) for cell in cells)} |")
    for name, each in versions.items():
        lines += ["", f"## {_cell(name)}", *_about(each[0])]
        lines += [f"- version {entry.version}: {_cell(entry.produced)} by {_cell(entry.run_name)}, `{entry.digest[:12]}`" for entry in each]
    return "\n".join(lines) + "\n"


def _about(entry: CatalogEntry) -> Iterator[str]:
    yield ""
    yield f"{_cell(entry.type)}, {_size(entry.size)}, made by step {_cell(entry.step)} of {_cell(entry.pipeline)}, at {_cell(entry.uri)}"
    if entry.tags:
        yield f"tags: {', '.join(map(_cell, entry.tags))}"
    yield ""
    for name, value in entry.metadata.items():
        yield f"- {_cell(name)}: {_cell(json.dumps(value, ensure_ascii=False) if not isinstance(value, str) else value)}"


def _cell(value: object) -> str:
    """In one line, and with no character that Markdown or HTML would act on."""
    text = html.escape(" ".join(str(value).split()), quote=False)
    return "".join(f"\\{character}" if character in "\\`*_{}[]()#|~!" else character for character in text)


def _size(size: float) -> str:
    unit = 0
    while size >= 1000 and unit < len(_UNITS) - 1:
        size, unit = size / 1000, unit + 1
    return f"{size:.0f} {_UNITS[unit]}" if unit == 0 else f"{size:.1f} {_UNITS[unit]}"


def _plain(entry: CatalogEntry) -> CatalogEntry:
    """As it would be read back: tags as a tuple, metadata as JSON."""
    metadata = json.loads(json.dumps(dict(entry.metadata), default=str))
    return dataclasses.replace(entry, tags=tuple(entry.tags), metadata=metadata)


def _entry(line: str) -> CatalogEntry | None:
    try:
        said: dict[str, Any] = json.loads(line)
        return _plain(CatalogEntry(**{name: value for name, value in said.items() if name in _FIELDS}))
    except (ValueError, TypeError, AttributeError):
        return None
