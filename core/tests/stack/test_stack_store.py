"""Where stacks and components are kept, and which stack is the active one."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest

from dovetail.errors import ConfigurationError, NameRefused, NotFound
from dovetail.registry import Registry
from dovetail.stack import ComponentSpec, Stack, StackStore, choose_stack, resolve_stack
from dovetail.stack.files import StackFile
from dovetail.values.project import Project

TRACKER = ComponentSpec("experiment_tracker", "acme", "t", {"project": "p", "api_key": "{{ a.b }}"})


def file(name: str, **components: ComponentSpec | str) -> StackFile:
    return StackFile(name, {"orchestrator": "default", "artifact_store": "default", **components})


def test_the_built_in_stack_is_there_without_any_file(store: StackStore, project: Project) -> None:
    assert list(store.list()) == ["default"]
    stack = store.get("default")
    assert stack.components["artifact_store"].configuration == {"path": str(project.config / "store")}
    assert stack.components["orchestrator"] == ComponentSpec("orchestrator", "local", "default")
    assert [child.name for child in project.config.iterdir()] == ["project.yaml"]


@pytest.mark.parametrize("act", ["delete", "save", "copy"])
def test_the_built_in_stack_cannot_be_changed(store: StackStore, act: str) -> None:
    acts = {
        "delete": lambda: store.delete("default"),
        "save": lambda: store.save(file("default")),
        "copy": lambda: store.copy("default", "default"),
    }
    with pytest.raises(ConfigurationError, match="'default' is built in and cannot be"):
        acts[act]()


def test_what_is_saved_is_what_is_got(store: StackStore) -> None:
    store.save_component(TRACKER)
    store.save(file("mine", experiment_tracker="t"))
    assert list(store.list()) == ["default", "mine"]
    assert store.get("mine").components["experiment_tracker"] == TRACKER
    assert store.file("mine") == file("mine", experiment_tracker="t")


def test_a_stack_itself_can_be_saved(store: StackStore) -> None:
    store.save(Stack("whole", [TRACKER], registry=store.registry, project=store.project, waive=["timeout"]))
    again = store.get("whole")
    assert (again.components["experiment_tracker"], again.waive) == (TRACKER, ("timeout",))


def test_a_change_of_a_registered_component_reaches_every_stack_that_names_it(store: StackStore) -> None:
    store.save_component(TRACKER)
    store.save(file("mine", experiment_tracker="t"))
    store.save_component(ComponentSpec("experiment_tracker", "acme", "t", {"project": "q"}))
    assert store.get("mine").components["experiment_tracker"].configuration == {"project": "q"}


def test_unknown_stacks_and_components_are_answered_with_near_names(store: StackStore) -> None:
    store.save(file("mine"))
    store.save_component(TRACKER)
    with pytest.raises(NotFound, match=r"no stack 'mnie'. Did you mean 'mine'\?"):
        store.get("mnie")
    with pytest.raises(NotFound, match=r"no experiment tracker component 'tt'. Did you mean 't'\?"):
        store.component("experiment_tracker", "tt")
    with pytest.raises(NotFound, match="Did you mean 'default'"):
        store.component("orchestrator", "defaul")
    for act in (store.set_active, store.delete, store.file, store.export):
        with pytest.raises(NotFound):
            act("mnie")


def test_a_stack_that_names_a_component_that_is_gone_says_which(store: StackStore) -> None:
    store.save(file("mine", experiment_tracker="gone"))
    with pytest.raises(
        ConfigurationError, match="Stack 'mine' names a component that is not there. There is no experiment tracker"
    ):
        store.get("mine")


def test_a_component_that_a_stack_uses_is_not_deleted(store: StackStore) -> None:
    store.save_component(TRACKER)
    store.save(file("mine", experiment_tracker="t"))
    with pytest.raises(ConfigurationError, match="'t' is used by stack 'mine'"):
        store.delete_component("experiment_tracker", "t")
    store.delete("mine")
    store.delete_component("experiment_tracker", "t")
    assert not store.components("experiment_tracker")


def test_built_in_components_are_listed_and_stay(store: StackStore) -> None:
    assert [spec.name for spec in store.components("orchestrator")] == ["default"]
    with pytest.raises(ConfigurationError, match="orchestrator 'default' is built in"):
        store.save_component(ComponentSpec("orchestrator", "acme", "default"))
    with pytest.raises(ConfigurationError, match="artifact store 'default' is built in"):
        store.delete_component("artifact-store", "default")


def test_the_active_stack_is_not_deleted(store: StackStore) -> None:
    store.save(file("mine"))
    store.set_active("mine")
    with pytest.raises(ConfigurationError, match="'mine' is the active one"):
        store.delete("mine")


def test_a_secret_is_never_written_to_a_file(store: StackStore, project: Project) -> None:
    bad = ComponentSpec("experiment_tracker", "acme", "t", {"project": "p", "api_key": "plain-secret"})
    for act in (lambda: store.save_component(bad), lambda: store.save(file("mine", experiment_tracker=bad))):
        with pytest.raises(ConfigurationError, match="secret field 'api_key' must be a reference") as caught:
            act()
        assert "plain-secret" not in str(caught.value)
    assert not list(project.config.rglob("t.yaml"))


def test_an_export_needs_no_other_file_and_can_be_applied_elsewhere(
    store: StackStore, tmp_path: Path, registry: Registry
) -> None:
    from dovetail.stack.registration import apply_stack_file

    store.save_component(TRACKER)
    store.save(file("mine", experiment_tracker="t"))
    exported = tmp_path / "exported.yaml"
    exported.write_text(store.export("mine"))
    assert str(tmp_path) not in exported.read_text()
    other = Project(tmp_path / "other", tmp_path / "other" / ".dovetail", marked=True)
    there = StackStore(other, registry, {})
    apply_stack_file(there, exported)
    assert there.get("mine").components["experiment_tracker"] == TRACKER
    assert there.get("mine").components["artifact_store"].configuration == {"path": ".dovetail/store"}


def test_a_secret_that_somebody_wrote_into_a_file_is_not_exported(store: StackStore, project: Project) -> None:
    (project.config / "stacks").mkdir()
    (project.config / "stacks" / "bad.yaml").write_text(
        "components: {experiment_tracker: {flavor: acme, configuration: {project: p, api_key: plain-secret}}}"
    )
    assert "plain-secret" not in store.export("bad")


def test_a_copy_has_the_same_components_and_takes_no_name_that_is_there(store: StackStore) -> None:
    store.copy("default", "mine")
    assert store.get("mine").components == store.get("default").components
    with pytest.raises(ConfigurationError, match="There is a stack 'mine' already"):
        store.copy("default", "mine")


@pytest.mark.parametrize("name", ["../up", "a/b", "", "nul", "a\x00b", "x" * 300, ".hidden"])
def test_names_cannot_lead_out_of_the_folder(store: StackStore, name: str) -> None:
    for act in (lambda: store.save(file(name)), lambda: store.get(name), lambda: store.component("orchestrator", name)):
        with pytest.raises(NameRefused):
            act()


def test_two_names_that_differ_in_case_only_are_refused(store: StackStore) -> None:
    store.save(file("Mine"))
    with pytest.raises(ConfigurationError, match="'Mine', which differs from 'mine' in case only"):
        store.save(file("mine"))


def test_files_that_are_no_stacks_are_not_listed(store: StackStore, project: Project) -> None:
    (project.config / "stacks").mkdir()
    for name in (".draft.yaml", "notes.txt", "con.yaml", "-x.yaml", "good.yaml"):
        (project.config / "stacks" / name).write_text("components: {}")
    assert list(store.list()) == ["default", "good"]


def test_a_file_under_another_name_than_its_stack_is_refused(store: StackStore, project: Project) -> None:
    (project.config / "stacks").mkdir()
    (project.config / "stacks" / "a.yaml").write_text("name: b\ncomponents: {}")
    with pytest.raises(ConfigurationError, match="names its stack 'b'"):
        store.get("a")


def test_one_unreadable_file_hides_no_other_components(store: StackStore, project: Project) -> None:
    store.save(file("good", experiment_tracker=TRACKER))
    (project.config / "stacks" / "bad.yaml").write_text("components: [")
    assert store.inline("experiment_tracker") == [("good", TRACKER)]
    with pytest.raises(NotFound, match="One of that name stands in the file of stack 'good'"):
        store.component("experiment_tracker", "t")


# The active stack


def resolve(project: Project, registry: Registry, name: str | None = None, **environ: str) -> str:
    return resolve_stack(project, registry, name, environ).name


def test_the_first_choice_that_is_set_counts(store: StackStore, project: Project, registry: Registry) -> None:
    for name in ("one", "two", "three"):
        store.save(file(name))
    assert resolve(project, registry) == "default"
    store.set_active("one")
    assert resolve(project, registry) == "one"
    assert resolve(project, registry, DOVETAIL_STACK="two") == "two"
    assert resolve(project, registry, "three", DOVETAIL_STACK="two") == "three"
    store.set_active("default")
    assert resolve(project, registry) == "default"


def test_in_ci_a_choice_of_one_user_is_warned_of(store: StackStore, project: Project, registry: Registry) -> None:
    store.save(file("one"))
    store.set_active("one")
    with pytest.warns(UserWarning, match="CI is set, and stack 'one' was chosen by `dovetail stack set` alone"):
        resolve(project, registry, CI="true")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        resolve(project, registry, CI="false")
        resolve(project, registry, CI="true", DOVETAIL_STACK="one")
        resolve(project, registry, "one", CI="true")
        store.set_active("default")
        resolve(project, registry, CI="true")


def test_a_stack_that_is_gone_says_who_chose_it(store: StackStore, project: Project, registry: Registry) -> None:
    store.save(file("one"))
    with pytest.raises(NotFound, match=r"no stack 'on'. Did you mean 'one'\? It was chosen by DOVETAIL_STACK."):
        resolve(project, registry, DOVETAIL_STACK="on")
    (project.config / "active").write_text("gone\n")
    with pytest.raises(NotFound, match="It was chosen by `dovetail stack set`"):
        resolve(project, registry)
    with pytest.raises(NotFound, match="no stack 'asked'"):
        resolve(project, registry, "asked")


def test_a_choice_names_its_source(project: Project) -> None:
    assert choose_stack(project, environ={}).source == "the built-in choice"
    assert choose_stack(project, "x", environ={}).source == "the stack that was asked for"


def test_without_a_project_stacks_come_from_the_users_folder(home: Path, tmp_path: Path, registry: Registry) -> None:
    unmarked = Project(tmp_path, home, marked=False)
    StackStore(unmarked, registry, {}).save(file("mine"))
    assert (home / "stacks" / "mine.yaml").is_file()
    assert resolve(unmarked, registry, "mine") == "mine"
