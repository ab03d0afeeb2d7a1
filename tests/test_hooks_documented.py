"""The page on plugins knows every hook, component type and capability, and shows what `dovetail plugin new` writes."""

from __future__ import annotations

import inspect
import re
import sys
from pathlib import Path

import pytest

from dovetail import hookspecs
from dovetail.components import Capability
from dovetail.plugin import ComponentType, FlavorSpec, MaterializerSpec
from dovetail.registry import Registry
from dovetail.registry.installed import InstalledPlugin

PAGE = (Path(__file__).resolve().parents[1] / "core" / "docs" / "plugins.md").read_text(encoding="utf-8")
HOOKS = sorted(name for name in vars(hookspecs) if name.startswith("dovetail_"))
FILES = re.findall(r"^```python\n# file: (\S+)\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


def signature(hook: str) -> str:
    return f"{hook}{inspect.signature(getattr(hookspecs, hook))}".replace("'", "")


@pytest.fixture
def everything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    """The page's example of all hooks, as an installed plugin."""
    (tmp_path / "dovetail_everything.py").write_text(dict(FILES)["dovetail_everything.py"])
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "dovetail_everything", raising=False)
    return Registry([InstalledPlugin("local", "dovetail.local", "dovetail", ""), InstalledPlugin("everything", "dovetail_everything", "everything", "1")])


def test_there_are_hooks() -> None:
    assert len(HOOKS) >= 20


@pytest.mark.parametrize("hook", HOOKS)
def test_every_hook_is_documented_with_its_signature_and_an_example(hook: str) -> None:
    assert f"`{signature(hook)}`" in PAGE
    assert re.search(rf"^@hookimpl\ndef {hook}\(", PAGE, re.MULTILINE), f"no example of {hook}"


@pytest.mark.parametrize("hook", [hook for hook in HOOKS if "event" in signature(hook)])
def test_what_an_event_says_is_documented(hook: str) -> None:
    (row,) = (line for line in PAGE.splitlines() if line.startswith(f"| `{signature(hook)}`"))
    promised = re.findall(r"`(\w+)`", inspect.getdoc(getattr(hookspecs, hook)) or "")
    assert promised
    assert [key for key in promised if f"`{key}`" not in row] == []


@pytest.mark.parametrize("kind", hookspecs.COMPONENT_TYPES, ids=lambda kind: kind.name)
def test_every_component_type_is_documented_with_hook_interface_and_contract(kind: ComponentType) -> None:
    import dovetail.testing

    (row,) = (line for line in PAGE.splitlines() if line.startswith(f"| `{kind.name}` |"))
    assert f"`{kind.hook}`" in row
    if kind.interface is None:
        assert "not published yet" in row
        return
    interface = kind.interface.partition(":")[2]
    assert f"`{interface}`" in row
    assert f"`{interface}Contract`" in row
    assert hasattr(dovetail.testing, f"{interface}Contract")


@pytest.mark.parametrize("capability", Capability, ids=lambda capability: capability.name)
def test_every_capability_is_documented(capability: Capability) -> None:
    assert f"| `{capability.name}` |" in PAGE


@pytest.mark.parametrize("spec", [FlavorSpec, MaterializerSpec, ComponentType], ids=lambda spec: spec.__name__)
def test_what_hooks_return_is_documented_with_all_its_fields(spec: type) -> None:
    (shown,) = re.findall(rf"`{spec.__name__}\((.*?)\)`:", PAGE)
    shown_fields = re.findall(r"(\w+)(?:=[^,]*(?:\(\))?)?(?:, |$)", shown)
    assert shown_fields == list(inspect.signature(spec).parameters)


def test_the_example_of_all_hooks_is_a_plugin_that_is_not_broken(everything: Registry, capsys: pytest.CaptureFixture[str]) -> None:
    (info,) = (info for info in everything.plugins() if info.name == "everything")
    assert info.reason is None
    assert set(info.flavors) == {kind.name for kind in hookspecs.COMPONENT_TYPES} | {"telescope"}
    assert everything.cli_commands() == {"ring": "dovetail_everything_parts:ring"}
    assert everything.materializer_specs()[0].types == ["dovetail_everything_parts.Plan"]
    event = {"run": "1", "name": "n", "pipeline": "p", "stack": "s", "step": "t", "status": "completed", "attempt": 1, "seconds": 0.5, "error": None}
    for hook in HOOKS:
        if "event" in signature(hook):
            everything.observe(hook, {**event, "resumes": None})
            assert capsys.readouterr().out.strip(), f"the example of {hook} says nothing"


def test_the_tutorial_shows_what_plugin_new_writes(tmp_path: Path) -> None:
    from dovetail.cli.plugin_writing import write_plugin

    write_plugin("acme", "experiment_tracker", tmp_path / "dovetail-acme")
    first: dict[str, str] = {}
    for path, text in FILES:
        first.setdefault(path, text)
    shown = {path: text for path, text in first.items() if path.startswith("dovetail-acme/")}
    assert len(shown) == 3
    for path, text in shown.items():
        assert (tmp_path / path).read_text() == text, path
