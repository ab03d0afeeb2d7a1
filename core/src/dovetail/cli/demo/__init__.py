"""`dovetail demo`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import click

from dovetail.cli.session import Session, pass_session
from dovetail.errors import ConfigurationError

_FILES = ("flowers.py", "iris.csv")
_ACTS = (
    ("A folder with a pipeline becomes a project.", ("init",)),
    ("Run the pipeline.", ("run", "flowers.py")),
    ("Run it again: nothing that it depends on has changed, so nothing runs.", ("run", "flowers.py")),
    ("What would another parameter change?", ("plan", "flowers.py", "--param", "smoothing=5")),
    ("Only what depends on it runs.", ("run", "flowers.py", "--param", "smoothing=5")),
    ("Where everything came from.", ("runs", "show", "latest", "--graph")),
    ("Each run made a version of the model, and the better one stayed in production.", ("models", "show", "iris")),
)
_YOURS = """\
The folder {folder} is yours:
  cd {folder}
  edit flowers.py, then `dovetail plan flowers.py` tells what that would run again, and why
  dovetail runs show latest --html lineage.html
"""


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False), default=Path("dovetail-demo"))
@pass_session
def demo(session: Session, folder: Path) -> int:
    """Make a folder with a small pipeline, run it, and show what Dovetail keeps of it.

    It needs nothing but Dovetail. FOLDER is dovetail-demo if not given; a demo that lies there already is run as it is now.
    """
    _lay_out(folder)
    for title, arguments in _ACTS:
        if (folder / ".dovetail").is_dir() and arguments == ("init",):
            continue
        session.say(f"\n{click.style(title, bold=True)}\n{click.style('$ dovetail ' + ' '.join(arguments), fg='cyan')}")
        code = _run(folder, arguments, quiet=session.quiet)
        if code:
            return code
    session.say(f"\n{_YOURS.format(folder=folder)}".rstrip())
    return 0


def _lay_out(folder: Path) -> None:
    """Write the demo's files, but over nobody's."""
    if folder.is_dir() and any(folder.iterdir()) and not all((folder / name).is_file() for name in _FILES):
        raise ConfigurationError(f"The folder {folder} holds other files. Name another: dovetail demo FOLDER.")
    folder.mkdir(parents=True, exist_ok=True)
    for name in _FILES:
        if not (folder / name).exists():
            (folder / name).write_bytes(Path(__file__).with_name(name).read_bytes())


def _run(folder: Path, arguments: tuple[str, ...], *, quiet: bool) -> int:
    """As a person would: in a process of its own, on the built-in stack."""
    environ = {name: value for name, value in os.environ.items() if name not in ("DOVETAIL_PROJECT", "DOVETAIL_STACK")}
    options = ["--quiet"] if quiet else []
    command = [sys.executable, "-c", "from dovetail.cli import main; main()", *options, *arguments]
    return subprocess.run(command, cwd=folder, env={**environ, "DOVETAIL_STACK": "default"}, check=False).returncode
