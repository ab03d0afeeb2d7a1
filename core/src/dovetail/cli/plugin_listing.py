"""The rows of `dovetail plugin list`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from dovetail.registry.installed import installed_plugins
from dovetail.registry.official import official_plugins
from dovetail.registry.requirements import folded

if TYPE_CHECKING:
    from dovetail.registry import Registry


def rows_of(registry: Registry) -> list[dict[str, Any]]:
    """Installed and broken plugins, those that DOVETAIL_PLUGINS leaves out, and official ones that are not installed."""
    return [*_loaded(registry), *_left_out(registry), *_available()]


def table_row(row: Mapping[str, Any]) -> dict[str, Any]:
    flavors = [f"{kind.replace('_', ' ')}: {', '.join(names)}" for kind, names in row["flavors"].items()]
    return {**row, "brings": "; ".join([*flavors, *_shortened(row["more"])]) or row["help"] or "-"}


def _shortened(more: list[str]) -> list[str]:
    """Materializers are counted, as one plugin may bring dozens."""
    materializers = [what for what in more if what.startswith("materializer")]
    others = [what for what in more if what not in materializers]
    counted = f"{len(materializers)} materializers" if len(materializers) > 1 else "1 materializer"
    return [*([counted] if materializers else []), *others]


def _loaded(registry: Registry) -> Iterator[dict[str, Any]]:
    for info in registry.plugins():
        flavors = {kind: list(names) for kind, names in info.flavors.items()}
        yield _row(info.name, info.distribution, info.version, info.status, info.reason, flavors=flavors, more=registry.brings(info))


def _left_out(registry: Registry) -> Iterator[dict[str, Any]]:
    loaded = {(info.name, info.distribution) for info in registry.plugins()}
    for plugin in installed_plugins():
        if (plugin.name, plugin.distribution) not in loaded:
            reason = "DOVETAIL_PLUGINS or --no-plugins leaves it out"
            yield _row(plugin.name, plugin.distribution, plugin.version, "left out", reason)


def _available() -> Iterator[dict[str, Any]]:
    present = {folded(plugin.distribution) for plugin in installed_plugins()}
    for known in official_plugins().values():
        if folded(known.distribution) not in present:
            version = known.version or known.requirement.removeprefix(known.distribution)
            yield _row(known.name, known.distribution, version, "available", None, about=known.help)


def _row(
    name: str, distribution: str, version: str, status: str, reason: str | None, *, flavors: Any = None, more: Any = None, about: str = ""
) -> dict[str, Any]:
    return {
        "name": name,
        "distribution": distribution,
        "version": version,
        "status": status,
        "flavors": flavors or {},
        "more": more or [],
        "reason": reason,
        "help": about,
    }
