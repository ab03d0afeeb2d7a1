"""Reading everything in a store: whether each record and payload is what was written, and whether what they name is there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from dovetail import digest
from dovetail.errors import Corrupt, StoreError
from dovetail.ledger import generations, layout
from dovetail.ledger.artifacts import FOREIGN, NOT_WRITTEN
from dovetail.ledger.code_packages import ARCHIVE, digest_of, unpacked
from dovetail.ledger.ledger import Ledger
from dovetail.ledger.liveness import read_changes
from dovetail.ledger.records import parse
from dovetail.ledger.runs import plan_from
from dovetail.ledger.shapes import odd_field
from dovetail.values.artifacts import Manifest
from dovetail.values.names import is_name

ASIDE = "damaged"
_RECORDS = ("names", "runs", "cache", "changes", "deployments", "schedules", "ticks")


@dataclass(frozen=True)
class Finding:
    """`kind`: `unreadable` (a record), `damaged` (content), or `missing` (what a record names). `moved_to`: where repair put it."""

    kind: str
    path: str
    problem: str
    moved_to: str | None = None


@dataclass(frozen=True)
class Verified:
    """`void`: versions that no committed step run names. `unfinished`: artifacts whose writer has not ended, or died. Both are harmless."""

    findings: tuple[Finding, ...]
    records: int
    artifacts: int
    bytes: int
    void: int
    unfinished: int

    @property
    def is_sound(self) -> bool:
        """Whether nothing is wrong, or nothing is left that is."""
        return all(finding.moved_to is not None for finding in self.findings)


def verify(ledger: Ledger, *, repair: bool = False) -> Verified:
    """Read everything. `repair` moves what cannot be read aside, to `damaged/…` with its path, and deletes nothing.

    What is moved aside is as if it had never been written: a step whose result is gone runs again. Raises NewerLayout.
    """
    verification = _Verification(ledger, repair=repair)
    verification.verify()
    return Verified(
        tuple(verification.findings),
        verification.records,
        len(verification.present),
        verification.bytes,
        verification.void,
        verification.unfinished,
    )


class _Verification:
    def __init__(self, ledger: Ledger, *, repair: bool) -> None:
        self._ledger = ledger
        self._store = ledger.store
        self._repair = repair
        self.findings: list[Finding] = []
        self.records = self.bytes = self.void = self.unfinished = 0
        self.present: set[str] = set()
        self._told: set[str] = set()  # digests and paths of which a finding tells already
        self._items: list[tuple[str, str]] = []  # a list's manifest, and an item that it names
        self._named: set[tuple[str, int]] = set()  # versions that a committed step run names

    def verify(self) -> None:
        self._format()
        for folder in _RECORDS:
            for path, entry in list(self._store.walk(folder)):
                if entry.name.endswith(".json"):
                    self.records += 1
                    self._record(path)
        for entry in list(self._store.scan("artifacts")):
            self._artifact(entry.name)
        for path, item in self._items:
            self._content(path, item, f"Artifact {path.split('/')[1][:12]} is a list with the item")
        for entry in list(self._store.scan("code")):
            self._package(entry.name)
        deleted = {change["run"] for _, change in read_changes(self._ledger) if change.get("delete") and "run" in change}
        for run_id in self._run_ids():
            if run_id not in deleted:
                self._run(run_id)
        for folder in ("names/artifacts", "deployments"):
            for path, entry in list(self._store.walk(folder)):
                if entry.name.endswith(".json"):
                    self._version(path)

    # -- what cannot be read -------------------------------------------------------------------------------------------

    def _format(self) -> None:
        try:
            self._ledger.records.format()
        except Corrupt as error:
            self._found("unreadable", layout.FORMAT, str(error))

    def _record(self, path: str) -> None:
        try:
            record = parse(path, self._store.read(path))
            odd = odd_field(path, record)
            if path.endswith("/plan.json") and "/steps/" not in path:
                plan_from(path, record)
        except FileNotFoundError:
            return  # deleted while we looked
        except Corrupt as error:
            self._found("unreadable", path, _without_cure(error))
        except OSError as error:
            self._found("unreadable", path, f"The record {path} cannot be read: {error}.", movable=False)
        else:
            if odd is not None:
                self._found("unreadable", path, f"The record {path} is not what was written: {odd}.")

    def _artifact(self, name: str) -> None:
        folder = layout.artifact(name)
        place = generations.place(folder, generations.for_reading(self._store, folder, "manifest.json"))
        path = f"{place}/manifest.json"
        try:
            manifest = _manifest(name, path, self._store.read(path))
        except FileNotFoundError:
            self.unfinished += any(not inside.startswith(("used/", "condemned/")) for inside in self._inside(folder))
            return
        except Corrupt as error:
            self._told.add(name)
            self._found("damaged", path, str(error))
            return
        self._items += [(path, item) for item in manifest.items or ()]
        damage = list(self._ledger.artifacts.damage(manifest, f"{place}/data"))
        if not damage:
            self.present.add(name)
            self.bytes += manifest.size
            return
        self._told.add(name)
        moved = (
            self._move_aside(path) if self._repair else None
        )  # first, so that no reader finds an artifact with half of its files
        for file, problem in damage:
            there = problem in (NOT_WRITTEN, FOREIGN)
            aside = self._move_aside(file) if self._repair and there else moved
            self.findings.append(Finding("damaged", file, f"Artifact {name[:12]}: the file {file} {problem}.", aside))

    def _inside(self, folder: str) -> Iterator[str]:
        for path, _ in self._store.walk(folder):
            yield path[len(folder) + 1 :]

    def _package(self, name: str) -> None:
        folder = layout.code(name)
        path = f"{generations.place(folder, generations.for_reading(self._store, folder, ARCHIVE))}/{ARCHIVE}"
        try:
            files, _ = unpacked(path, self._store.read(path))
        except FileNotFoundError:
            return
        except Corrupt as error:
            self._told.add(name)
            self._found("damaged", path, _without_cure(error))
            return
        if digest_of(files) != name:
            self._told.add(name)
            self._found("damaged", path, f"The code package {path} is not what was written.")

    # -- what is not there ---------------------------------------------------------------------------------------------

    def _run_ids(self) -> Iterator[str]:
        for day in list(self._store.scan("runs")):
            yield from (entry.name for entry in list(self._store.scan(f"runs/{day.name}")) if layout.is_run_id(entry.name))

    def _run(self, run_id: str) -> None:
        base = layout.run(run_id)
        header, finished = self._read(f"{base}/run.json"), self._read(f"{base}/finished.json")
        if header is None and finished is None:
            return  # its writer died before anybody could see it
        for name, found in (("run.json", header), ("plan.json", self._read(f"{base}/plan.json"))):
            if found is None:
                self._missing(f"{base}/{name}", f"Run {run_id} has no {name}.")
        package = (finished or header or {}).get("package")
        if package is not None and self._store.stat(self._archive(package)) is None and package not in self._told:
            self._missing(self._archive(package), f"Run {run_id} kept its code in package {package[:12]}, which is not there.")
        self._outcomes(run_id, (finished or {}).get("steps", {}))
        for name, number in (self._read(f"{base}/started.json") or {}).get("models", {}).items():
            if is_name(name) and number is not None:
                self._claimed(
                    f"{layout.model_versions(name)}/{number}.json", f"Run {run_id} works on version {number} of model '{name}'"
                )

    def _archive(self, package: str) -> str:
        folder = layout.code(package)
        return f"{generations.place(folder, generations.for_reading(self._store, folder, ARCHIVE))}/{ARCHIVE}"

    def _outcomes(self, run_id: str, finished: Mapping[str, Any]) -> None:
        folder = f"{layout.run(run_id)}/steps"
        there = {entry.name for entry in self._store.scan(folder) if entry.is_folder}
        for step in sorted({*there, *finished}):
            path = f"{folder}/{step}/outcome.json"
            outcome = self._read(path)
            if outcome is not None:
                self._outcome(path, f"Step '{step}' of run {run_id}", outcome)
            if step in finished and outcome is None:
                self._missing(path, f"Run {run_id} ended with step '{step}', whose outcome is not there.")
            elif outcome is not None and step in finished and finished[step]["status"] != outcome["status"]:
                problem = (
                    f"Run {run_id} ended with step '{step}' as {finished[step]['status']}; its outcome says {outcome['status']}."
                )
                self._found("damaged", path, problem, movable=False)

    def _outcome(self, path: str, who: str, outcome: Mapping[str, Any]) -> None:
        outputs = outcome.get("outputs", {})
        for output in (*outputs.values(), *outcome.get("saved", ())):
            if output.get("artifact") is not None:
                name, number = output["artifact"], output["version"]
                self._named.add((name, number))
                self._claimed(f"{layout.artifact_name(name)}/{number}.json", f"{who} made version {number} of artifact '{name}'")
        for name, output in outputs.items():
            self._content(path, output["digest"], f"{who} gave '{name}'")
        for saved in outcome.get("saved", ()):
            self._content(path, saved["digest"], f"{who} saved '{saved['artifact']}'")

    def _content(self, path: str, found: str, who: str) -> None:
        if found in self.present or found in self._told:
            return
        manifest = self._ledger.artifacts.find(found)  # it may have been written since
        if manifest is None:
            self._told.add(found)
            self._missing(path, f"{who}, which is artifact {found[:12]} and not there.")
            return
        self.present.add(found)

    def _claimed(self, path: str, who: str) -> None:
        if self._store.stat(path) is None:
            self._missing(path, f"{who}, whose record is not there.")

    def _version(self, path: str) -> None:
        record = self._read(path)
        if record is None:
            return
        number = int(path.rpartition("/")[2].removesuffix(".json"))
        if record.get("run") is None:
            kind = "Deployment" if path.startswith("deployments/") else "Artifact"
            self._content(path, record["digest"], f"{kind} '{record['name']}', version {number}, is")
        elif (record["name"], number) not in self._named:
            self.void += 1

    # -- telling -------------------------------------------------------------------------------------------------------

    def _read(self, path: str) -> dict[str, Any] | None:
        """None too for a record of which a finding tells already."""
        if path in self._told:
            return None
        try:
            return self._ledger.records.find(path)
        except (ConnectionError, TimeoutError):
            raise  # the store could not be asked, which says nothing of what is in it
        except (Corrupt, OSError):
            return None

    def _missing(self, path: str, problem: str) -> None:
        if path not in self._told:
            self._found("missing", path, problem, movable=False)

    def _found(self, kind: str, path: str, problem: str, *, movable: bool = True) -> None:
        if kind == "unreadable":
            self._told.add(path)
        moved = self._move_aside(path) if self._repair and movable else None
        self.findings.append(Finding(kind, path, problem, moved))

    def _move_aside(self, path: str) -> str:
        data, number, target = self._store.read(path), 0, f"{ASIDE}/{path}"
        while not self._store.create(target, data) and self._store.read(target) != data:
            number += 1
            target = f"{ASIDE}/{path}.{number}"
        self._store.delete(path)
        return target


def _manifest(name: str, path: str, data: bytes) -> Manifest:
    try:
        manifest = Manifest.from_json(parse(path, data))
    except Corrupt as error:
        raise Corrupt(_without_cure(error)) from error
    except (KeyError, TypeError, ValueError, AttributeError, StoreError) as error:
        raise Corrupt(f"The manifest of artifact {name[:12]} cannot be read: {error!r}.") from error
    if digest.of_json(manifest.covered()) != name:
        raise Corrupt(f"The manifest of artifact {name[:12]} is not the one that was written.")
    return manifest


def _without_cure(error: Corrupt) -> str:
    return str(error).partition(" `dovetail store verify")[0]
