"""The only file that talks to pluggy: plugins' modules are loaded and their hooks called here, each plugin by itself."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import pluggy

from dovetail import hookspecs
from dovetail.errors import near
from dovetail.plugin import ComponentType
from dovetail.registry.installed import InstalledPlugin
from dovetail.values.imports import load_object

T = TypeVar("T")
_FACTS = ("_started", "_finished", "_retried")  # how the names of hooks end that are told facts
_NEWER_CORE = "Update Dovetail if the plugin was built for a newer one (`pip install --upgrade dovetail`), else correct the plugin"


class Hooks:
    """All plugins' hook implementations. Modules are imported at the first question, the built-in one first.

    Whatever a plugin's code raises is caught, short of the user's Ctrl-C: `sys.exit`, and what compiled libraries raise beside Exception, too.
    `broken` maps a plugin to why it, or a part of it, cannot be used.
    """

    def __init__(self, plugins: Sequence[InstalledPlugin]) -> None:
        self.plugins = tuple(plugins)
        self.broken: dict[InstalledPlugin, str] = {}
        self.component_types: dict[str, ComponentType] = {kind.name: kind for kind in hookspecs.COMPONENT_TYPES}
        self._loaded: dict[InstalledPlugin, Any] = {}
        self._callers: dict[str, list[tuple[InstalledPlugin, Any]]] = {}
        self._ready = False
        self._lock = threading.RLock()

    def load(self) -> None:
        with self._lock:
            if self._ready:
                return
            self._manager = pluggy.PluginManager("dovetail")
            self._manager.add_hookspecs(hookspecs)
            for plugin in self.plugins:
                self._register(plugin)
            self._add_component_types()
            for plugin in list(self._loaded):
                self._refuse_unknown_hooks(plugin)
            self._ready = True

    def answers(self, hook: str, read: Callable[[Any], T]) -> Iterator[tuple[InstalledPlugin, T]]:
        """What each plugin that implements the hook answered, as `read` checks it; what fails is noted as broken and left out."""
        self.load()
        for plugin, call in self._callers_of(hook):
            try:
                answers = [read(answer) for answer in call()]
            except KeyboardInterrupt:
                raise
            except BaseException as error:
                self.mark_broken(plugin, f"its hook {hook} gave no usable answer: {_described(error)}")
                continue
            yield from ((plugin, answer) for answer in answers)

    def tell(self, hook: str, event: Mapping[str, Any]) -> None:
        """Call each observer by itself; what one raises is logged."""
        self.load()
        for plugin, call in self._callers_of(hook):
            try:
                call(event=event)
            except KeyboardInterrupt:
                raise
            except BaseException as error:
                import logging

                logging.getLogger("dovetail").warning(
                    "The observer %s of plugin '%s' failed and is passed over: %s", hook, plugin.name, _described(error)
                )

    def observes(self, plugin: InstalledPlugin) -> bool:
        """Whether it is told what happens in runs."""
        module = self._loaded.get(plugin)
        return module is not None and any(caller.name.endswith(_FACTS) for caller in self._manager.get_hookcallers(module) or ())

    def mark_broken(self, plugin: InstalledPlugin, reason: str) -> None:
        self.broken.setdefault(plugin, reason)

    def _callers_of(self, hook: str) -> list[tuple[InstalledPlugin, Any]]:
        if hook not in self._callers:
            implementing = {impl.plugin_name for impl in getattr(self._manager.hook, hook).get_hookimpls()}
            modules = {plugin: module for plugin, module in self._loaded.items() if _label(plugin) in implementing}
            self._callers[hook] = [
                (plugin, self._manager.subset_hook_caller(hook, [other for other in modules.values() if other is not module]))
                for plugin, module in modules.items()
            ]
        return self._callers[hook]

    def _register(self, plugin: InstalledPlugin) -> None:
        refused = self._other_core(plugin)
        if refused:
            self.mark_broken(plugin, refused)
            return
        try:
            module = load_object(plugin.target)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            self.mark_broken(plugin, _described(error))
            return
        try:
            self._manager.register(module, name=_label(plugin))
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            if self._manager.get_plugin(_label(plugin)) is not None:  # some of its hooks are in, and would be called with another's
                self._manager.unregister(name=_label(plugin))
            cure = f". {_NEWER_CORE}" if isinstance(error, pluggy.PluginValidationError) else ""
            self.mark_broken(plugin, f"{_described(error)}{cure}")
        else:
            self._loaded[plugin] = module

    def _other_core(self, plugin: InstalledPlugin) -> str | None:
        """Why a plugin that asks for other versions of Dovetail than this one is not imported."""
        core = next((other.version for other in self.plugins if other.built_in), "")
        if not core or not plugin.core:
            return None
        from dovetail.registry.requirements import allows

        if allows(plugin.core, core):
            return None
        return (
            f"{plugin.distribution} {plugin.version} was built for dovetail{plugin.core}, and this is dovetail {core}. Run "
            f"`pip install --upgrade dovetail {plugin.distribution}` for versions that fit together"
        )

    def _add_component_types(self) -> None:
        for plugin, call in self._callers_of("dovetail_component_types"):
            try:
                kinds = [kind for answer in call() for kind in answer]
                for kind in kinds:
                    self._add_component_type(kind)
            except KeyboardInterrupt:
                raise
            except BaseException as error:
                self.mark_broken(plugin, f"its hook dovetail_component_types gave no usable component types: {_described(error)}")

    def _add_component_type(self, kind: ComponentType) -> None:
        if not isinstance(kind, ComponentType):
            raise TypeError(f"{kind!r} is no ComponentType")
        if kind.name in self.component_types:
            raise ValueError(f"the component type '{kind.name}' exists already")

        def supply() -> Sequence[Any]:
            raise NotImplementedError

        self._manager.add_hookspecs(type("Supply", (), {kind.hook: staticmethod(hookspecs.hookspec(supply))}))
        self.component_types[kind.name] = kind

    def _refuse_unknown_hooks(self, plugin: InstalledPlugin) -> None:
        module = self._loaded[plugin]
        for caller in self._manager.get_hookcallers(module) or ():
            if caller.has_spec() or all(impl.optionalhook for impl in caller.get_hookimpls()):
                continue
            known = [name for name in vars(self._manager.hook) if getattr(self._manager.hook, name).has_spec()]
            self.mark_broken(
                plugin, f"it implements the hook '{caller.name}', which does not exist. {near(caller.name, known)} {_NEWER_CORE}"
            )


def _label(plugin: InstalledPlugin) -> str:
    return f"{plugin.name} ({plugin.distribution}) {plugin.target}"


def _described(error: BaseException) -> str:
    said = " ".join(str(error).split()).rstrip(".")  # some go over several lines; the sentence that quotes it has its own end
    return f"{type(error).__name__}: {said}" if said else type(error).__name__
