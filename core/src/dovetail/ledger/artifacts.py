"""Artifacts by content: payload first, manifest last; the same value is stored once."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from dovetail import digest
from dovetail.errors import Corrupt, MaterializerError, StoreError
from dovetail.ledger import generations, layout
from dovetail.ledger.records import Records, dump
from dovetail.materializers.finder import Materializers
from dovetail.materializers.interface import BaseMaterializer
from dovetail.materializers.json_file import write_bytes
from dovetail.values.artifacts import ArtifactConfig, Manifest
from dovetail.values.project import cache_folder

MISSING, NOT_WRITTEN, FOREIGN = "is missing", "is not what was written", "was not written by Dovetail"  # what `damage` finds
_MANIFEST = "manifest.json"
_LARGE = 256 << 10  # bytes
_CURE = "`dovetail store verify --repair` moves it aside; run the step that made it again."


class Artifacts:
    """Saves and loads values. `materializers` are those of this process."""

    def __init__(self, records: Records, materializers: Materializers) -> None:
        self._records = records
        self._store = records.store
        self.materializers = materializers
        self._verified: dict[str, tuple[Any, ...]] = {}
        self._manifests: dict[str, Manifest] = {}
        self._places: dict[str, str] = {}
        self._aside: str | None = None
        self._far = self._store.is_far

    def save(self, value: Any, config: ArtifactConfig | None = None, materializer: type[BaseMaterializer] | None = None) -> tuple[str, Manifest]:
        """Store a value and give its digest and manifest. Raises MaterializerError for what cannot be saved."""
        staging = self._staging()
        data = f"{staging}/data"
        os.mkdir(data)
        try:
            saved = self.materializers.save(value, data, materializer)
            files = seal(data)
            pictures = self._pictures(value, staging, materializer)
            metadata = {**saved.metadata, **(config.metadata if config else {})}
            kind = config.artifact_type.value if config and config.artifact_type else saved.artifact_type
            manifest = Manifest(
                saved.type, saved.materializer, saved.format, files, kind, saved.pickled, saved.deterministic, metadata, pictures
            )
            return self._keep(staging, manifest), manifest
        finally:
            if os.path.isdir(staging):
                _discard(staging)

    def save_items(self, digests: Sequence[str], artifact_type: str = "data") -> tuple[str, Manifest]:
        """Store a list whose items are artifacts of their own."""
        manifest = Manifest("builtins:list", "", 1, {}, artifact_type, items=tuple(digests))
        staging = self._staging()
        try:
            return self._keep(staging, manifest), manifest
        finally:
            _discard(staging)

    def find(self, digest_: str) -> Manifest | None:
        """The manifest of an artifact that is wholly there, else None."""
        manifest = self._manifests.get(digest_)
        if manifest is None:
            record = self._manifest_record(digest_)
            if record is None:
                return None
            try:
                manifest = Manifest.from_json(record)
            except (AttributeError, KeyError, TypeError, ValueError) as error:
                raise Corrupt(f"The manifest of artifact {digest_} is damaged: {error!r}. {_CURE}") from error
            if digest.of_json(manifest.covered()) != digest_:
                raise Corrupt(f"The manifest of artifact {digest_} is not the one that was written. {_CURE}")
            self._manifests[digest_] = manifest
        return manifest

    def _manifest_record(self, digest_: str) -> dict[str, Any] | None:
        """Where each request takes long, the first generation is read before anything is asked about later ones, which are rare."""
        first = layout.artifact(digest_)
        if self._far and digest_ not in self._places:
            record = self._records.find(f"{first}/{_MANIFEST}")
            if record is not None:
                self._places[digest_] = first
                return record
            if self._place(digest_) == first:
                return None
        return self._records.find(f"{self._place(digest_)}/{_MANIFEST}")

    def get(self, digest_: str) -> Manifest:
        manifest = self.find(digest_) if digest.is_digest(digest_) else None
        if manifest is None:
            raise StoreError(f"Artifact {digest_} is not in store '{self._store.name}': it was deleted, or never written here.")
        return manifest

    def present(self, digest_: str) -> bool:
        """Whether a hit may use it: noted as used first, so that no collection that starts now deletes it."""
        self.note_use(digest_)
        if self._far and self._seen_whole(digest_):
            return True
        place = self._places[digest_] = self._for_writing(digest_)
        manifest = self._manifests.get(digest_)
        if manifest is None:
            manifest = self.find(digest_)
        elif self._store.stat(f"{place}/{_MANIFEST}") is None:
            manifest = None
        if manifest is None:
            del self._places[digest_]
            return False
        return all(self.present(item) for item in manifest.items or ())

    def _seen_whole(self, digest_: str) -> bool:
        """Whether one look at its folder shows an artifact with payload that no collection ever condemned."""
        found = {entry.name for entry in self._store.scan(layout.artifact(digest_))}
        return {_MANIFEST, "data"} <= found and "condemned" not in found

    def load(self, digest_: str, wanted: Any = None) -> Any:
        """The value, after its payload is verified. `wanted`: the class that the reader asks for."""
        manifest = self.get(digest_)
        if manifest.items is not None:
            return [self.load(item) for item in manifest.items]
        folder = self.folder(digest_)
        return self.materializers.load(
            str(folder), manifest.materializer, manifest.type, wanted, trusted=self._store.trusted, format_version=manifest.format
        )

    def folder(self, digest_: str) -> Path:
        """A local, verified, read-only folder with the payload: the store's own, or a copy in the user's cache folder."""
        manifest = self.get(digest_)
        prefix = self.payload(digest_)
        local = self._store.local_folder(prefix)
        if local is None:
            try:
                local = self._download(digest_, prefix, manifest)
            except FileNotFoundError:
                del self._places[digest_]  # this generation is being deleted; there may be another
                if self.payload(digest_) == prefix:
                    raise
                local = self._download(digest_, self.payload(digest_), manifest)
        self._verify(digest_, local, manifest)
        return local

    def payload(self, digest_: str) -> str:
        """The folder in the store that holds the payload, were it there."""
        return f"{self._place(digest_)}/data"

    def uri(self, digest_: str) -> str:
        """The payload's folder: a path where the store is local, else its place in the store."""
        payload = self.payload(digest_)
        local = self._store.local_folder(payload)
        return str(local) if local is not None else self._store.uri(payload)

    def damage(self, manifest: Manifest, payload: str) -> Iterator[tuple[str, str]]:
        """Read all of a payload: the path in the store of each file that is not what was written, and what is wrong with it."""
        wanted = {f"{payload}/{name}": entry for name, entry in manifest.files.items()}
        for path, (size, hashed) in wanted.items():
            try:
                found = self._hash_of(path)
            except FileNotFoundError:
                yield path, MISSING
            except StoreError as error:
                if isinstance(error, OSError):
                    raise  # the store could not be asked, which says nothing of the artifact
                yield path, f"cannot be in an artifact: {error}"
            else:
                if found != (size, hashed):
                    yield path, NOT_WRITTEN
        for path, _ in self._store.walk(payload):
            if path not in wanted:
                yield path, FOREIGN

    def _hash_of(self, path: str) -> tuple[int, str]:
        local = self._store.local_folder(path)
        if local is not None:
            return local.stat().st_size, digest.of_file(local)
        import tempfile

        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder) / "payload"
            self._store.fetch(path, copy)
            return copy.stat().st_size, digest.of_file(copy)

    def visualization(self, digest_: str, name: str) -> bytes:
        return self._store.read(f"{self._place(digest_)}/visualizations/{name}")

    def note_use(self, digest_: str) -> None:
        mark = generations.used_mark(layout.artifact(digest_))
        if mark not in self._places:
            generations.note_use(self._store, layout.artifact(digest_))
            self._places[mark] = ""

    def _pictures(self, value: Any, staging: str, materializer: type[BaseMaterializer] | None) -> dict[str, str]:
        if not self.materializers.draws(materializer or self.materializers.find(type(value))):
            return {}
        folder = f"{staging}/visualizations"
        os.mkdir(folder)
        return dict(self.materializers.visualizations(value, folder, materializer))

    def _staging(self) -> str:
        """A new folder, from which the store may adopt."""
        if self._aside is None or not os.path.isdir(self._aside):
            self._aside = str(self._store.staging_folder() or _temporary_folder())
        staging = f"{self._aside}/{os.getpid()}-{os.urandom(16).hex()}"
        os.mkdir(staging)
        return staging

    def _keep(self, staging: str, manifest: Manifest) -> str:
        digest_ = digest.of_json(manifest.covered())
        write_bytes(f"{staging}/{_MANIFEST}", dump(manifest.to_json()))
        stamp = _stamp(f"{staging}/data", manifest)
        if self._store.adopt(Path(staging), layout.artifact(digest_)):
            self._verified[digest_] = stamp
        else:
            self._keep_by_upload(staging, digest_, manifest)
        self._manifests[digest_] = manifest
        return digest_

    def _keep_by_upload(self, staging: str, digest_: str, manifest: Manifest) -> None:
        self.note_use(digest_)
        place = self._places[digest_] = self._for_writing(digest_)
        if _is_large(manifest) and self._store.stat(f"{place}/{_MANIFEST}") is not None:
            return
        for kind, names in (("data", manifest.files), ("visualizations", manifest.visualizations)):
            for name in names:
                self._store.create(f"{place}/{kind}/{name}", Path(f"{staging}/{kind}/{name}"))
        self._store.create(f"{place}/{_MANIFEST}", dump(manifest.to_json()))

    def _place(self, digest_: str) -> str:
        """The folder of the artifact's live generation: its own, or `g<n>` below it where earlier ones were condemned."""
        if digest_ not in self._places:
            folder = layout.artifact(digest_)
            self._places[digest_] = generations.place(folder, generations.for_reading(self._store, folder, _MANIFEST))
        return self._places[digest_]

    def _for_writing(self, digest_: str) -> str:
        """The folder of the generation that no collection has condemned by now."""
        folder = layout.artifact(digest_)
        return generations.place(folder, generations.for_writing(self._store, folder))

    def _download(self, digest_: str, prefix: str, manifest: Manifest) -> Path:
        target = cache_folder() / "payload" / digest_
        if target.is_dir():
            return target
        staging = target.with_name(f"{digest_}.{os.urandom(16).hex()}")
        staging.mkdir(parents=True)
        for path in manifest.files:
            file = staging / path
            if ".." in file.relative_to(staging).parts:
                raise Corrupt(f"The manifest of artifact {digest_} names the file {path!r}, which leaves its folder.")
            file.parent.mkdir(parents=True, exist_ok=True)
            self._store.fetch(f"{prefix}/{path}", file)
            file.chmod(0o444)
        try:
            staging.rename(target)
        except OSError:
            _discard(staging)  # another process was first
        return target

    def _verify(self, digest_: str, folder: Path, manifest: Manifest) -> None:
        try:
            stamp = _stamp(folder, manifest)
        except FileNotFoundError as error:
            raise Corrupt(f"Artifact {digest_} misses its file '{error.filename}'. {_CURE}") from None
        if self._verified.get(digest_) == stamp:
            return
        for path, (size, hashed) in manifest.files.items():
            file = f"{folder}/{path}"
            if os.path.getsize(file) != size or digest.of_file(file) != hashed:
                raise Corrupt(f"Artifact {digest_}: the file '{path}' is not what was written. {_CURE}")
        self._verified[digest_] = stamp


def _is_large(manifest: Manifest) -> bool:
    """Whether to look for it is cheaper than to offer it to a store that refuses what it has."""
    return len(manifest.files) > 1 or sum(size for size, _ in manifest.files.values()) > _LARGE


def _temporary_folder() -> str:
    import tempfile

    return tempfile.gettempdir()


def _discard(folder: str | Path) -> None:
    import shutil

    shutil.rmtree(folder, ignore_errors=True)


def seal(folder: str) -> dict[str, tuple[int, str]]:
    """Make every file below a folder read-only and give its size and hash, by path, sorted. Refuses links and odd names."""
    found: list[tuple[str, str]] = []
    pending = [("", folder)]
    while pending:
        prefix, place = pending.pop()
        with os.scandir(place) as entries:
            for entry in entries:
                if entry.is_symlink() or not (entry.is_file() or entry.is_dir()):
                    raise MaterializerError(f"A materializer wrote '{entry.name}', which is a link or no plain file; write files.")
                if entry.is_dir():
                    pending.append((f"{prefix}{entry.name}/", entry.path))
                else:
                    found.append((prefix + entry.name, entry.path))
    files = {}
    for path, place in sorted(found):
        os.chmod(place, 0o444)
        files[path] = (os.stat(place).st_size, digest.of_file(place))
    return files


def _stamp(folder: str | Path, manifest: Manifest) -> tuple[Any, ...]:
    stamps = []
    for path in manifest.files:
        status = os.stat(f"{folder}/{path}")
        stamps.append((path, status.st_size, status.st_mtime_ns, stat.S_IFMT(status.st_mode)))
    return tuple(stamps)
