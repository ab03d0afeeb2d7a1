"""The command line. This package's first import is all that `dovetail --help` needs besides click."""

from __future__ import annotations


def main() -> None:
    """The console script."""
    import sys

    from dovetail.cli.application import run

    sys.exit(run(sys.argv[1:]))
