"""Reads all that a plugin declares, in a fresh process in which the libraries that it requires cannot be imported.

python -m dovetail.testing.declarations PLUGIN      writes the facts as JSON
"""

from __future__ import annotations

import contextlib
import importlib.abc
import inspect
import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from dovetail import hookspecs
from dovetail.components.component import Capability, Component
from dovetail.hookspecs import COMPONENT_TYPES
from dovetail.plugin import ComponentType, FlavorSpec
from dovetail.registry import Registry
from dovetail.registry.installed import installed_plugins
from dovetail.testing.deeds import Deeds
from dovetail.values.imports import load_object

_REQUIREMENT = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)(\[[^\]]*\])?\s*((==|>=|<=|~=|!=|<|>)[^;]*)?(;.*)?")


def read(plugin: str) -> dict[str, Any]:
    """The facts about the plugin of that entry-point module; `found` is False where no entry point names it."""
    installed = [each for each in installed_plugins() if each.target.partition(":")[0] == plugin]
    facts: dict[str, Any] = {"found": bool(installed), "flavors": [], "materializers": [], "commands": []}
    registry = Registry(installed)
    facts |= _imported(plugin, registry)
    facts["observed"] = sorted(name for name in vars(sys.modules[plugin]) if _is_observer(plugin, name)) if plugin in sys.modules else []
    facts["broken"] = [info.reason for info in registry.plugins() if info.reason]
    declared = [(kind, spec) for kind in registry.component_types() for spec in registry.flavors(kind.name)]
    required = _modules_of([requirement for _, spec in declared for requirement in spec.requires])
    facts["imported_required"] = sorted(required & set(facts["modules"]))
    with _forbidden(required - set(sys.modules)):
        facts["flavors"] = [_flavor(registry, kind, spec) for kind, spec in declared]
    facts["component_types"] = [kind.name for kind in registry.component_types() if kind not in COMPONENT_TYPES]
    facts["materializers"] = [_materializer(spec) for spec in registry.materializer_specs()]
    facts["commands"] = [{"name": name, "problem": _command_problem(target)} for name, target in registry.cli_commands().items()]
    return facts


def _is_observer(plugin: str, name: str) -> bool:
    """Whether the plugin implements a hook of that name by which it is told what happens."""
    spec = vars(hookspecs).get(name)
    return hasattr(getattr(sys.modules[plugin], name), "dovetail_impl") and spec is not None and "event" in inspect.signature(spec).parameters


def _imported(plugin: str, registry: Registry) -> dict[str, Any]:
    """What declaring brings in, from the import of the entry point's module to the last hook, and what else it does."""
    before, deeds, problem = set(sys.modules), Deeds(), ""
    with deeds:
        try:
            importlib.import_module(plugin)
            registry.plugins()
        except Exception as error:
            problem = f"{type(error).__name__}: {error}"
    modules = {name.partition(".")[0] for name in set(sys.modules) - before}
    return {"problem": problem, "modules": sorted(modules), "deeds": deeds.told}


class _Forbidding(importlib.abc.MetaPathFinder):
    def __init__(self, names: set[str]) -> None:
        self._names = names

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: Any = None) -> None:
        if fullname.partition(".")[0] in self._names:
            raise ImportError(f"'{fullname}' is imported, which `requires` names: import it inside the methods that use it")


@contextlib.contextmanager
def _forbidden(names: set[str]) -> Iterator[None]:
    """Inside the block these top-level modules cannot be imported, installed or not."""
    finder = _Forbidding(names)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


def _modules_of(requirements: Iterable[str]) -> set[str]:
    """The top-level modules of the required distributions; of one that is not installed, its name as a module."""
    from importlib.metadata import packages_distributions

    wanted = {_folded(match[1]) for match in map(_REQUIREMENT.fullmatch, requirements) if match}
    known: Mapping[str, Sequence[str]] = packages_distributions()
    modules = {module for module, names in known.items() if wanted & set(map(_folded, names))}
    found = {_folded(name) for module in modules for name in known[module]}
    return modules | {name.replace("-", "_") for name in wanted - found}


def _folded(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _flavor(registry: Registry, kind: ComponentType, spec: FlavorSpec) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "name": f"{kind.name} {spec.name}",
        "help": spec.help,
        "odd_requirements": [each for each in spec.requires if not _REQUIREMENT.fullmatch(each)],
        "problem": "",
        "documented": True,  # what cannot be read is judged by its problem alone
        "abstract": [],
        "without_help": [],
        "odd_capabilities": [],
    }
    try:
        facts |= _class_facts(registry.declared_class(kind.name, spec.name))
    except Exception as error:
        facts["problem"] = f"{type(error).__name__}: {error}"
    return facts


def _class_facts(cls: type[Component]) -> dict[str, Any]:
    from dovetail.stack.fields import field_types, fields_of

    field_types(cls)  # the annotations have to be readable

    own = cls.__dict__.get("__doc__") or ""
    generated = own.startswith(f"{cls.__name__}(")  # what @dataclass writes where there is none
    return {
        "documented": bool(own.strip()) and not generated,
        "abstract": sorted(cls.__abstractmethods__) if inspect.isabstract(cls) else [],
        "without_help": sorted(field.name for field in fields_of(cls) if not str(field.metadata.get("help", "")).strip()),
        "odd_capabilities": [str(each) for each in cls.capabilities if not isinstance(each, Capability)],
    }


def _materializer(spec: Any) -> dict[str, Any]:
    from dovetail.materializers.interface import BaseMaterializer

    problem = "" if spec.types else "it names no type"
    try:
        found = load_object(spec.target)
        if not (isinstance(found, type) and issubclass(found, BaseMaterializer)):
            problem = f"{spec.target} is no BaseMaterializer"
        elif inspect.isabstract(found):
            problem = f"{spec.target} does not implement {', '.join(sorted(found.__abstractmethods__))}"
    except Exception as error:
        problem = f"{type(error).__name__}: {error}"
    return {"target": spec.target, "problem": problem}


def _command_problem(target: str) -> str:
    import click

    try:
        return "" if isinstance(load_object(target), click.Command) else f"{target} is no click command"
    except Exception as error:
        return f"{type(error).__name__}: {error}"


if __name__ == "__main__":
    sys.stdout.write(json.dumps(read(sys.argv[1])))
