"""Model versions of Dovetail as registered models of MLflow, stages as aliases."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from dovetail.components import ModelRegistry, RegistryEntry
from dovetail.errors import NotFound
from dovetail_mlflow import runs
from dovetail_mlflow.checked_connection import CheckedConnection

_VERSION, _STAGE, _TAGS, _METADATA = "dovetail.version", "dovetail.stage", "dovetail.tags", "dovetail.metadata."
_HELD = ("staging", "production")  # by one version at a time; these are the aliases
_EXPERIMENT = "dovetail models"
_LONGEST = 5000  # the longest tag that every version of MLflow takes


class MlflowModelRegistry(CheckedConnection, ModelRegistry):
    """`models:/<name>@production` is the version that Dovetail has in production; `@staging` likewise.

    MLflow numbers its versions by itself; the tag `dovetail.version` holds Dovetail's number. Each version's files and lineage
    lie with the MLflow run that stands for the pipeline run, or with one of their own in the experiment `dovetail models`.
    """

    def register(self, entry: RegistryEntry) -> None:
        self.require()
        with self.reached() as client:
            found = _version(client, entry.name, entry.version)
            if found is None or found.tags.get(runs.RUN_ID, entry.run_id) != entry.run_id:  # the latter is another store's
                _ensure_model(client, entry.name)
                self._create(client, entry)
            else:
                _say_again(client, entry, found)

    def _create(self, client: Any, entry: RegistryEntry) -> None:
        home = self._home(client, entry)
        folder = f"models/{entry.name}"
        with tempfile.TemporaryDirectory() as temporary:
            local = Path(temporary) / "model"
            said = _write(entry, local)
            client.log_artifacts(home.info.run_id, str(local), folder)
        tags = {**_tags(entry), **said, _VERSION: str(entry.version), _STAGE: entry.stage}
        source = f"{home.info.artifact_uri}/{folder}"
        client.create_model_version(entry.name, source, home.info.run_id, tags=tags, description=entry.description or None)

    def _home(self, client: Any, entry: RegistryEntry) -> Any:
        """The MLflow run that the version belongs to: the tracker's, if it has one at this address."""
        if entry.run_id:
            experiments = [each.experiment_id for each in client.search_experiments()]
            found = client.search_runs(experiments, f"tags.`{runs.RUN_ID}` = '{entry.run_id}'")
            if found:
                return min(found, key=lambda each: ("dovetail.step" in each.data.tags, each.info.start_time))
        experiment = runs.experiment_id(client, _EXPERIMENT, self.artifact_location)
        made = client.create_run(experiment, tags=_lineage(entry), run_name=f"{entry.name} {entry.version}")
        client.set_terminated(made.info.run_id, "FINISHED")
        return made

    def set_stage(self, name: str, version: int, stage: str) -> None:
        with self.reached() as client:
            wanted = _version(client, name, version)
            if wanted is None:
                known = [each.tags[_VERSION] for each in _versions(client, name)]
                raise NotFound("version", f"{version} of model {name} in MLflow", known, "Run its pipeline, or promote it, on a stack with this registry.")
            holders = _holders(client, name)
            for alias in _HELD:
                if alias != stage and holders.get(alias) == wanted.version:
                    client.delete_registered_model_alias(name, alias)
            before = holders.get(stage)
            if before is not None and before != wanted.version:
                client.set_model_version_tag(name, before, _STAGE, "archived")
            if stage in _HELD:
                client.set_registered_model_alias(name, stage, wanted.version)
            client.set_model_version_tag(name, wanted.version, _STAGE, stage)

    def versions(self, name: str) -> Sequence[RegistryEntry]:
        with self.reached() as client:
            found = [self._entry(name, each) for each in _versions(client, name)]
        return sorted(found, key=lambda entry: entry.version, reverse=True)

    def _entry(self, name: str, found: Any) -> RegistryEntry:
        said = found.tags
        metadata = {key.removeprefix(_METADATA): json.loads(value) for key, value in said.items() if key.startswith(_METADATA)}
        url = f"{self.uri}/#/models/{quote(name)}/versions/{found.version}" if self.is_server else None
        about = (said.get(runs.RUN_ID, ""), said.get("dovetail.run", ""), said.get("dovetail.pipeline", ""))
        tags = tuple(json.loads(said.get(_TAGS, "[]")))
        return RegistryEntry(name, int(said[_VERSION]), said.get(_STAGE, "none"), *about, found.description or "", tags, metadata, url=url)

    def delete(self, name: str, version: int) -> None:
        with self.reached() as client:
            found = _version(client, name, version)
            if found is None:
                return
            for alias, holder in _holders(client, name).items():
                if holder == found.version:
                    client.delete_registered_model_alias(name, alias)
            client.delete_model_version(name, found.version)


def _write(entry: RegistryEntry, target: Path) -> dict[str, str]:
    """The model as other tools load it, where the run made one, else what is known of it; gives tags that say which."""
    from dovetail_mlflow.flavors import Payload, save

    if entry.model is not None:
        payload = Payload(entry.name, entry.model, entry.materializer, entry.type, entry.materializers, entry.trusted)
        return {"dovetail.flavor": save(payload, target), "dovetail.type": entry.type}
    target.mkdir(parents=True)
    (target / "version.json").write_text(json.dumps({**_lineage(entry), _VERSION: entry.version}, indent=1), encoding="utf-8")
    return {}


def _lineage(entry: RegistryEntry) -> dict[str, str]:
    about = {runs.RUN_ID: entry.run_id, "dovetail.run": entry.run_name, "dovetail.pipeline": entry.pipeline}
    return {name: value for name, value in about.items() if value}


def _tags(entry: RegistryEntry) -> dict[str, str]:
    metadata = {f"{_METADATA}{name}": json.dumps(value, ensure_ascii=False) for name, value in entry.metadata.items()}
    kept = {name: value for name, value in metadata.items() if len(value) <= _LONGEST and len(name) <= 250}
    return {**_lineage(entry), _TAGS: json.dumps(list(entry.tags), ensure_ascii=False), **kept}


def _say_again(client: Any, entry: RegistryEntry, found: Any) -> None:
    """Only what changed: a promotion registers once more what is there."""
    wanted: Mapping[str, str] = _tags(entry)
    for name, value in wanted.items():
        if found.tags.get(name) != value:
            client.set_model_version_tag(entry.name, found.version, name, value)
    for name in found.tags:
        if name.startswith(_METADATA) and name not in wanted:
            client.delete_model_version_tag(entry.name, found.version, name)
    if (found.description or "") != entry.description:
        client.update_model_version(entry.name, found.version, entry.description)


def _ensure_model(client: Any, name: str) -> None:
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def _versions(client: Any, name: str) -> Iterator[Any]:
    """MLflow's versions that Dovetail made; of two with one number, as of two that registered it at once, the newer."""
    seen, token = set(), None
    found: list[Any] = []
    while True:
        page = client.search_model_versions(f"name='{name}'", page_token=token)
        found += page
        token = getattr(page, "token", None)
        if not token:
            break
    for each in sorted(found, key=lambda each: int(each.version), reverse=True):
        number = each.tags.get(_VERSION)
        if number is not None and number not in seen:
            seen.add(number)
            yield each


def _version(client: Any, name: str, version: int) -> Any | None:
    return next((each for each in _versions(client, name) if each.tags[_VERSION] == str(version)), None)


def _holders(client: Any, name: str) -> dict[str, str]:
    """MLflow's version by alias."""
    aliases = client.get_registered_model(name).aliases
    return {alias: str(version) for alias, version in dict(aliases).items()}
