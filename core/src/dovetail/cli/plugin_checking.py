"""What `dovetail plugin check` finds: whether what is installed fits together."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from dovetail.cli.application import SECTIONS
from dovetail.errors import ConfigurationError, NotFound
from dovetail.registry.official import CORE, official_plugin, official_plugins
from dovetail.registry.requirements import Unmet, folded, parsed, unmet_requirements
from dovetail.stack.fields import field_types
from dovetail.values.imports import load_object

if TYPE_CHECKING:
    from dovetail.registry import PluginInfo, Registry


def named_plugins(registry: Registry, names: Sequence[str]) -> list[PluginInfo]:
    """All plugins, or those that are named by their own names or their distributions'."""
    plugins = registry.plugins()
    for name in names:
        if not _named(plugins, name):
            raise not_installed(name, plugins)
    return [info for info in plugins if not names or any(info in _named(plugins, name) for name in names)]


def _named(plugins: Sequence[PluginInfo], name: str) -> list[PluginInfo]:
    return [info for info in plugins if folded(name) in (folded(info.name), folded(info.distribution))]


def not_installed(name: str, plugins: Sequence[PluginInfo]) -> NotFound:
    known = official_plugin(name, official_plugins())
    cure = f"Run `dovetail plugin install {known.name}`." if known else ""
    return NotFound("installed plugin", name, [info.name for info in plugins], cure)


def problems_of(registry: Registry, info: PluginInfo) -> Iterator[str]:
    if info.reason:
        yield f"Plugin '{info.name}' is broken: {info.reason}.{'' if _names_a_cure(info.reason) else f' {_last_resort(info)}'}"
    yield from _unmet_by_environment(info)
    for kind, names in info.flavors.items():
        for name in names:
            try:
                field_types(registry.component_class(kind, name))
            except ConfigurationError as error:
                yield str(error)
    yield from _unresolved(registry, info)
    yield from _out_of_reach(registry, info)


def _names_a_cure(reason: str) -> bool:
    """Whether the reason tells what to run; what a plugin raised by itself does not."""
    return "`" in reason


def _last_resort(info: PluginInfo) -> str:
    return f"Update or repair {info.distribution}, or run `dovetail plugin uninstall {info.name}`."


def _unmet_by_environment(info: PluginInfo) -> Iterator[str]:
    """What the distribution asks for and the environment does not hold, as `pip check` would say it."""
    from importlib import metadata

    try:
        required = metadata.requires(info.distribution) or []
    except (metadata.PackageNotFoundError, ValueError):
        return
    unmet = unmet_requirements(text for text in required if folded(parsed(text).name) != CORE)  # that is why it would be broken
    if unmet:
        yield f"Plugin '{info.name}' ({info.distribution} {info.version}) needs {'; '.join(map(str, unmet))}. Run `{_cure(unmet)}`."


def _cure(unmet: Sequence[Unmet]) -> str:
    return f"pip install {' '.join(shlex.quote(each.requirement.partition(';')[0].strip()) for each in unmet)}"


def _unresolved(registry: Registry, info: PluginInfo) -> Iterator[str]:
    """Materializers and commands that the plugin declares and that are not there."""
    for what, target in registry.declared_targets(info):
        try:
            load_object(target)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            yield (
                f"The {what} of plugin '{info.name}' cannot be imported from {target}: {type(error).__name__}: {str(error).rstrip('.')}. "
                f"Repair or reinstall the plugin."
            )


def _out_of_reach(registry: Registry, info: PluginInfo) -> Iterator[str]:
    """Commands of a name that `dovetail` has itself: its own one is run."""
    declared = {what for what, _ in registry.declared_targets(info)}
    for name in (command.name for section in SECTIONS for command in section.commands if f"command '{command.name}'" in declared):
        yield f"The command '{name}' of plugin '{info.name}' is never run, as Dovetail has a command of that name. Let the plugin rename it."
