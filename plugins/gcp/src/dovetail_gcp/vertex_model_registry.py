"""Mirrors model versions to the Model Registry of Vertex AI."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from dovetail.components import ModelRegistry, RegistryEntry
from dovetail.errors import NotFound
from dovetail_gcp.errors import GoogleError, Kind
from dovetail_gcp.labels import label_value, labels
from dovetail_gcp.vertex_models import Payload, VertexModels, digest_of

_HELD = ("staging", "production")  # by one version at a time; these are the aliases
_VERSION, _STAGE = "dovetail-version", "dovetail-stage"
_SAID = "dovetail: "  # begins the last line of a version's description, which says what labels cannot
_DEFAULT = "default"


class VertexModelRegistry(VertexModels, ModelRegistry):
    """`models/ID@production` is the version that Dovetail has in production; `@staging` likewise.

    Vertex AI numbers its versions by itself; the label `dovetail-version` holds Dovetail's number. A version can be deployed from the
    console: it has the files of the run's model, and `image` serves them.
    """

    def check(self) -> list[str]:
        return self._check_models("models")

    def register(self, entry: RegistryEntry) -> None:
        found = self._version(entry.name, entry.version)
        if found is None or _said(found)[1].get("run_id", entry.run_id) != entry.run_id:  # the latter is another store's
            self._upload(entry)
            return
        kept = replace(entry, stage=found["labels"].get(_STAGE, "none"))
        changed = {"versionDescription": _description(kept), "labels": self._labels(kept)}
        if changed != {name: found.get(name) for name in changed}:
            self._update(found, changed)

    def _upload(self, entry: RegistryEntry) -> None:
        payload = Payload(entry.name, entry.materializer, entry.type, entry.trusted, entry.materializers) if entry.model is not None else None
        model = {
            "displayName": entry.name[:128], "versionDescription": _description(entry), "labels": self._labels(entry),
            "containerSpec": self.container(payload),
        }  # fmt: skip
        if entry.model is not None:
            model["artifactUri"] = self.staged(entry.model, digest_of(entry.model))
        if entry.stage in _HELD:
            model["versionAliases"] = [entry.stage]
        what = self._what(entry.name)
        try:
            if not self._known(entry.name):
                self.uploaded(model, what, modelId=model_id(entry.name))
                return
        except GoogleError as error:
            if error.status != 409:  # it was made since
                raise
        self.uploaded(model, what, parentModel=self._path(entry.name))

    def set_stage(self, name: str, version: int, stage: str) -> None:
        known = list(self._versions(name))
        wanted = next((each for each in known if each["labels"][_VERSION] == str(version)), None)
        if wanted is None:
            numbers = [each["labels"][_VERSION] for each in known]
            raise NotFound(
                "version", f"{version} of model {name} in Vertex AI", numbers, "Run its pipeline, or promote it, on a stack with this registry."
            )
        for each in known:
            holds = stage in _HELD and (each["labels"].get(_STAGE) == stage or stage in each.get("versionAliases", ()))
            if each is not wanted and holds:
                self._alias(each, f"-{stage}")
                self._update(each, {"labels": {**each["labels"], _STAGE: "archived"}})
        self._alias(wanted, *(f"-{alias}" for alias in _HELD if alias != stage), *((stage,) if stage in _HELD else ()))
        self._update(wanted, {"labels": {**wanted["labels"], _STAGE: stage}})

    def versions(self, name: str) -> Sequence[RegistryEntry]:
        return sorted((self._entry(name, each) for each in self._versions(name)), key=lambda entry: entry.version, reverse=True)

    def delete(self, name: str, version: int) -> None:
        everything = list(self._all(name))
        found = [each for each in everything if each.get("labels", {}).get(_VERSION) == str(version)]
        others = [each for each in everything if each not in found]
        try:
            if found and not others:
                self.finished(self.vertex("DELETE", self._path(name), self._what(name)), self._what(name))
                return
            for each in found:
                if _DEFAULT in each.get("versionAliases", ()):  # which is not deleted
                    self._alias(others[0], _DEFAULT)
                self.finished(self.vertex("DELETE", f"{_at(each)}:deleteVersion", self._what(name)), self._what(name))
        except GoogleError as error:
            if error.kind is not Kind.ABSENT:
                raise

    def _entry(self, name: str, found: Mapping[str, Any]) -> RegistryEntry:
        description, said = _said(found)
        url = self.console(f"models/locations/{self.location}/models/{model_id(name)}/versions/{found['versionId']}")
        about = (said.get("run_id", ""), said.get("run_name", ""), said.get("pipeline", ""), description, tuple(said.get("tags", ())))
        return RegistryEntry(name, int(found["labels"][_VERSION]), found["labels"].get(_STAGE, "none"), *about, said.get("metadata", {}), url=url)

    def _version(self, name: str, version: int) -> dict[str, Any] | None:
        return next((each for each in self._versions(name) if each["labels"][_VERSION] == str(version)), None)

    def _versions(self, name: str) -> Iterator[dict[str, Any]]:
        """Those that Dovetail made; of two with one number, as of two that registered it at once, the newer."""
        seen = set()
        for each in sorted(self._all(name), key=lambda each: int(each["versionId"]), reverse=True):
            number = each.get("labels", {}).get(_VERSION)
            if number is not None and number not in seen:
                seen.add(number)
                yield each

    def _all(self, name: str) -> Iterator[dict[str, Any]]:
        try:
            yield from self.listed(f"{self._path(name)}:listVersions", "models", self._what(name))
        except GoogleError as error:
            if error.kind is not Kind.ABSENT:
                raise

    def _known(self, name: str) -> bool:
        try:
            self.vertex("GET", self._path(name), self._what(name))
        except GoogleError as error:
            if error.kind is not Kind.ABSENT:
                raise
            return False
        return True

    def _alias(self, found: Mapping[str, Any], *aliases: str) -> None:
        held = found.get("versionAliases", ())
        wanted = [alias for alias in aliases if (alias.removeprefix("-") in held) == alias.startswith("-")]
        if wanted:
            self.vertex(
                "POST",
                f"{_at(found)}:mergeVersionAliases",
                self._what(found["displayName"]),
                {"name": _at(found), "versionAliases": wanted},
                again=True,
            )

    def _update(self, found: Mapping[str, Any], changed: Mapping[str, Any]) -> None:
        self.vertex("PATCH", _at(found), self._what(found["displayName"]), {"name": _at(found), **changed}, {"updateMask": ",".join(changed)})

    def _labels(self, entry: RegistryEntry) -> dict[str, str]:
        said = {"run": entry.run_id, "run-name": entry.run_name, "pipeline": entry.pipeline}
        own = {_VERSION: str(entry.version), _STAGE: label_value(entry.stage)}
        return labels({f"dovetail-{name}": value for name, value in said.items() if value}, self.labels, own)

    def _path(self, name: str) -> str:
        return f"{self.parent()}/models/{model_id(name)}"

    def _what(self, name: str) -> str:
        return f"{self._subject()}, model '{name}',"


def model_id(name: str) -> str:
    """Of lower-case letters, digits, '_' and '-', and no other name's."""
    if re.fullmatch(r"[a-z][a-z0-9_-]{0,62}", name):
        return name
    return f"m-{re.sub(r'[^a-z0-9_-]', '-', name.lower())[:48]}-{hashlib.sha256(name.encode()).hexdigest()[:12]}"


def _at(found: Mapping[str, Any]) -> str:
    return f"{str(found['name']).partition('@')[0]}@{found['versionId']}"


def _description(entry: RegistryEntry) -> str:
    about = {
        "run_id": entry.run_id,
        "run_name": entry.run_name,
        "pipeline": entry.pipeline,
        "tags": list(entry.tags),
        "metadata": dict(entry.metadata),
    }
    said = f"{_SAID}{json.dumps({name: value for name, value in about.items() if value}, ensure_ascii=False)}"
    return f"{entry.description}\n\n{said}" if entry.description else said


def _said(found: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """What a person says of the version, and what Dovetail does."""
    text, mark, line = str(found.get("versionDescription", "")).rpartition(_SAID)
    try:
        return (text.removesuffix("\n\n"), json.loads(line)) if mark else (line, {})
    except ValueError:  # somebody has edited it
        return f"{text}{mark}{line}", {}
