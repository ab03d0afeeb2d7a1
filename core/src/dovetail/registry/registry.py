"""Answers what is installed: component types, flavors, materializers, commands, observers, and what is broken and why."""

from __future__ import annotations

import functools
import os
import shlex
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dovetail.components.component import Component
from dovetail.errors import ConfigurationError, NotFound, PluginBroken
from dovetail.plugin import ComponentType, FlavorSpec, MaterializerSpec
from dovetail.registry.hooks import Hooks
from dovetail.registry.installed import InstalledPlugin, installed_plugins, narrowed
from dovetail.values.imports import load_object

if TYPE_CHECKING:
    from dovetail.registry.requirements import Unmet


@dataclass(frozen=True, slots=True)
class PluginInfo:
    """A plugin as it is listed. `status`: installed or broken. `flavors`: names by component type."""

    name: str
    distribution: str
    version: str
    status: str
    reason: str | None
    flavors: Mapping[str, tuple[str, ...]]


class Registry:
    """Everything that the installed plugins supply. Making one imports nothing; the first question imports the plugins' modules.

    A plugin that cannot be used stays listed with its reason, and is an error only for who asks for what it should supply.
    """

    def __init__(self, plugins: Iterable[InstalledPlugin]) -> None:
        self._hooks = Hooks(tuple(plugins))
        self._flavors: dict[str, dict[str, list[tuple[InstalledPlugin, FlavorSpec]]]] = {}
        self._complete: set[tuple[str, str]] = set()  # flavors whose requirements were found; asking again costs a search

    @classmethod
    def load(cls, environ: Mapping[str, str] = os.environ, only: Collection[str] | None = None) -> Registry:
        """The plugins of this Python, narrowed by `only` (an empty one leaves the built-in plugin) or by DOVETAIL_PLUGINS."""
        return cls(narrowed(installed_plugins(), environ, only))

    def plugins(self) -> list[PluginInfo]:
        supplied: dict[InstalledPlugin, dict[str, tuple[str, ...]]] = {plugin: {} for plugin in self._hooks.plugins}
        for kind in self.component_types():
            for name, offers in self._offers(kind.name).items():
                for plugin, _ in offers:
                    supplied[plugin][kind.name] = (*supplied[plugin].get(kind.name, ()), name)
        self.materializer_specs()
        self.cli_commands()
        return [self._info(plugin, flavors) for plugin, flavors in supplied.items()]

    def _info(self, plugin: InstalledPlugin, flavors: Mapping[str, tuple[str, ...]]) -> PluginInfo:
        reason = self._hooks.broken.get(plugin)
        status = "broken" if reason else "installed"
        return PluginInfo(plugin.name, plugin.distribution, plugin.version, status, reason, flavors)

    def plugin_modules(self) -> frozenset[str]:
        """The plugins' top-level modules; imports nothing."""
        return frozenset(plugin.top_level for plugin in self._hooks.plugins)

    def component_types(self) -> list[ComponentType]:
        self._hooks.load()
        return list(self._hooks.component_types.values())

    def component_type(self, name: str) -> ComponentType:
        """By its name, or by the name of its command-line option."""
        self._hooks.load()
        kind = self._hooks.component_types.get(name.replace("-", "_"))
        if kind is None:
            raise NotFound("component type", name, self._hooks.component_types)
        return kind

    def flavors(self, component_type: str) -> list[FlavorSpec]:
        """Every flavor of a type, built-in ones first, then by name."""
        return [spec for offers in self._offers(component_type).values() for _, spec in offers]

    def flavor(self, component_type: str, name: str) -> FlavorSpec:
        """Raises NotFound, PluginBroken when a broken plugin should have supplied it, ConfigurationError when two supply it."""
        kind = self.component_type(component_type)
        offers = self._offers(kind.name).get(name, [])
        if len(offers) > 1:
            rivals = " and ".join(_titled(plugin) for plugin, _ in offers)
            raise ConfigurationError(
                f"The {_words(kind)} flavor '{name}' is offered by {rivals}. Uninstall one, or leave one out of DOVETAIL_PLUGINS."
            )
        if not offers:
            raise self._missing(kind, name)
        return offers[0][1]

    def _missing(self, kind: ComponentType, name: str) -> ConfigurationError:
        from dovetail.registry.requirements import folded

        broken = {plugin: reason for plugin, reason in self._hooks.broken.items() if not plugin.built_in}
        for plugin, reason in broken.items():
            if folded(name) in (folded(plugin.name), folded(plugin.distribution.removeprefix("dovetail-"))):
                return PluginBroken(
                    f"The {_words(kind)} flavor '{name}' cannot be used: plugin {_titled(plugin)} is broken: {reason}."
                )
        return NotFound(f"{_words(kind)} flavor", name, self._offers(kind.name), self._cure(name, broken))

    def _cure(self, name: str, broken: Mapping[InstalledPlugin, str]) -> str:
        """What to install, to let in or to repair, for a flavor that no plugin offers."""
        import difflib

        from dovetail.registry.official import official_plugin, official_plugins
        from dovetail.registry.requirements import folded

        present = {folded(plugin.distribution) for plugin in installed_plugins()}
        loaded = {folded(plugin.distribution) for plugin in self._hooks.plugins}
        absent = {each.name: each for each in official_plugins().values() if folded(each.distribution) not in loaded}
        named = official_plugin(name, absent)
        if named is None:
            close = difflib.get_close_matches(folded(name), absent, n=1, cutoff=0.75)
            if close:
                return f"Did you mean '{close[0]}'? Run `dovetail plugin install {close[0]}`, which brings it."
            meant = f"Plugins that are not installed: {', '.join(absent)}. " if absent else ""
            elsewhere = f"If a plugin from elsewhere brings it, install that, by convention `pip install dovetail-{folded(name)}`."
            return f"{meant}{elsewhere}{_suspects(broken)}"
        if folded(named.distribution) in present:
            return f"The plugin '{named.name}' is installed, and DOVETAIL_PLUGINS or --no-plugins leaves it out; let it in."
        return f"The plugin '{named.name}' brings it and is not installed. Run `dovetail plugin install {named.name}`."

    def component_class(self, component_type: str, flavor: str) -> type[Component]:
        """The class, ready for use. ConfigurationError with the pip command when a library that it needs is not installed."""
        spec = self.flavor(component_type, flavor)
        unmet = _unmet(spec) if spec.requires and (component_type, flavor) not in self._complete else []
        if unmet:
            raise ConfigurationError(_needs(unmet, f"The {component_type.replace('_', ' ')} flavor '{flavor}'"))
        self._complete.add((component_type, flavor))
        return self.declared_class(component_type, flavor)

    def declared_class(self, component_type: str, flavor: str) -> type[Component]:
        """The class, for its fields, help and capabilities; the libraries that it works with need not be installed."""
        spec = self.flavor(component_type, flavor)
        kind = self.component_type(component_type)
        try:
            found = load_object(spec.target)
            interface: Any = load_object(kind.interface) if kind.interface else Component
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            absent = [each for each in _unmet(spec) if each.found is None]
            raise PluginBroken(
                f"The {_words(kind)} flavor '{flavor}' of plugin {self._supplier(kind, flavor)} cannot be imported from "
                f"{spec.target}: {type(error).__name__}: {str(error).rstrip('.')}. {_needs(absent) if absent else 'Repair or reinstall the plugin.'}"
            ) from error
        if not (isinstance(found, type) and issubclass(found, interface)):
            raise PluginBroken(
                f"The {_words(kind)} flavor '{flavor}' of plugin {self._supplier(kind, flavor)} names {spec.target}, which is no "
                f"{interface.__name__}. Let the class inherit from {interface.__module__}.{interface.__name__}."
            )
        return found

    def _supplier(self, kind: ComponentType, flavor: str) -> str:
        return _titled(self._offers(kind.name)[flavor][0][0])

    def materializer_specs(self) -> list[MaterializerSpec]:
        """Declared materializers in the order in which they are asked: plugins by name, then the built-in ones."""
        answers = self._hooks.answers("dovetail_materializers", functools.partial(_all_of, MaterializerSpec))
        supplied = sorted(answers, key=lambda answer: answer[0].built_in)
        return [spec for _, specs in supplied for spec in specs]

    def cli_commands(self) -> dict[str, str]:
        """Import strings of the plugins' own commands by their names; the first plugin by name keeps a name that two claim."""
        commands: dict[str, str] = {}
        for plugin, offered in self._hooks.answers("dovetail_cli_commands", _command_table):
            for name, target in offered.items():
                if commands.setdefault(name, target) != target:
                    self._hooks.mark_broken(plugin, f"its command '{name}' is offered by another plugin too")
        return commands

    def declared_targets(self, info: PluginInfo) -> list[tuple[str, str]]:
        """What a plugin declares besides flavors, each with its import string; imports none of them."""
        materializers = self._hooks.answers("dovetail_materializers", functools.partial(_all_of, MaterializerSpec))
        commands = self._hooks.answers("dovetail_cli_commands", _command_table)
        found = [
            (plugin, f"materializer of {', '.join(spec.types)}", spec.target) for plugin, specs in materializers for spec in specs
        ]
        found += [(plugin, f"command '{name}'", target) for plugin, table in commands for name, target in table.items()]
        own = (info.name, info.distribution)
        return [(what, target) for plugin, what, target in found if (plugin.name, plugin.distribution) == own]

    def brings(self, info: PluginInfo) -> list[str]:
        """What a plugin adds besides flavors, in words."""
        own = (info.name, info.distribution)
        observes = [plugin for plugin in self._hooks.plugins if (plugin.name, plugin.distribution) == own and self._hooks.observes(plugin)]
        return [*(what for what, _ in self.declared_targets(info)), *("observer of runs" for _ in observes)]

    def observe(self, hook: str, event: Mapping[str, Any]) -> None:
        """Tell every observer. `hook`: such as `dovetail_run_started`. Never raises for what an observer does."""
        self._hooks.tell(hook, event)

    def _offers(self, component_type: str) -> dict[str, list[tuple[InstalledPlugin, FlavorSpec]]]:
        kind = self.component_type(component_type)
        if kind.name not in self._flavors:
            self._flavors[kind.name] = self._collect(kind)
        return self._flavors[kind.name]

    def _collect(self, kind: ComponentType) -> dict[str, list[tuple[InstalledPlugin, FlavorSpec]]]:
        offers: dict[str, list[tuple[InstalledPlugin, FlavorSpec]]] = {}
        for plugin, specs in self._hooks.answers(kind.hook, functools.partial(_all_of, FlavorSpec)):
            for spec in specs:
                rivals = offers.setdefault(spec.name, [])
                if any(rival.built_in for rival, _ in rivals):
                    # A stranger must not be able to take the default stack away.
                    self._hooks.mark_broken(plugin, f"it offers the {_words(kind)} flavor '{spec.name}', which is built in")
                else:
                    rivals.append((plugin, spec))
        return offers


def missing_requirements(spec: FlavorSpec) -> list[str]:
    """The requirements of a flavor of which no version is installed."""
    return [each.requirement for each in _unmet(spec) if each.found is None]


def _unmet(spec: FlavorSpec) -> list[Unmet]:
    from dovetail.registry.requirements import unmet_requirements

    return unmet_requirements(spec.requires)


def _suspects(broken: Mapping[InstalledPlugin, str]) -> str:
    """The reason of a single one; of several their names, as reasons are long."""
    if len(broken) > 1:
        return f" Broken plugins, which may have brought it: {', '.join(map(_titled, broken))}. `dovetail plugin check` says why."
    return "".join(f" Broken plugins, which may have brought it: {_titled(plugin)}: {reason}." for plugin, reason in broken.items())


def _needs(unmet: Sequence[Unmet], what: str = "It") -> str:
    install = " ".join(shlex.quote(each.requirement) for each in unmet)
    return f"{what} needs {'; '.join(map(str, unmet))}. Run `pip install {install}`."


def _all_of(cls: type[Any], answer: Any) -> list[Any]:
    """The answer as a list, or TypeError saying what stands in it instead."""
    if isinstance(answer, (str, Mapping)):
        raise TypeError(f"{answer!r} is no list of {cls.__name__}")
    items = list(answer)
    for item in items:
        if not isinstance(item, cls):
            raise TypeError(f"{item!r} is no {cls.__name__}")
    return items


def _command_table(answer: Any) -> dict[str, str]:
    table = dict(answer)
    for name, target in table.items():
        if not (isinstance(name, str) and isinstance(target, str)):
            raise TypeError(f"{name!r}: {target!r} is no command's name and import string")
    return table


def _titled(plugin: InstalledPlugin) -> str:
    return f"'{plugin.name}'" if plugin.distribution in ("", plugin.name) else f"'{plugin.name}' ({plugin.distribution})"


def _words(kind: ComponentType) -> str:
    return kind.name.replace("_", " ")
