"""What `register`, `update` and `apply` take in."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from dovetail.errors import ConfigurationError, NotFound
from dovetail.registry import Registry
from dovetail.stack import ComponentSpec, StackStore
from dovetail.stack.registration import apply_stack_file, register_component, update_component
from dovetail.values.project import Project


def tracker(**fields: Any) -> ComponentSpec:
    return ComponentSpec("experiment_tracker", "acme", "t", {"project": "p", **fields})


def apply(store: StackStore, folder: Path, text: str, name: str = "mine.yaml") -> str:
    path = folder / name
    path.write_text(text)
    return apply_stack_file(store, path).change


STACK = """
components:
  orchestrator: {flavor: acme, configuration: {workers: "3"}}
  artifact_store: default
  experiment_tracker: {type: acme, name: t, configuration: {project: p, api_key: "${KEY}", folder: runs}}
"""


def test_a_registered_component_is_checked_and_coerced(store: StackStore, secrets: Any) -> None:
    register_component(store, tracker(workers="4", verbose="yes"), secrets)
    assert store.component("experiment_tracker", "t").configuration == {"project": "p", "workers": 4, "verbose": True}


def test_a_secret_goes_to_the_secret_store_and_its_reference_to_the_file(
    store: StackStore, secrets: Any, project: Project
) -> None:
    register_component(store, tracker(api_key="plain-secret"), secrets)
    assert store.component("experiment_tracker", "t").configuration["api_key"] == "{{ experiment-tracker-t.api_key }}"
    assert secrets.get("experiment-tracker-t")["api_key"].reveal() == "plain-secret"
    assert not [path for path in project.root.rglob("*") if path.is_file() and "plain-secret" in path.read_text()]


def test_a_reference_in_a_secret_field_is_kept(store: StackStore, secrets: Any) -> None:
    register_component(store, tracker(api_key="{{ mine.key }}"), secrets)
    assert store.component("experiment_tracker", "t").configuration["api_key"] == "{{ mine.key }}"
    assert not secrets.names()


def test_everything_that_is_wrong_is_said_at_once_and_nothing_is_kept(store: StackStore, secrets: Any) -> None:
    with pytest.raises(ConfigurationError) as caught:
        register_component(store, tracker(workers="four", ratioo=1, api_key="plain-secret", tokens=["other-secret"]), secrets)
    said = str(caught.value)
    assert "3 problems" in said
    assert "plain-secret" not in said
    assert "other-secret" not in said
    assert not secrets.names()
    assert not store.components("experiment_tracker")


def test_registering_the_same_again_changes_nothing_and_another_is_refused(store: StackStore, secrets: Any) -> None:
    register_component(store, tracker(), secrets)
    register_component(store, tracker(), secrets)
    with pytest.raises(ConfigurationError, match="'t' already, which differs.*`dovetail experiment-tracker update t`"):
        register_component(store, tracker(workers=9), secrets)


def test_an_update_changes_what_it_names(store: StackStore, secrets: Any) -> None:
    spec = register_component(store, tracker(workers=4, ratio=0.1), secrets)
    spec = update_component(store, spec, {"workers": "5", "api_key": "new-secret"}, secrets, unset=frozenset({"ratio"}))
    assert spec == store.component("experiment_tracker", "t")
    assert spec.configuration == {"project": "p", "workers": 5, "api_key": "{{ experiment-tracker-t.api_key }}"}
    with pytest.raises(NotFound, match="no field 'ratio'"):
        update_component(store, spec, {}, secrets, unset=frozenset({"ratio"}))
    with pytest.raises(ConfigurationError, match="built in"):
        update_component(store, store.component("orchestrator", "default"), {}, secrets)


def test_applying_a_file_again_and_again_gives_the_same(store: StackStore, tmp_path: Path) -> None:
    assert apply(store, tmp_path, STACK) == "created"
    first = (store.project.config / "stacks" / "mine.yaml").read_bytes()
    assert apply(store, tmp_path, STACK) == "unchanged"
    assert (store.project.config / "stacks" / "mine.yaml").read_bytes() == first
    assert apply(store, tmp_path, STACK.replace('"3"', '"4"')) == "updated"
    assert store.get("mine").components["orchestrator"].configuration == {"workers": 4}
    assert store.get("mine").components["artifact_store"].name == "default"


def test_a_stack_whose_file_was_damaged_can_be_applied_again(store: StackStore, tmp_path: Path) -> None:
    apply(store, tmp_path, STACK)
    (store.project.config / "stacks" / "mine.yaml").write_text("[")
    assert apply(store, tmp_path, STACK) == "updated"


def test_a_secret_in_a_stack_file_is_refused_with_everything_else_that_is_wrong(store: StackStore, tmp_path: Path) -> None:
    text = """
components:
  orchestrator: {flavor: acme, configuration: {worker: 3}}
  artifact_store: nowhere
  experiment_tracker: {flavor: acme, configuration: {api_key: plain-secret}}
  model_deployer: {flavor: rocket}
"""
    with pytest.raises(ConfigurationError) as caught:
        apply(store, tmp_path, text)
    said = str(caught.value)
    assert "5 problems" in said
    for part in (
        "no field 'worker'. Did you mean 'workers'",
        "component 'nowhere'",
        "'project' is required",
        "'api_key' must be a reference",
        "'rocket'",
    ):
        assert part in said
    assert "plain-secret" not in said
    assert list(store.list()) == ["default"]


def test_a_file_that_is_not_there_says_so(store: StackStore, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no stack file"):
        apply_stack_file(store, tmp_path / "none.yaml")


def test_a_stack_file_cannot_take_the_built_in_name(store: StackStore, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="'default' is built in"):
        apply(store, tmp_path, "name: default\n" + STACK)


def test_paths_stay_relative_in_a_project_and_become_absolute_without_one(
    store: StackStore, tmp_path: Path, registry: Registry, home: Path
) -> None:
    apply(store, tmp_path, STACK)
    assert store.get("mine").components["experiment_tracker"].configuration["folder"] == "runs"
    unmarked = StackStore(dataclasses.replace(store.project, config=home, marked=False), registry, {})
    apply(unmarked, tmp_path, STACK)
    assert unmarked.get("mine").components["experiment_tracker"].configuration["folder"] == str(store.project.root / "runs")
