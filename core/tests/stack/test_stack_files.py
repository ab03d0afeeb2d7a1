"""Stack files: read as data alone, whatever stands in them, and written whole."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dovetail.errors import ConfigurationError
from dovetail.hookspecs import COMPONENT_TYPES
from dovetail.stack.files import StackFile, as_yaml, read_component_file, read_stack_file, write_whole
from dovetail.stack.stack import ComponentSpec

TYPES = [kind.name for kind in COMPONENT_TYPES]
EXAMPLE = """\
name: local-mlflow
components:
  artifact_store:     {type: local, name: local_artifact_store, configuration: {path: ./artifacts}}
  orchestrator:       {type: local, name: local_orchestrator}
  experiment-tracker: {flavor: mlflow, name: mlflow_tracker, configuration: {tracking_uri: "http://localhost:5000", experiment_name: fraud}}
  model_deployer:     shared
waive: [resources.gpu, timeout]
"""


def read(folder: Path, text: str, name: str = "some.yaml") -> StackFile:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return read_stack_file(path, TYPES)


def refused(folder: Path, text: str) -> str:
    with pytest.raises(ConfigurationError) as caught:
        read(folder, text)
    assert str(folder / "some.yaml") in str(caught.value)
    return str(caught.value)


def test_a_stack_file_is_read_as_documented(tmp_path: Path) -> None:
    stack = read(tmp_path, EXAMPLE)
    assert stack.name == "local-mlflow"
    assert stack.waive == ("resources.gpu", "timeout")
    assert stack.components["artifact_store"] == ComponentSpec(
        "artifact_store", "local", "local_artifact_store", {"path": "./artifacts"}
    )
    assert stack.components["orchestrator"] == ComponentSpec("orchestrator", "local", "local_orchestrator")
    assert stack.components["model_deployer"] == "shared"
    tracker = stack.components["experiment_tracker"]
    assert isinstance(tracker, ComponentSpec)
    assert tracker.flavor == "mlflow"


def test_what_is_written_is_what_is_read(tmp_path: Path) -> None:
    stack = read(tmp_path, EXAMPLE)
    assert read(tmp_path, as_yaml(stack.to_json()), "again.yaml") == stack


def test_the_files_name_is_the_stacks_where_none_is_given(tmp_path: Path) -> None:
    stack = read(tmp_path, "components: {orchestrator: {flavor: local}}")
    assert stack.name == "some"
    assert stack.components["orchestrator"] == ComponentSpec("orchestrator", "local", "some")


def test_keys_for_other_readers_are_passed_over(tmp_path: Path) -> None:
    text = """
zenml_version: 0.60.0
version: 3
x-common: &common {path: a}
components:
  x-old: {anything: 1}
  artifact_store:
    flavor: local
    type: artifact_store
    x-owner: me
    configuration: {<<: *common, x-why: because}
"""
    stack = read(tmp_path, text)
    assert stack.components == {"artifact_store": ComponentSpec("artifact_store", "local", "some", {"path": "a"})}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name: a\ncomponent: {}", "unknown key 'component'. Did you mean 'components'?"),
        ("components: {artefact_store: {flavor: local}}", "'artefact_store' is no component type. Did you mean 'artifact_store'"),
        ("components: {orchestrator: {flavour: local}}", "orchestrator has an unknown key 'flavour'. Did you mean 'flavor'?"),
        ("components: {orchestrator: {flavor: a, type: b}}", "says both flavor 'a' and type 'b'"),
        ("components: {orchestrator: {name: a}}", "must say its 'flavor'"),
        ("components: {orchestrator: {flavor: 1}}", "must say its 'flavor' as text"),
        ("components: {orchestrator: [local]}", "must be a mapping with 'flavor'"),
        ("components: [orchestrator]", "must map component types"),
        ("components: {orchestrator: {flavor: local, configuration: [a]}}", "configuration must be a mapping"),
        (
            "components: {orchestrator: {flavor: local, configuration: {1: a}}}",
            "the key 1 in 'components.orchestrator.configuration' is no text",
        ),
        ("components: {orchestrator: {flavor: local, configuration: {on: a}}}", "the key True"),
        ("waive: resources.gpu", "'waive' must be a list"),
        ("waive: [resources.gpus]", "'resources.gpus', which is no setting. Did you mean 'resources.gpu'"),
        ("waive: [[a]]", "which is no setting"),
        ("name: a\nname: b", "the key 'name' stands twice"),
        ("components: {orchestrator: {flavor: local}, orchestrator: {flavor: other}}", "the key 'orchestrator' stands twice"),
        ("- a", "it must be a mapping, not a list"),
        ("", "it must be a mapping, not empty"),
        ("just text", "it must be a mapping, not a text"),
        ("a: b: c", "it is no YAML"),
        ("a: [", "it is no YAML"),
        ("\x07: 1", "it is no YAML"),
        ("description: [a]", "'description' must be text"),
        ("a: !!python/object/apply:os.system ['touch hacked']", "it is no YAML: could not determine a constructor"),
        ("a: !!python/name:os.system", "it is no YAML"),
        (
            "components: {orchestrator: {flavor: a, configuration: {b: !!binary aGk=}}}",
            "of a kind that a configuration cannot hold",
        ),
        ("components: {orchestrator: {flavor: a, configuration: {b: !!set {x}}}}", "of a kind that a configuration cannot hold"),
        ("name: ../../escape", "holds '/'"),
        ("name: a/b", "holds '/'"),
        ("name: con", "reserved"),
        ("name: 7", "must be named by a string"),
        ("name: {a: b}", "must be named by a string"),
        ("components: {orchestrator: ../x}", "holds '/'"),
        ("components: {orchestrator: {flavor: a, name: ..x}}", "must begin with"),
        ("components: {orchestrator: {flavor: a, name: ''}}", "is empty"),
    ],
)
def test_what_cannot_be_is_refused_naming_file_and_place(tmp_path: Path, text: str, said: str) -> None:
    assert said in refused(tmp_path, text)
    assert not Path("hacked").exists()


def test_aliases_inside_aliases_do_not_blow_up(tmp_path: Path) -> None:
    levels = ["a0: &a0 [x,x,x,x,x,x,x,x,x,x]"] + [f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    assert "more than 20000 values" in refused(tmp_path, "\n".join(levels))


def test_an_alias_of_itself_ends(tmp_path: Path) -> None:
    assert "nested deeper than" in refused(tmp_path, "a: &a {b: *a}")
    assert "no YAML" in refused(tmp_path, "a: " + "[" * 100_000)


def test_a_file_that_is_no_configuration_by_its_size_is_not_read(tmp_path: Path) -> None:
    assert "is no configuration" in refused(tmp_path, "a: " + "x" * 1_100_000)


def test_a_damaged_line_is_not_repeated_as_a_secret_may_stand_in_it(tmp_path: Path) -> None:
    said = refused(tmp_path, "name: a\nkey: plain-secret: x\n")
    assert "plain-secret" not in said
    assert "mapping values are not allowed here (line 2, column 18)" in said


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "some.yaml"
    path.write_bytes(b"name: \xff\xfe\x00")
    with pytest.raises(ConfigurationError, match="is no YAML"):
        read_stack_file(path, TYPES)


def test_dates_become_text(tmp_path: Path) -> None:
    stack = read(tmp_path, "components: {orchestrator: {flavor: a, configuration: {since: 2024-01-02}}}")
    assert stack.components["orchestrator"] == ComponentSpec("orchestrator", "a", "some", {"since": "2024-01-02"})


def test_a_component_file_is_a_component_named_like_its_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("flavor: local\nconfiguration: {workers: 2}\n")
    assert read_component_file(path, "orchestrator") == ComponentSpec("orchestrator", "local", "mine", {"workers": 2})
    path.write_text("flavour: local\n")
    with pytest.raises(ConfigurationError, match=r"mine.yaml cannot be used: orchestrator has an unknown key 'flavour'"):
        read_component_file(path, "orchestrator")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150, deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.dates() | st.binary(),
        lambda inner: (
            st.lists(inner) | st.dictionaries(st.text() | st.integers() | st.sampled_from(["name", "components", "waive"]), inner)
        ),
        max_leaves=12,
    )
)
def test_any_yaml_is_a_stack_or_a_sentence(tmp_path: Path, value: object) -> None:
    path = tmp_path / "any.yaml"
    path.write_text(yaml.safe_dump(value), encoding="utf-8")
    try:
        read_stack_file(path, TYPES)
    except ConfigurationError as error:
        assert str(path) in str(error)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150, deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_are_a_stack_or_a_sentence(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "any.yaml"
    path.write_bytes(content)
    try:
        read_stack_file(path, TYPES)
    except ConfigurationError as error:
        assert str(path) in str(error)


def test_a_reader_sees_the_old_file_or_the_new_one(tmp_path: Path) -> None:
    path, texts, seen = tmp_path / "f", ["a" * 200_000, "b" * 200_000], set()
    write_whole(path, texts[0])
    done = threading.Event()

    def write() -> None:
        for number in range(60):
            write_whole(path, texts[number % 2])
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    while not done.is_set():
        seen.add(path.read_text())
    writer.join()
    assert seen <= set(texts)
    assert os.listdir(tmp_path) == ["f"]


def test_a_file_that_cannot_be_written_leaves_the_old_one_and_no_debris(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "f"
    write_whole(path, "old")

    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(OSError, match="No space"):
        write_whole(path, "new")
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["f"]
