"""Numbered versions of names: artifacts, models, stages of a model."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from dovetail.errors import Corrupt, NameRefused, NotFound
from dovetail.ledger import layout
from dovetail.ledger.records import Records
from dovetail.ledger.runs import RunRecords
from dovetail.values.names import folded

_EXCLUSIVE = ("staging", "production")
Decide = Callable[[Mapping[int, str]], Mapping[str, Any]]


class Versions:
    """Claims and reads version numbers. A version that a step run wrote counts only if that run's outcome names it."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self._names: dict[str, str] = {}

    def claim_artifact(self, name: str, record: Mapping[str, Any]) -> int:
        return self._claim(layout.artifact_name(name), "artifact", name, record)

    def claim_model(self, name: str, record: Mapping[str, Any]) -> int:
        return self._claim(layout.model_versions(name), "model", name, record)

    def seen(self, name: str, number: int) -> None:
        """Say what is known of an artifact's versions already: the search for the next number begins behind it."""
        self._names[layout.artifact_name(name)] = name
        self._records.seen(layout.artifact_name(name), number)

    def seen_of(self, name: str) -> int:
        """The newest version that this process knows of; 0 for none."""
        return self._records.last_seen(layout.artifact_name(name)) if layout.artifact_name(name) in self._names else 0

    def _claim(self, folder: str, kind: str, name: str, record: Mapping[str, Any]) -> int:
        known = self._names.get(folder) or self._first_name(folder)
        _refuse_twin(kind, name, known)
        number = self._records.append(folder, {"name": name, **record}, above=0 if known is None else 1)
        if known is None and number > 1:
            _refuse_twin(kind, name, self._first_name(folder))  # another writer was first, perhaps with another name
        self._names[folder] = name
        return number

    def _first_name(self, folder: str) -> str | None:
        """The name as its first version has it; None where there is none yet."""
        try:
            first = self._records.find(f"{folder}/1.json")
        except Corrupt:
            first = next((record for _, record in self._records.newest(folder)), None)
        return first["name"] if first is not None else None

    def artifact(self, name: str, version: int) -> dict[str, Any] | None:
        """A version's record, if it counts."""
        record = self._records.find(f"{layout.artifact_name(name)}/{version}.json")
        return record if record is not None and self.counts(record, version) else None

    def artifacts(self, name: str) -> Iterator[tuple[int, dict[str, Any]]]:
        """The versions of an artifact that count, newest first."""
        for number, record in self._records.newest(layout.artifact_name(name)):
            if self.counts(record, number):
                yield number, record

    def counts(self, record: Mapping[str, Any], number: int) -> bool:
        run_id, invocation = record.get("run"), record.get("invocation")
        if run_id is None:
            return True  # saved by a client, outside any step
        if not layout.is_run_id(str(run_id)):
            return False  # from elsewhere
        try:
            outcome = RunRecords(self._records, run_id).outcome(str(invocation))
        except Corrupt:
            return False  # `store verify` tells of it
        named = (outcome or {}).get("outputs", {}).values()
        logged = (outcome or {}).get("saved", ())
        return any(output.get("artifact") == record["name"] and output.get("version") == number for output in (*named, *logged))

    def artifact_names(self) -> list[str]:
        return sorted(self._true_names("names/artifacts", ""))

    def model_names(self) -> list[str]:
        return sorted(self._true_names("names/models", "/versions"))

    def _true_names(self, folder: str, below: str) -> Iterator[str]:
        self._records.format()  # refuses a store that a later version wrote
        for entry in self._records.store.scan(folder):
            first = next((record for _, record in self._records.newest(f"{folder}/{entry.name}{below}")), None)
            if first is not None:
                yield first["name"]

    def model(self, name: str, version: int) -> dict[str, Any] | None:
        record = self._records.find(f"{layout.model_versions(name)}/{version}.json")
        return record if record is not None and self._claimed(record, version) else None

    def models(self, name: str) -> Iterator[tuple[int, dict[str, Any]]]:
        """The versions of a model that count, newest first: a run that died before it was recorded leaves none."""
        for number, record in self._records.newest(layout.model_versions(name)):
            if self._claimed(record, number):
                yield number, record

    def _claimed(self, record: Mapping[str, Any], number: int) -> bool:
        if not layout.is_run_id(str(record.get("run"))):
            return False
        try:
            started = RunRecords(self._records, record["run"]).started()
        except Corrupt:
            return False  # `store verify` tells of it
        return bool((started or {}).get("models", {}).get(record["name"]) == number)

    def stages(self, name: str) -> dict[int, str]:
        """The stage that each version has been given: the log replayed in order; who loses a stage is archived."""
        return _stages(record for _, record in reversed(list(self.stage_log(name))))

    def stage_log(self, name: str) -> Iterator[tuple[int, dict[str, Any]]]:
        return self._records.newest(layout.model_stages(name))

    def promote(self, name: str, version: int, stage: str, decide: Decide) -> int:
        """Create the next record of the model's stage log; gives its number.

        `decide` is given the stages as they are and gives what is kept of the decision, or raises; it is asked anew with what won, whenever
        another record came first. Raises NotFound for a version that is not there, or goes meanwhile.
        """
        folder = layout.model_stages(name)
        number = max(self._records.numbers(folder), default=0)
        log = [record for _, record in reversed(list(self._records.newest(folder)))]
        while True:
            self._refuse_gone(name, version)
            said = decide(_stages(log))
            number += 1
            if self._records.create(f"{folder}/{number}.json", {"name": name, "version": version, "stage": stage, "at": time.time(), **said}):
                break
            with contextlib.suppress(Corrupt):
                won = self._records.find(f"{folder}/{number}.json")
                log += [won] if won is not None else []
        try:
            self._refuse_gone(name, version)
        except NotFound:  # its run was deleted at the same moment: no stage may be held by what is not there
            self._records.append(folder, {"name": name, "version": version, "stage": "archived", "at": time.time(), "why": "deleted"}, above=number)
            raise
        return number

    def refuse(self, name: str, version: int, stage: str, why: str, said: Mapping[str, Any]) -> None:
        """Keep that a promotion was asked for and refused; no stage changes by it."""
        self._records.append(layout.model_stages(name), {"name": name, "version": version, "stage": stage, "at": time.time(), "refused": why, **said})

    def _refuse_gone(self, name: str, version: int) -> None:
        if self.model(name, version) is None:
            known = [str(number) for number, _ in self.models(name)]
            cure = "" if known else "A run of a pipeline with Model(name=…) makes a version."
            raise NotFound("version", f"{version} of model '{name}'", known, cure)

    def approve(self, name: str, version: int, record: Mapping[str, Any]) -> int:
        """Append to the model's log of approvals. Raises NotFound for a version that is not there."""
        self._refuse_gone(name, version)
        return self._records.append(layout.model_approvals(name), {"name": name, "version": version, "at": time.time(), **record})

    def approvals(self, name: str, version: int, stage: str | None = None) -> list[dict[str, Any]]:
        """What each person said last of a version, for one stage or for any, in the order in which they first spoke."""
        said: dict[tuple[str, str], dict[str, Any]] = {}
        for _, record in reversed(list(self._records.newest(layout.model_approvals(name)))):
            if record["version"] == version and stage in (None, record["stage"]):
                said[folded(record["by"]), record["stage"]] = record
        return list(said.values())

    def outputs(self, name: str, version: int) -> dict[str, dict[str, Any]]:
        """What the run that made a version gave, by output; of two with one name, the later step's. Raises NotFound."""
        self._refuse_gone(name, version)
        run = RunRecords(self._records, (self.model(name, version) or {})["run"])
        finished = run.finished()
        steps = finished["steps"].values() if finished is not None else (run.outcome(step.invocation) or {} for step in run.plan().steps)
        return {output: record for step in steps for output, record in (step.get("outputs") or {}).items()}

    def output_of(self, name: str, version: int, output: str) -> dict[str, Any]:
        """Raises NotFound."""
        outputs = self.outputs(name, version)
        if output not in outputs:
            raise NotFound(f"artifact of version {version} of model '{name}'", output, outputs)
        return outputs[output]

    def resolve_model(self, name: str, version: int | str | None) -> int:
        """The number of a version given as a number, as a stage, or as None for the newest. Raises NotFound."""
        numbers = sorted(number for number, _ in self.models(name))
        if not numbers:
            raise NotFound("model", name, self.model_names(), "A run of a pipeline with Model(name=…) makes its first version.")
        if version is None:
            return numbers[-1]
        if isinstance(version, int) or version.isdecimal():
            if int(version) not in numbers:
                raise NotFound(f"version of model '{name}'", str(version), map(str, numbers))
            return int(version)
        held = [number for number, stage in self.stages(name).items() if stage == version and number in numbers]
        if not held:
            cure = f"Promote one: dovetail models promote {name} {numbers[-1]} {version}."
            raise NotFound(f"version of model '{name}' in stage", version, (), cure)
        return max(held)


def _stages(log: Iterable[Mapping[str, Any]]) -> dict[int, str]:
    held: dict[int, str] = {}
    for record in log:
        stage = record["stage"]
        if "refused" in record:
            continue
        if stage in _EXCLUSIVE:
            held = {version: "archived" if other == stage else other for version, other in held.items()}
        held[record["version"]] = stage
    return held


def _refuse_twin(kind: str, name: str, known: str | None) -> None:
    if known is not None and known != name:
        raise NameRefused(f"The {kind} name '{name}' differs only in case from '{known}', which exists; on some stores the two would be one.")
