"""An independent look at a local store: what its files say, read with nothing of Dovetail's.

    python checker.py STORE

`check(root)` gives every violation of the layout that DESIGN.md promises; `survey(root)` also gives what is allowed and worth
counting: void versions, gaps, unfinished runs, what lies aside.
"""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from blake3 import blake3

_RUN_ID = re.compile(r"[0-9a-hjkmnp-tv-z]{26}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_DAY = re.compile(r"\d{4}-\d\d-\d\d")
_TOP = {"format.json", "artifacts", "code", "names", "runs", "cache", "changes", "deployments", "schedules", "ticks", "tmp", "canary", "clock", "damaged"}
_FINAL = {"completed", "cached", "failed", "skipped", "interrupted", "cancelled"}
_OF_A_RUN = {"run.json", "plan.json", "started.json", "finished.json", "cancel.json", "engine.json", "graph.json", "failure.json", "heartbeat", "steps"}
_OF_A_STEP = {"plan.json", "node.json", "outcome.json", "expansion.json", "attempts"}


@dataclass
class Survey:
    problems: list[str] = field(default_factory=list)
    void: list[str] = field(default_factory=list)
    gaps: list[str] = field(default_factory=list)
    open_runs: list[str] = field(default_factory=list)
    aside: list[str] = field(default_factory=list)
    runs: dict[str, str] = field(default_factory=dict)
    versions: Counter[str] = field(default_factory=Counter)


def check(root: Path) -> list[str]:
    return survey(root).problems


def survey(root: Path) -> Survey:
    return _Checker(Path(root)).survey() if Path(root).exists() else Survey()


class _Checker:
    def __init__(self, root: Path) -> None:
        self.root = root
        self.found = Survey()
        self.whole: set[str] = set()
        self.outcomes: dict[tuple[str, str], dict[str, Any]] = {}
        self.named: set[tuple[str, int]] = set()

    def survey(self) -> Survey:
        self.found.aside = [str(path.relative_to(self.root)) for folder in ("tmp", "canary", "clock") for path in self._files(folder)]
        for path in self.root.iterdir():
            if path.name not in _TOP:
                self.wrong(f"{path.name} has no place in a store")
        self.format()
        for folder in self._children("artifacts"):
            self.artifact(folder)
        for day in self._children("runs"):
            for run in self._children(f"runs/{day.name}"):
                self.run(day.name, run)
        self.names()
        self.models()
        self.cache()
        for folder in self._children("code"):
            for path in (*folder.glob("package.zip"), *folder.glob("g*/package.zip")):
                self.code(folder.name, path)
        return self.found

    def wrong(self, sentence: str) -> None:
        self.found.problems.append(sentence)

    def format(self) -> None:
        record = self.record(self.root / "format.json")
        if record is None:
            if any((self.root / name).exists() for name in ("artifacts", "runs", "names", "cache")):
                self.wrong("format.json is missing though something was written")
        elif record.get("layout") != 1 or record.get("hash") != "blake3" or not re.fullmatch("[0-9a-f]{32}", str(record.get("store"))):
            self.wrong(f"format.json says {record}")

    # -- artifacts -----------------------------------------------------------------------------------------------------

    def artifact(self, folder: Path) -> None:
        if not _DIGEST.fullmatch(folder.name):
            self.wrong(f"artifacts/{folder.name} is no digest")
            return
        generations = [folder, *(child for child in folder.iterdir() if re.fullmatch(r"g\d+", child.name))]
        for place in generations:
            if (place / "manifest.json").exists() and self.generation(folder.name, place):
                self.whole.add(folder.name)
        for child in folder.iterdir():
            if child not in generations and child.name not in ("data", "visualizations", "manifest.json", "used", "condemned"):
                self.wrong(f"artifacts/{folder.name}/{child.name} has no place there")
        for day in self._children(f"artifacts/{folder.name}/used"):
            if not _DAY.fullmatch(day.name):
                self.wrong(f"artifacts/{folder.name}/used/{day.name} is no day")

    def generation(self, digest: str, place: Path) -> bool:
        manifest = self.record(place / "manifest.json")
        if manifest is None:
            return False
        before = len(self.found.problems)
        covered: dict[str, Any] = {name: manifest.get(name) for name in ("type", "materializer", "format", "files")}
        if "items" in manifest:
            covered["items"] = manifest["items"]
        text = json.dumps(covered, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogatepass")
        if blake3(text).hexdigest() != digest:
            self.wrong(f"artifact {digest}: its manifest has another digest")
        for name, (size, hashed) in manifest["files"].items():
            self.payload(digest, place / "data" / name, size, hashed)
        there = {str(path.relative_to(place / "data")) for path in (place / "data").rglob("*") if path.is_file()}
        for extra in there - set(manifest["files"]):
            self.wrong(f"artifact {digest}: {extra} is in its folder and not in its manifest")
        for name in manifest.get("visualizations", {}):
            if not (place / "visualizations" / name).is_file():
                self.wrong(f"artifact {digest}: its picture {name} is missing")
        for item in manifest.get("items", ()):
            if not (self.root / "artifacts" / item / "manifest.json").exists() and not list((self.root / "artifacts" / item).glob("g*/manifest.json")):
                self.wrong(f"artifact {digest}: its item {item} is not there")
        return len(self.found.problems) == before

    def payload(self, digest: str, file: Path, size: int, hashed: str) -> None:
        try:
            data = file.read_bytes()
        except OSError as error:
            self.wrong(f"artifact {digest}: {file.name} cannot be read: {error}")
            return
        if len(data) != size or blake3(data).hexdigest() != hashed:
            self.wrong(f"artifact {digest}: {file.name} is not what the manifest says")
        if file.stat().st_mode & 0o222:
            self.wrong(f"artifact {digest}: {file.name} can be written to")

    # -- runs ----------------------------------------------------------------------------------------------------------

    def run(self, day: str, folder: Path) -> None:
        name = folder.name
        if not _RUN_ID.fullmatch(name) or _day_of(name) != day:
            self.wrong(f"runs/{day}/{name} is no run of that day")
            return
        header, plan, finished = (self.record(folder / f"{part}.json") for part in ("run", "plan", "finished"))
        if header is None:
            if finished is not None or (folder / "steps").exists():
                self.wrong(f"run {name} has steps or an end, and no run.json")
            return
        if plan is None:
            self.wrong(f"run {name} has a run.json and no plan")
            return
        if header.get("id") != name or plan.get("run_id") != name:
            self.wrong(f"run {name}: its records name another run")
        for child in folder.iterdir():
            if child.name not in _OF_A_RUN:
                self.wrong(f"run {name}: {child.name} has no place there")
        planned = [step["node"]["invocation"] for step in plan["steps"]]
        for step in self._children(f"runs/{day}/{name}/steps"):
            self.step(name, step, planned)
        package = header.get("package")
        code = self.root / "code" / str(package)
        if package and not (code / "package.zip").is_file() and not list(code.glob("g*/package.zip")):
            self.wrong(f"run {name}: its code package {package} is not there")
        if finished is None:
            self.found.open_runs.append(name)
            self.found.runs[name] = "open"
        else:
            self.found.runs[name] = finished["status"]
            self.finished(name, finished, planned)

    def step(self, run: str, folder: Path, planned: list[str]) -> None:
        where = f"step {folder.name} of run {run}"
        if folder.name not in planned and folder.name.rpartition(".")[0] not in planned:
            self.wrong(f"{where} is in no plan")
        for child in folder.iterdir():
            if child.name not in _OF_A_STEP:
                self.wrong(f"{where}: {child.name} has no place there")
        for attempt in folder.glob("attempts/*"):
            if not attempt.name.isdecimal():
                self.wrong(f"{where}: attempt {attempt.name} is no number")
            for name in ("started.json", "ended.json"):
                if (attempt / name).exists():
                    self.record(attempt / name)
        outcome = self.record(folder / "outcome.json")
        if outcome is None:
            return
        self.outcomes[run, folder.name] = outcome
        if outcome.get("status") not in _FINAL:
            self.wrong(f"{where} has the outcome {outcome.get('status')}")
        if outcome.get("outputs") and outcome["status"] not in ("completed", "cached"):
            self.wrong(f"{where} is {outcome['status']} and has outputs")
        for output in (*outcome.get("outputs", {}).values(), *outcome.get("saved", ())):
            self.output(where, output)

    def output(self, where: str, output: dict[str, Any]) -> None:
        if output["digest"] not in self.whole:
            self.wrong(f"{where}: its output {output['artifact']} is artifact {output['digest']}, which is not whole")
        record = self.version(output["artifact"], output["version"])
        if record is None:
            self.wrong(f"{where}: version {output['version']} of {output['artifact']} has no record")
        elif record["digest"] != output["digest"] or record["name"] != output["artifact"]:
            self.wrong(f"{where}: version {output['version']} of {output['artifact']} is recorded as {record}")
        else:
            self.named.add((output["artifact"], output["version"]))

    def version(self, name: str, number: int) -> dict[str, Any] | None:
        import unicodedata

        return self.record(self.root / "names" / "artifacts" / unicodedata.normalize("NFC", name.casefold()) / f"{number}.json")

    def finished(self, run: str, record: dict[str, Any], planned: list[str]) -> None:
        if record["status"] not in _FINAL:
            self.wrong(f"run {run} has ended as {record['status']}")
        missing = [name for name in planned if name not in record["steps"]]
        if missing:
            self.wrong(f"run {run} has ended without {', '.join(missing)}")
        for name, step in record["steps"].items():
            outcome = self.outcomes.get((run, name))
            if outcome is None:
                self.wrong(f"run {run} has ended, and step {name} has no outcome")
                continue
            for part in ("status", "started", "ended"):
                if step[part] != outcome[part]:
                    self.wrong(f"run {run}: finished.json says {part} {step[part]} of step {name}, its outcome {outcome[part]}")
            if step.get("outputs", {}) != outcome.get("outputs", {}):
                self.wrong(f"run {run}: finished.json and the outcome of {name} name other outputs")
        for (other, name) in self.outcomes:
            if other == run and name not in record["steps"]:
                self.wrong(f"run {run}: finished.json leaves out step {name}")
        statuses = {step["status"] for step in record["steps"].values()}
        if record["status"] in ("completed", "cached") and statuses & {"failed", "interrupted", "cancelled"}:
            self.wrong(f"run {run} has {record['status']} with steps that did not: {sorted(statuses)}")

    # -- names, cache, code --------------------------------------------------------------------------------------------

    def names(self) -> None:
        for folder in self._children("names/artifacts"):
            numbers = self.numbered(folder)
            for number, record in numbers.items():
                self.found.versions[record["name"]] += 1
                counts = record.get("run") is None or (record["name"], number) in self.named
                if not counts:
                    self.found.void.append(f"{record['name']} {number}")
                elif record["digest"] not in self.whole:
                    self.wrong(f"version {number} of {record['name']} counts, and its artifact is not whole")

    def models(self) -> None:
        for folder in self._children("names/models"):
            versions = self.numbered(folder / "versions")
            for number, record in self.numbered(folder / "stages").items():
                if record["version"] not in versions:
                    self.wrong(f"stage {number} of model {folder.name} names version {record['version']}, which is not there")
            for number, record in versions.items():
                run = self.record(self.root / "runs" / _day_of(record["run"]) / record["run"] / "started.json") or {}
                if run.get("models", {}).get(record["name"]) != number:
                    self.found.void.append(f"model {record['name']} {number}")

    def numbered(self, folder: Path) -> dict[int, dict[str, Any]]:
        """The records of a log; what is no number or no record is wrong, a number that is left out is a gap."""
        numbers: dict[int, dict[str, Any]] = {}
        for path in sorted(folder.iterdir()) if folder.is_dir() else ():
            if not re.fullmatch(r"[1-9]\d*\.json", path.name):
                self.wrong(f"{path.relative_to(self.root)} is no numbered record")
                continue
            record = self.record(path)
            if record is not None:
                numbers[int(path.stem)] = record
        for number in range(1, max(numbers, default=0)):
            if number not in numbers:
                self.found.gaps.append(f"{folder.relative_to(self.root)} {number}")
        return numbers

    def cache(self) -> None:
        for shelf in self._children("cache"):
            for folder in self._children(f"cache/{shelf.name}"):
                if not _DIGEST.fullmatch(folder.name) or not folder.name.startswith(shelf.name):
                    self.wrong(f"cache/{shelf.name}/{folder.name} is no key of that shelf")
                for number, entry in self.numbered(folder).items():
                    self.entry(folder.name, number, entry)

    def entry(self, key: str, number: int, entry: dict[str, Any]) -> None:
        where = f"cache entry {number} of key {key}"
        outcome = self.outcomes.get((entry["run"], entry["invocation"]))
        for output in entry["outputs"].values():
            if output["digest"] not in self.whole:
                self.wrong(f"{where} names artifact {output['digest']}, which is not whole")
        if outcome is None:
            self.wrong(f"{where} names step {entry['invocation']} of run {entry['run']}, which has no outcome")
        elif outcome["status"] == "completed" and (_digests(outcome) != _digests(entry) or outcome.get("key") != key):
            self.wrong(f"{where} is not what step {entry['invocation']} of run {entry['run']} came to")

    def code(self, digest: str, path: Path) -> None:
        import zipfile

        try:
            with zipfile.ZipFile(path) as archive:
                hashed = {name: blake3(archive.read(name)).hexdigest() for name in archive.namelist() if name != "dovetail-package.json"}
        except (OSError, zipfile.BadZipFile) as error:
            self.wrong(f"{path.relative_to(self.root)} cannot be read: {error}")
            return
        text = json.dumps(hashed, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
        if blake3(text).hexdigest() != digest:
            self.wrong(f"{path.relative_to(self.root)} does not hold what its digest says")

    # -- files ---------------------------------------------------------------------------------------------------------

    def record(self, path: Path) -> dict[str, Any] | None:
        try:
            data = path.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
        try:
            found = json.loads(data)
        except ValueError as error:
            self.wrong(f"{path.relative_to(self.root)} is no record: {error}")
            return None
        if not isinstance(found, dict):
            self.wrong(f"{path.relative_to(self.root)} is no record")
            return None
        return found

    def _children(self, folder: str) -> Iterator[Path]:
        place = self.root / folder
        yield from sorted(place.iterdir()) if place.is_dir() else ()

    def _files(self, folder: str) -> Iterator[Path]:
        yield from (path for path in sorted((self.root / folder).rglob("*")) if path.is_file())


def _day_of(run: str) -> str:
    from datetime import datetime, timezone

    alphabet = "0123456789abcdefghjkmnpqrstvwxyz"
    number = 0
    for character in run[:10]:
        number = number * 32 + alphabet.index(character)
    return datetime.fromtimestamp(number / 1000, timezone.utc).strftime("%Y-%m-%d")


def _digests(record: dict[str, Any]) -> dict[str, str]:
    return {name: output["digest"] for name, output in record.get("outputs", {}).items()}


if __name__ == "__main__":
    seen = survey(Path(sys.argv[1]))
    for name in ("problems", "void", "gaps", "open_runs", "aside"):
        print(name, *getattr(seen, name), sep="\n  ")
    sys.exit(bool(seen.problems))
