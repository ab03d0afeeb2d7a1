"""The plugins that Dovetail itself knows by name: its extras, and in a clone the folders below `plugins` and `contrib`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from dovetail.registry.requirements import folded, parsed

CORE = "dovetail"
FOLDERS = ("plugins", "contrib")
_FIELD = re.compile(r'^(name|version|description)\s*=\s*"([^"\n]*)"', re.MULTILINE)


@dataclass(frozen=True, slots=True)
class OfficialPlugin:
    """`requirement`: what brings it from a registry. `folder`: where it lies in the clone that this Dovetail is installed from.

    `also`: other extras that bring it, named as its flavors.
    """

    name: str
    distribution: str
    requirement: str
    help: str = ""
    version: str = ""
    folder: Path | None = None
    also: tuple[str, ...] = ()


def official_plugins() -> dict[str, OfficialPlugin]:
    """By the name of the extra that is named as the distribution; read from the installed core's metadata and the clone, and imported by nothing."""
    from importlib import metadata

    try:
        required = metadata.requires(CORE) or []
    except metadata.PackageNotFoundError:  # run from its sources, without being installed
        required = []
    root = clone_root()
    known = {plugin.name: plugin for plugin in _in_folders(root)} if root else {}
    for plugin in _extras(required):
        own = known.get(plugin.name)
        known[plugin.name] = replace(own, requirement=plugin.requirement, also=plugin.also) if own else plugin
    return dict(sorted(known.items()))


def official_plugin(name: str, known: Mapping[str, OfficialPlugin]) -> OfficialPlugin | None:
    """By the name of its extra, or by its distribution's; spelled in any way that installers take for the same."""
    wanted = folded(name)
    return next((each for each in known.values() if wanted in map(folded, (each.name, each.distribution, *each.also))), None)


def clone_root() -> Path | None:
    """The clone that Dovetail was installed from, where it was installed from one."""
    return next((root for root in _places() if (root / "core" / "pyproject.toml").is_file()), None)


def is_editable() -> bool:
    """Whether Dovetail runs from its sources, as it does where it was installed by `pip install -e`."""
    origin = _origin()
    return bool(origin.get("dir_info", {}).get("editable")) if origin else clone_root() is not None


def _extras(required: Iterable[str]) -> Iterable[OfficialPlugin]:
    extras: dict[str, list[str]] = {}
    requirements: dict[str, str] = {}
    for text in required:
        requirement = parsed(text)
        if requirement.extra and folded(requirement.name).startswith(f"{CORE}-"):
            extras.setdefault(requirement.name, []).append(requirement.extra)
            requirements[requirement.name] = str(requirement)
    for distribution, names in extras.items():
        plain = folded(distribution).removeprefix(f"{CORE}-")
        name = next((name for name in names if folded(name) == plain), names[0])
        yield OfficialPlugin(name, distribution, requirements[distribution], also=tuple(other for other in names if other != name))


def _in_folders(root: Path) -> Iterable[OfficialPlugin]:
    for file in sorted(path for folder in FOLDERS for path in root.glob(f"{folder}/*/pyproject.toml")):
        facts = dict(reversed(_FIELD.findall(file.read_text(encoding="utf-8"))))  # the first of each name is the project's
        name = facts.get("name", f"{CORE}-{file.parent.name}")
        yield OfficialPlugin(file.parent.name, name, name, facts.get("description", ""), facts.get("version", ""), file.parent)


def _places() -> Iterable[Path]:
    from urllib.parse import urlsplit
    from urllib.request import url2pathname

    url = urlsplit(str(_origin().get("url", "")))
    if url.scheme == "file":
        yield Path(url2pathname(url.path)).parent
    yield Path(__file__).resolve().parents[4]


def _origin() -> dict[str, dict[str, object]]:
    """Where the installer took Dovetail from, as it noted it."""
    from importlib import metadata

    try:
        text = metadata.distribution(CORE).read_text("direct_url.json")
        noted = json.loads(text) if text else {}
    except (metadata.PackageNotFoundError, ValueError):
        return {}
    return noted if isinstance(noted, dict) else {}
