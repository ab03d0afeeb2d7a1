"""Which plugins are installed: the entry points of the group `dovetail`, found without importing anything of theirs."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from dovetail.errors import ConfigurationError, near

GROUP = "dovetail"
BUILT_IN = "dovetail.local"
NARROWED_BY = "DOVETAIL_PLUGINS"
_FACT = re.compile(r"^(Name|Version):[ \t]*(.*?)[ \t]*$", re.MULTILINE)
_REQUIRES = re.compile(r"^Requires-Dist:[ \t]*(.*?)[ \t]*$", re.MULTILINE)
_ON_CORE = re.compile(r"dovetail(?![\w.-])\s*(?:\[[^\]]*\])?\s*\(?([^;()]*)\)?\s*(?:;.*)?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class InstalledPlugin:
    """One entry point. `target`: the module, or `module:object`, that holds its hook implementations.

    `core`: the versions of Dovetail that its distribution asks for, such as `>=0.2,<1`; "" where it does not say.
    """

    name: str
    target: str
    distribution: str
    version: str
    core: str = field(default="", compare=False)

    @property
    def built_in(self) -> bool:
        return self.target == BUILT_IN

    @property
    def top_level(self) -> str:
        return self.target.partition(":")[0].partition(".")[0]


def installed_plugins(path: Sequence[str] | None = None) -> list[InstalledPlugin]:
    """The built-in plugin first, then the others by name."""
    places = sys.path if path is None else path
    found = list(_from_metadata(places) if _beyond_folders(places) else _from_folders(places))
    if not any(plugin.built_in for plugin in found):  # run from its sources, without being installed
        found.append(InstalledPlugin("local", BUILT_IN, "dovetail", ""))
    return sorted(found, key=lambda plugin: (not plugin.built_in, plugin.name, plugin.distribution))


def narrowed(
    plugins: Sequence[InstalledPlugin], environ: Mapping[str, str], only: Collection[str] | None
) -> list[InstalledPlugin]:
    """The plugins that `only`, else DOVETAIL_PLUGINS, names by plugin or distribution; the built-in one always."""
    if only is None and NARROWED_BY in environ:
        only = [name.strip() for name in environ[NARROWED_BY].split(",") if name.strip()]
    if only is None:
        return list(plugins)
    wanted = set(only)
    known = {name for plugin in plugins for name in (plugin.name, plugin.distribution)}
    for name in sorted(wanted - known):
        raise ConfigurationError(
            f"{NARROWED_BY} names the plugin '{name}', which is not installed. {near(name, known)} Correct it, or install the plugin."
        )
    return [plugin for plugin in plugins if plugin.built_in or plugin.name in wanted or plugin.distribution in wanted]


def _beyond_folders(places: Sequence[str]) -> bool:
    """Whether distributions may lie where only the standard library's finders look: in an archive, or behind a finder of their own."""
    own_finders = sum(hasattr(finder, "find_distributions") for finder in sys.meta_path)
    return own_finders > 1 or any(os.path.isfile(place) for place in places)


def _from_metadata(places: Sequence[str]) -> Iterator[InstalledPlugin]:
    from importlib import metadata

    seen: set[str] = set()
    for found in metadata.distributions(path=list(places)):
        name = str(found.metadata["Name"] or "")
        if _folded(name) in seen:
            continue
        seen.add(_folded(name))
        for point in found.entry_points:
            if point.group == GROUP:
                core = _core_versions(found.requires or ())
                yield InstalledPlugin(point.name, _target(point.value), name, str(found.version), core)


# The standard library's importlib.metadata answers the same, but importing it brings the e-mail parser, archives and
# sockets: ten times as long as the look into the folders. A test holds that both find the same.


def _from_folders(places: Sequence[str]) -> Iterator[InstalledPlugin]:
    seen: set[str] = set()
    for place in dict.fromkeys(place or os.curdir for place in places):
        try:
            names = sorted(os.listdir(place))
        except OSError:
            continue
        for name in names:
            if not name.endswith((".dist-info", ".egg-info")):
                continue
            folded = _folded(name.rpartition(".")[0].partition("-")[0])
            if folded not in seen:
                seen.add(folded)
                yield from _from_info(os.path.join(place, name))


def _from_info(folder: str) -> Iterator[InstalledPlugin]:
    text = _read(folder, "entry_points.txt")
    if f"[{GROUP}]" not in text:
        return
    facts = _read(folder, "METADATA") or _read(folder, "PKG-INFO")
    head = facts.partition("\n\n")[0]
    named = dict(_FACT.findall(head))
    core = _core_versions(_REQUIRES.findall(head))
    section = ""
    for line in map(str.strip, text.splitlines()):
        if line.startswith("["):
            section = line.strip("[]").strip()
        elif section == GROUP and "=" in line and not line.startswith(("#", ";")):
            name, _, value = line.partition("=")
            yield InstalledPlugin(name.strip(), _target(value), named.get("Name", ""), named.get("Version", ""), core)


def _core_versions(requirements: Iterable[str]) -> str:
    """The ranges of all requirements on Dovetail that belong to no extra."""
    ranges = [
        _ON_CORE.fullmatch(requirement.strip()) for requirement in requirements if "extra" not in requirement.partition(";")[2]
    ]
    return ",".join(filter(None, (match[1].strip() for match in ranges if match)))


def _read(folder: str, name: str) -> str:
    try:
        with open(os.path.join(folder, name), encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def _target(value: str) -> str:
    return value.partition("[")[0].replace(" ", "")


def _folded(name: str) -> str:
    return re.sub(r"[-_.]+", "_", name).casefold()
