"""`dovetail init`, `dovetail version` and `dovetail doctor`."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from dovetail.cli.output import output_option, print_rows
from dovetail.cli.session import Session, pass_session
from dovetail.errors import ConfigurationError, DovetailError

_OLDEST_PYTHON = (3, 10)
_MARK = """\
# The root of a Dovetail project. Relative paths in stack files start here, and code below here counts as the project's own.
name: {name}
"""
# What belongs to one user or one machine; stacks/ and components/ are meant to be committed.
_IGNORED = "/active\n/store/\n/tracking/\n"


def version_line() -> str:
    from importlib import metadata

    return f"dovetail {metadata.version('dovetail')} (Python {platform.python_version()})"


@click.command()
def version() -> None:
    """Say which Dovetail this is."""
    click.echo(version_line())


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False), default=Path())
@click.option("--name", help="The project's name, by default the folder's.")
@pass_session
def init(session: Session, folder: Path, name: str | None) -> None:
    """Make a folder, by default this one, the root of a project.

    Stacks and components then lie in .dovetail/ below it, to be committed with the code.
    """
    from dovetail.stack.files import as_yaml, write_whole
    from dovetail.values.names import check_name
    from dovetail.values.project import FOLDER, MARKER

    root = folder.absolute()
    if root == Path.home():
        raise ConfigurationError("The home folder cannot be a project, as everything below it would be. Choose a folder in it.")
    marker = root / FOLDER / MARKER
    if marker.exists():
        session.say(f"{root} is a project already.")
        return
    named = check_name("project", name or root.name)
    write_whole(root / FOLDER / ".gitignore", _IGNORED)
    write_whole(marker, _MARK.format(name=as_yaml({"name": named}).removeprefix("name: ").rstrip("\n")))
    session.say(f"Made {root} a project. Commit {FOLDER}/ with your code.")


@click.command()
@output_option
@pass_session
def doctor(session: Session, output: str) -> None:
    """Check Python, packages, project, active stack, plugins and store."""
    rows = [{"check": check, "state": "ok" if fine else "wrong", "found": found} for check, fine, found in _findings(session)]
    print_rows(rows, ["check", "state", "found"], output)
    if any(row["state"] == "wrong" for row in rows):
        click.get_current_context().exit(1)


def _findings(session: Session) -> Iterator[tuple[str, bool, Any]]:
    fine = sys.version_info >= _OLDEST_PYTHON
    yield "Python", fine, f"{platform.python_version()} at {sys.executable}" + ("" if fine else "; 3.10 or later is needed")
    yield from _packages()
    try:
        project = session.project
        yield "project", True, f"{project.root}" + ("" if project.marked else " (no project; `dovetail init` makes one)")
        yield "configuration", True, str(project.config)
        yield from _plugins(session)
        yield from _stack(session)
    except DovetailError as error:
        yield "configuration", False, str(error)


def _packages() -> Iterator[tuple[str, bool, str]]:
    """The core's dependencies, as its own metadata names them."""
    from importlib import metadata

    from packaging.requirements import Requirement

    for requirement in map(Requirement, metadata.requires("dovetail") or ()):
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        try:
            yield requirement.name, True, metadata.version(requirement.name)
        except metadata.PackageNotFoundError:
            yield requirement.name, False, f"not installed; run `pip install '{requirement.name}{requirement.specifier}'`"


def _plugins(session: Session) -> Iterator[tuple[str, bool, str]]:
    for info in session.registry.plugins():
        yield f"plugin {info.name}", info.reason is None, info.reason or f"{info.distribution} {info.version}"


def _stack(session: Session) -> Iterator[tuple[str, bool, str]]:
    from dovetail.cli.stacks import problems_of

    yield "active stack", True, f"{session.choice.name}, by {session.choice.source}"
    problems = problems_of(session.stack())
    yield from (("stack", False, problem) for problem in problems)
    if not problems:
        yield "stack", True, "every component can be used"
