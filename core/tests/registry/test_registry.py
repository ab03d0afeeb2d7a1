"""What the registry answers."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dovetail import hookspecs
from dovetail.components import ExperimentTracker
from dovetail.errors import ConfigurationError, NotFound, PluginBroken
from dovetail.registry import Registry

Make = Callable[..., Path]
Ask = Callable[..., Any]
HEAD = "from dovetail.plugin import ComponentType, FlavorSpec, MaterializerSpec, hookimpl\n"


@pytest.fixture
def registry(acme: Path) -> Registry:
    return Registry.load({})


def test_built_in_flavors_come_through_the_same_door_as_a_strangers(registry: Registry) -> None:
    flavors = {info.name: info.flavors for info in registry.plugins()}
    assert flavors["local"]["artifact_store"] == ("local", "memory")
    assert flavors["acme"]["experiment_tracker"] == ("acme", "needy", "lost", "wrong")
    assert flavors["acme"]["telescope"] == ("hubble",)


def test_every_component_type_of_the_design_has_its_hook(registry: Registry) -> None:
    for kind in hookspecs.COMPONENT_TYPES:
        assert callable(getattr(hookspecs, kind.hook))
        assert registry.component_type(kind.option) == kind
    assert len(hookspecs.COMPONENT_TYPES) == 12


def test_a_published_interface_can_be_imported_and_knows_its_type() -> None:
    from dovetail.values.imports import load_object

    published = [kind for kind in hookspecs.COMPONENT_TYPES if kind.interface]
    assert {kind.name: load_object(str(kind.interface)).component_type for kind in published} == {
        k.name: k.name for k in published
    }


def test_short_options_are_not_shared() -> None:
    shorts = [kind.short for kind in hookspecs.COMPONENT_TYPES if kind.short]
    assert sorted(shorts) == ["a", "c", "d", "e", "o"]


def test_a_class_is_found_by_its_flavor(registry: Registry) -> None:
    cls = registry.component_class("experiment_tracker", "acme")
    assert cls.__name__ == "AcmeTracker"
    assert issubclass(cls, ExperimentTracker)


def test_a_plugin_may_bring_a_component_type(registry: Registry) -> None:
    assert registry.component_type("telescope").help == "Looks far."
    assert registry.component_class("telescope", "hubble").__name__ == "Hubble"


def test_an_unknown_flavor_is_answered_with_near_names_and_what_to_install(registry: Registry) -> None:
    with pytest.raises(NotFound, match=r"no experiment tracker flavor 'acmo'. Did you mean 'acme'\?.*pip install dovetail-acmo"):
        registry.flavor("experiment_tracker", "acmo")
    with pytest.raises(NotFound, match=r"no component type 'trackers'"):
        registry.flavor("trackers", "acme")


def test_a_library_that_is_missing_is_named_with_the_pip_command(registry: Registry) -> None:
    with pytest.raises(ConfigurationError, match=r"needs no-such-sdk\[all\]>=2, .*pip install 'no-such-sdk\[all\]>=2'"):
        registry.component_class("experiment_tracker", "needy")
    assert registry.declared_class("experiment_tracker", "needy").__name__ == "AcmeTracker"


def test_a_class_that_cannot_be_imported_names_plugin_target_and_reason(registry: Registry) -> None:
    with pytest.raises(
        PluginBroken, match=r"'lost' of plugin 'acme' \(dovetail-acme\).*dovetail_acme.nowhere:Tracker.*No module named"
    ):
        registry.component_class("experiment_tracker", "lost")


def test_a_class_of_another_interface_is_refused(registry: Registry) -> None:
    with pytest.raises(PluginBroken, match="which is no ExperimentTracker"):
        registry.component_class("experiment_tracker", "wrong")


def test_a_plugins_materializers_come_before_the_built_in_ones(registry: Registry) -> None:
    assert "dovetail_acme.Thing" in registry.materializer_specs()[0].types


def test_observers_are_told_and_one_that_fails_is_only_logged(
    acme: Path, distribution: Make, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    source = HEAD + "@hookimpl\ndef dovetail_run_started(event):\n    raise RuntimeError('no disk')\n"
    monkeypatch.syspath_prepend(str(distribution("dovetail-aaa", "failing_observer", source)))
    registry = Registry.load({})
    import dovetail_acme

    dovetail_acme.SEEN.clear()
    with caplog.at_level(logging.WARNING, "dovetail"):
        registry.observe("dovetail_run_started", {"run": "r1"})
        registry.observe("dovetail_run_finished", {"run": "r1"})
    assert dovetail_acme.SEEN == [("run_started", {"run": "r1"})]
    assert [record.getMessage() for record in caplog.records] == [
        "The observer dovetail_run_started of plugin 'aaa' failed and is passed over: RuntimeError: no disk"
    ]


def test_plugins_commands_are_found_by_name(registry: Registry) -> None:
    assert registry.cli_commands() == {"acme-hello": "dovetail_acme.commands:hello"}


def test_a_registry_and_its_module_names_cost_no_plugin_import(ask: Ask, acme: Path) -> None:
    answer = ask(
        """
        import sys
        registry = Registry.load({})
        modules = sorted(registry.plugin_modules())
        answer = [modules, "dovetail_acme" in sys.modules]
        """,
        acme,
    )
    assert answer == [["dovetail", "dovetail_acme"], False]


def test_asking_for_a_flavor_imports_no_component_and_nothing_heavy(ask: Ask, acme: Path) -> None:
    answer = ask(
        """
        import sys
        Registry.load({}).flavor("artifact_store", "local")
        heavy = ("pydantic", "fsspec", "rich", "yaml", "importlib.metadata", "email", "dovetail_acme.components", "dovetail.local.artifact_store")
        answer = [name for name in heavy if name in sys.modules]
        """,
        acme,
    )
    assert answer == []


BROKEN = {
    "import": ("import no_such_library\n", "ModuleNotFoundError: No module named 'no_such_library'"),
    "exit": ("import sys\nsys.exit(3)\n", "SystemExit: 3"),
    "syntax": ("def (:\n", "SyntaxError"),
    "argument": (HEAD + "@hookimpl\ndef dovetail_orchestrators(stack): return []\n", "stack"),
    "hook": (
        HEAD + "@hookimpl\ndef dovetail_orchestrator(): return []\n",
        "hook 'dovetail_orchestrator', which does not exist. Did you mean",
    ),
    "raises": (
        HEAD + "@hookimpl\ndef dovetail_alerters(): raise ValueError('bad day')\n",
        "dovetail_alerters gave no usable answer: ValueError: bad day",
    ),
    "generator": (HEAD + "@hookimpl\ndef dovetail_alerters():\n    yield 1\n", "dovetail_alerters gave no usable answer"),
    "kind": (HEAD + "@hookimpl\ndef dovetail_alerters(): return ['x']\n", "'x' is no FlavorSpec"),
    "text": (HEAD + "@hookimpl\ndef dovetail_alerters(): return 'x'\n", "'x' is no list of FlavorSpec"),
    "materializers": (HEAD + "@hookimpl\ndef dovetail_materializers(): return [1]\n", "1 is no MaterializerSpec"),
    "commands": (HEAD + "@hookimpl\ndef dovetail_cli_commands(): return {'x': 1}\n", "no command's name and import string"),
    "type": (
        HEAD + "@hookimpl\ndef dovetail_component_types(): return [ComponentType('alerter', 'dovetail_x', None)]\n",
        "the component type 'alerter' exists already",
    ),
    "shadow": (
        HEAD + "@hookimpl\ndef dovetail_orchestrators(): return [FlavorSpec('local', 'x:Y')]\n",
        "it offers the orchestrator flavor 'local', which is built in",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_plugin_is_listed_with_its_reason_and_breaks_nothing_else(
    ask: Ask, distribution: Make, acme: Path, case: str
) -> None:
    source, reason = BROKEN[case]
    answer = ask(
        """
        registry = Registry.load({})
        infos = {info.name: [info.status, info.reason] for info in registry.plugins()}
        works = registry.component_class("experiment_tracker", "acme").__name__
        answer = [infos, works, registry.flavor("orchestrator", "local").target]
        """,
        distribution("dovetail-broken", "broken_plugin", source),
        acme,
    )
    infos, works, local = answer
    assert infos["broken"][0] == "broken"
    assert reason in infos["broken"][1]
    assert infos["acme"] == ["installed", None]
    assert [works, local] == ["AcmeTracker", "dovetail.local.orchestrator:LocalOrchestrator"]


def test_who_asks_for_a_broken_plugins_flavor_is_told_the_reason(ask: Ask, distribution: Make) -> None:
    answer = ask(
        """
        from dovetail.errors import DovetailError
        registry = Registry.load({})
        answer = []
        for name in ("mlflux", "other"):
            try:
                registry.flavor("experiment_tracker", name)
            except DovetailError as error:
                answer.append([type(error).__name__, str(error)])
        """,
        distribution("dovetail-mlflux", "mlflux_plugin", "import no_such_library\n"),
    )
    assert answer[0][0] == "PluginBroken"
    assert "'mlflux' (dovetail-mlflux) is broken: ModuleNotFoundError: No module named 'no_such_library'" in answer[0][1]
    assert answer[1][0] == "NotFound"
    assert "Broken plugins, which may have brought it: 'mlflux' (dovetail-mlflux)" in answer[1][1]


def test_of_several_broken_plugins_the_names_are_told_and_none_where_another_is_known_to_bring_it(ask: Ask, distribution: Make) -> None:
    """Reasons are long; `dovetail plugin check` tells them."""
    folders = [distribution(f"dovetail-{name}", f"{name}_plugin", "import no_such_library\n") for name in ("one", "two")]
    answer = ask(
        """
        from dovetail.errors import DovetailError
        from dovetail.registry import official
        official.official_plugins = lambda: {"brought": official.OfficialPlugin("brought", "dovetail-brought", "dovetail-brought>=1")}
        registry = Registry.load({})
        answer = []
        for name in ("other", "brought"):
            try:
                registry.flavor("experiment_tracker", name)
            except DovetailError as error:
                answer.append(str(error))
        """,
        *folders,
    )
    assert answer[0].endswith("Broken plugins, which may have brought it: 'one' (dovetail-one), 'two' (dovetail-two). `dovetail plugin check` says why.")
    assert answer[1].endswith("The plugin 'brought' brings it and is not installed. Run `dovetail plugin install brought`.")


def test_a_flavor_that_imports_a_library_that_is_not_there_says_what_to_install(ask: Ask, distribution: Make) -> None:
    source = HEAD + "@hookimpl\ndef dovetail_alerters(): return [FlavorSpec('bell', 'bell_parts:Bell', requires=['no-such-sdk>=2'])]\n"
    folder = distribution("dovetail-bell", "bell_plugin", source)
    (folder / "bell_parts.py").write_text("raise ImportError('No no_such_sdk is here.')\n")
    answer = ask(
        """
        from dovetail.errors import DovetailError
        try:
            Registry.load({}).declared_class("alerter", "bell")
        except DovetailError as error:
            answer = str(error)
        """,
        folder,
    )
    assert answer.endswith("ImportError: No no_such_sdk is here. It needs no-such-sdk>=2, which is not installed. Run `pip install 'no-such-sdk>=2'`.")


def test_one_flavor_offered_by_two_plugins_is_an_error_that_names_both_for_who_asks(ask: Ask, distribution: Make) -> None:
    source = HEAD + "@hookimpl\ndef dovetail_alerters(): return [FlavorSpec('bell', 'x:Y'), FlavorSpec({own!r}, 'x:Y')]\n"
    folders = [distribution(f"dovetail-{name}", f"{name}_plugin", source.format(own=name)) for name in ("one", "two")]
    answer = ask(
        """
        from dovetail.errors import ConfigurationError
        registry = Registry.load({})
        answer = [registry.flavor("alerter", "one").name]
        try:
            registry.flavor("alerter", "bell")
        except ConfigurationError as error:
            answer.append(str(error))
        """,
        *folders,
    )
    assert answer[0] == "one"
    assert "offered by 'one' (dovetail-one) and 'two' (dovetail-two)" in answer[1]


def test_a_command_that_two_plugins_claim_stays_with_the_first(ask: Ask, distribution: Make) -> None:
    source = HEAD + "@hookimpl\ndef dovetail_cli_commands(): return {{'ring': '{own}:ring'}}\n"
    folders = [distribution(f"dovetail-{name}", f"{name}_plugin", source.format(own=name)) for name in ("one", "two")]
    answer = ask("registry = Registry.load({})\nanswer = [registry.cli_commands(), registry.plugins()[2].reason]", *folders)
    assert answer == [{"ring": "one:ring"}, "its command 'ring' is offered by another plugin too"]


def test_narrowing_by_the_environment_leaves_a_plugin_unimported(ask: Ask, distribution: Make, acme: Path) -> None:
    answer = ask(
        """
        import sys
        answer = [[info.name for info in Registry.load().plugins()], "slow_plugin" in sys.modules]
        """,
        distribution("dovetail-slow", "slow_plugin", ""),
        acme,
        DOVETAIL_PLUGINS="acme",
    )
    assert answer == [["local", "acme"], False]


def test_a_module_that_two_entry_points_name_is_one_plugin(ask: Ask, distribution: Make) -> None:
    folder = distribution(
        "dovetail-double", "double_plugin", HEAD + "@hookimpl\ndef dovetail_alerters(): return [FlavorSpec('x', 'y:Z')]\n"
    )
    points = next(folder.glob("*.dist-info")) / "entry_points.txt"
    points.write_text("[dovetail]\na = double_plugin\nb = double_plugin\n")
    answer = ask(
        "registry = Registry.load({})\nanswer = [[i.name, i.status] for i in registry.plugins()] + [registry.flavor('alerter', 'x').name]",
        folder,
    )
    assert answer == [["local", "installed"], ["a", "installed"], ["b", "broken"], "x"]
