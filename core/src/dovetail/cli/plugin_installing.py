"""`dovetail plugin install` and `uninstall`."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dovetail.cli.plugin_checking import not_installed
from dovetail.cli.plugin_installer import installer
from dovetail.errors import ConfigurationError, DovetailError, NotFound
from dovetail.registry.installed import installed_plugins
from dovetail.registry.official import OfficialPlugin, is_editable, official_plugin, official_plugins
from dovetail.registry.requirements import folded, parsed

if TYPE_CHECKING:
    from dovetail.cli.session import Session

_PREFIX = "dovetail-"
_ARCHIVES = (".whl", ".tar.gz", ".zip")


def install_plugins(session: Session, names: Sequence[str], *, yes: bool) -> None:
    known = official_plugins()
    requirements = [part for name in names for part in _requirement(name, known)]
    tool = installer()
    changes = tool.preview(requirements)
    if not changes:
        session.say(f"Nothing to do: {', '.join(names)} {'is' if len(names) == 1 else 'are'} installed already.")
        return
    session.say(f"{tool.name} would change {sys.prefix}:")
    for change in changes:
        session.say(f"  {change}")
    _ask("Install?", yes=yes)
    before = _installed()
    tool.install(requirements)
    _say_what_came(session, before)


def uninstall_plugins(session: Session, names: Sequence[str], *, yes: bool) -> None:
    distributions = dict.fromkeys(_distribution(session, name) for name in names)
    session.say(f"This would be uninstalled from {sys.prefix}:")
    for distribution, version in distributions:
        session.say(f"  - {distribution} {version}")
    _ask("Uninstall?", yes=yes)
    installer().uninstall([distribution for distribution, _ in distributions])
    session.say(f"Uninstalled {', '.join(distribution for distribution, _ in distributions)}.")


def _requirement(name: str, known: dict[str, OfficialPlugin]) -> list[str]:
    """The installer's arguments for one plugin: from the clone where it lies there, else as Dovetail's extra names it."""
    official = official_plugin(name, known)
    if official is not None:
        return _from_folder(official.folder) if official.folder else [official.requirement]
    place = Path(name)
    if (place / "pyproject.toml").is_file():
        return [str(place.absolute())]
    if name.endswith(_ARCHIVES) and place.is_file():
        return [str(place.absolute())]
    if folded(parsed(name).name).startswith(_PREFIX):
        return [name]
    raise NotFound(
        "official plugin",
        name,
        known,
        "A plugin from elsewhere is named by its distribution, if that begins with dovetail-, its folder or its wheel; "
        "any other is installed by pip or uv.",
    )


def _from_folder(folder: Path) -> list[str]:
    return ["-e", str(folder)] if is_editable() else [str(folder)]


def _distribution(session: Session, name: str) -> tuple[str, str]:
    for plugin in installed_plugins():
        if folded(name) in (folded(plugin.name), folded(plugin.distribution)):
            if plugin.built_in:
                raise ConfigurationError(f"The plugin '{plugin.name}' is built in; it goes with Dovetail alone.")
            return plugin.distribution, plugin.version
    raise not_installed(name, session.registry.plugins())


def _ask(question: str, *, yes: bool) -> None:
    if yes:
        return
    try:
        wanted = click.confirm(question, err=True)
    except click.Abort:
        raise DovetailError("Nothing was changed, as nobody answered. Add -y to go ahead without being asked.") from None
    if not wanted:
        raise DovetailError("Nothing was changed.")


def _installed() -> set[tuple[str, str, str]]:
    return {(plugin.name, plugin.distribution, plugin.version) for plugin in installed_plugins()}


def _say_what_came(session: Session, before: set[tuple[str, str, str]]) -> None:
    """Checks what is new in a process of its own: this one may hold what was there before."""
    came = sorted(_installed() - before)
    if not came:
        session.say("Installed.")
        return
    for name, distribution, version in came:
        session.say(f"Installed plugin '{name}' ({distribution} {version}).")
    command = [sys.executable, "-c", "from dovetail.cli import main; main()", "plugin", "check", *(name for name, *_ in came)]
    if subprocess.run(command, check=False).returncode:
        click.get_current_context().exit(1)
