"""A stack: what it makes, what it shows, what it keeps to itself."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dovetail.components import ArtifactStore, ExperimentTracker, ModelDeployer, Orchestrator
from dovetail.errors import ConfigurationError, NotFound, PluginBroken
from dovetail.registry import Registry
from dovetail.stack import ComponentSpec, Stack
from dovetail.values.project import Project

Make = Callable[..., Stack]


def test_a_component_is_made_once_under_its_name_and_flavor(make_stack: Make) -> None:
    stack = make_stack(workers=3)
    tracker = stack.build(ExperimentTracker)
    assert tracker is stack.build("experiment_tracker")
    assert tracker is not None
    assert (tracker.name, tracker.flavor, tracker.configuration()["workers"]) == ("t", "acme", 3)
    assert isinstance(stack.build(Orchestrator), Orchestrator)
    assert isinstance(stack.build(ArtifactStore), ArtifactStore)


def test_a_component_that_the_stack_lacks_is_none(make_stack: Make) -> None:
    assert make_stack().build(ModelDeployer) is None
    assert make_stack().with_settings("model_deployer", {"a": 1}) is None


def test_threads_that_ask_at_once_get_the_same_component(make_stack: Make) -> None:
    stack, got, gate = make_stack(), [], threading.Barrier(8)

    def ask() -> None:
        gate.wait()
        got.append(stack.build("experiment_tracker"))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(map(id, got))) == 1


def test_relative_paths_start_at_the_project_root(make_stack: Make, project: Project) -> None:
    tracker: Any = make_stack(folder="data").build("experiment_tracker")
    assert (tracker.folder, tracker.cache) == (project.root / "data", project.root / ".acme/cache")


def test_paths_for_another_process_are_absolute_and_references_stay(make_stack: Make, project: Project) -> None:
    stack = make_stack(folder="data", cache="${CACHE}", api_key="{{ a.b }}", headers={"a": "b"})
    root = str(project.root / "data")
    expected = {"project": "p", "folder": root, "cache": "${CACHE}", "api_key": "{{ a.b }}", "headers": {"a": "b"}}
    assert stack.anchored("experiment_tracker") == expected


def test_secrets_are_resolved_only_when_the_component_is_made(make_stack: Make, secrets: Any) -> None:
    stack = make_stack(api_key="{{ acme.key }}", headers={"auth": "Bearer {{ acme.token }}"})
    assert stack.secrets() == frozenset()
    secrets.put("acme", {"key": "k-12345", "token": "t-67890"})
    tracker: Any = stack.build("experiment_tracker")
    assert (tracker.api_key.reveal(), tracker.headers["auth"]) == ("k-12345", "Bearer t-67890")
    assert stack.secrets() == {"k-12345", "t-67890"}


def test_a_secret_field_that_a_variable_fills_is_known_as_secret(make_stack: Make) -> None:
    stack = make_stack(api_key="${KEY}", mode="${MODE}", environ={"KEY": "from-outside", "MODE": "fast"})
    tracker: Any = stack.build("experiment_tracker")
    assert (tracker.api_key.reveal(), tracker.mode) == ("from-outside", "fast")
    assert stack.secrets() == {"from-outside"}


def test_a_stacks_own_secret_store_is_asked_before_the_built_in_one(make_stack: Make, secrets: Any) -> None:
    secrets.put("db", {"password": "local-one"})
    vault = ComponentSpec("secret_store", "vault", "v", {"token": "${TOKEN}"})
    tracker: Any = make_stack(vault, api_key="{{ db.password }}", environ={"TOKEN": "open-sesame"}).build("experiment_tracker")
    assert tracker.api_key.reveal() == "vaulted-open-sesame"


def test_a_secret_store_cannot_wait_for_a_secret_of_its_own(make_stack: Make) -> None:
    stack = make_stack(ComponentSpec("secret_store", "vault", "v", {"token": "{{ db.password }}"}), api_key="{{ db.password }}")
    for component in ("experiment_tracker", "secret_store"):
        with pytest.raises(
            ConfigurationError, match="Secret store 'v' of stack 's' refers to a secret, which only it could resolve"
        ):
            stack.build(component)


def test_a_secret_that_is_not_there_says_how_to_set_it(make_stack: Make, secrets: Any) -> None:
    secrets.put("acmes", {"key": "x"})
    with pytest.raises(NotFound, match=r"no secret 'acme'. Did you mean 'acmes'\? Set it by `dovetail secret set acme KEY=-`"):
        make_stack(api_key="{{ acme.key }}").build("experiment_tracker")


def test_a_secret_written_down_as_it_is_makes_nothing_and_is_never_shown(make_stack: Make) -> None:
    stack = make_stack(api_key="plain-secret", tokens=["{{ a.b }}", "second-secret"])
    with pytest.raises(ConfigurationError, match="secret field 'api_key' must be a reference") as caught:
        stack.build("experiment_tracker")
    shown = json.dumps(stack.snapshot()) + str(caught.value) + repr(stack)
    assert "plain-secret" not in shown
    assert "second-secret" not in shown
    assert "********" in shown


def test_texts_stay_hidden_where_nobody_can_tell_which_are_secret(project: Project, registry: Registry) -> None:
    spec = ComponentSpec("experiment_tracker", "gone", "t", {"token": "maybe-secret", "n": 1, "ref": "${A}"})
    shown: Any = Stack("s", [spec], registry=registry, project=project).snapshot()
    assert shown["components"]["experiment_tracker"]["configuration"] == {"token": "********", "n": 1, "ref": "${A}"}


def test_an_error_from_the_constructor_is_a_sentence_without_the_secret(make_stack: Make) -> None:
    stack = make_stack(api_key="${KEY}", environ={"KEY": "very-secret"})
    spec = stack.components["experiment_tracker"]
    bad = ComponentSpec("experiment_tracker", "acme", "t", {**spec.configuration, "project": "forbidden"})
    stack = Stack("s", [bad], registry=stack.registry, project=stack.project, environ={"KEY": "very-secret"})
    with pytest.raises(
        ConfigurationError, match=r"Experiment tracker 't' of stack 's' \(flavor acme\) cannot be made: no entry"
    ) as caught:
        stack.build("experiment_tracker")
    assert "very-secret" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_a_wrong_type_behind_a_reference_is_found_when_it_is_resolved(make_stack: Make) -> None:
    with pytest.raises(ConfigurationError, match="'workers' is wrong: input should be a valid integer"):
        make_stack(workers="${N}", environ={"N": "many"}).build("experiment_tracker")
    tracker: Any = make_stack(workers="${N}", environ={"N": "7"}).build("experiment_tracker")
    assert tracker.workers == 7


def test_a_snapshot_is_json_with_references_as_they_are_and_makes_the_same_stack(make_stack: Make, secrets: Any) -> None:
    secrets.put("acme", {"key": "k-12345"})
    stack = make_stack(api_key="{{ acme.key }}", folder="data")
    stack.build("experiment_tracker")
    text = json.dumps(stack.snapshot())
    assert "k-12345" not in text
    assert "{{ acme.key }}" in text
    again = Stack.from_snapshot(json.loads(text), stack.registry, stack.project, {})
    assert again.snapshot() == stack.snapshot()
    assert again.build("experiment_tracker") == stack.build("experiment_tracker")


def test_waived_settings_survive_a_snapshot(project: Project, registry: Registry) -> None:
    stack = Stack("s", [], registry=registry, project=project, waive=["resources.gpu"])
    assert Stack.from_snapshot(stack.snapshot(), registry, project).waive == ("resources.gpu",)


def test_settings_of_a_step_make_a_component_of_their_own(make_stack: Make) -> None:
    stack = make_stack(workers=3)
    own: Any = stack.with_settings(ExperimentTracker, {"ratio": "0.75", "tags": ("a",), "level": "high"})
    assert (own.workers, own.ratio, own.tags, own.level.name, own.name) == (3, 0.75, ("a",), "HIGH", "t")
    assert own is not stack.build("experiment_tracker")
    assert stack.with_settings("experiment_tracker") is not stack.with_settings("experiment_tracker")


def test_settings_that_do_not_fit_are_all_named(make_stack: Make) -> None:
    with pytest.raises(ConfigurationError) as caught:
        make_stack().with_settings("experiment_tracker", {"worker": 1, "ratio": "much", "api_key": "literal-secret"})
    said = str(caught.value)
    assert "Settings for Experiment tracker 't' (flavor acme) do not fit" in said
    assert "no field 'worker'. Did you mean 'workers'?" in said
    assert "'ratio' is wrong" in said
    assert "'api_key' must be a reference" in said
    assert "literal-secret" not in said


def test_settings_may_refer_to_a_secret(make_stack: Make, secrets: Any) -> None:
    secrets.put("mine", {"key": "k-99999"})
    own: Any = make_stack().with_settings("experiment_tracker", {"api_key": "{{ mine.key }}"})
    assert own.api_key.reveal() == "k-99999"


def test_a_component_whose_plugin_is_gone_names_it(project: Project, registry: Registry) -> None:
    stack = Stack("s", [ComponentSpec("experiment_tracker", "acmee", "t")], registry=registry, project=project)
    with pytest.raises(NotFound, match="Did you mean 'acme'"):
        stack.build("experiment_tracker")
    lost = Stack("s", [ComponentSpec("experiment_tracker", "lost", "t")], registry=registry, project=project)
    with pytest.raises(PluginBroken):
        lost.build("experiment_tracker")


def test_the_built_in_stack_is_made_without_yaml_pydantic_fsspec_or_rich(home: Path) -> None:
    import subprocess
    import sys

    script = """
import sys
from dovetail.registry import Registry
from dovetail.stack import resolve_stack
from dovetail.values.project import find_project
stack = resolve_stack(find_project(), Registry.load())
assert stack.build("orchestrator") and stack.build("artifact_store") and stack.snapshot()
print(stack.name, [name for name in ("yaml", "pydantic", "fsspec", "rich", "click", "numpy") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=home.parent)
    assert done.stdout == "default []\n"
