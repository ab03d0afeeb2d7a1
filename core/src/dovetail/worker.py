"""The contract between a run and whatever starts its steps: one address, one invocation, an exit code.

    python -m dovetail.execution RUN_ADDRESS INVOCATION [--attempt N | --in-graph]

The address is a URL: its scheme names the artifact store's flavor, its path the run, its query the store's configuration
without secrets. Credentials come from the surroundings of the process.
"""

from __future__ import annotations

import enum
import json
import sys
from collections.abc import Mapping
from typing import Any

from dovetail.errors import ConfigurationError

BEGINNING = 60.0  # seconds that a worker with a timeout has, besides, to start and to import the step's module
ARGUMENTS = "DOVETAIL_ARGV"  # a variable: the command line of the program that a local worker works for, as JSON


class ExitCode(enum.IntEnum):
    """What a worker's exit says to the engine."""

    DONE = 0
    FAILED = 1
    WRONG_USE = 2
    TRY_AGAIN = 75


def address_of(flavor: str, configuration: Mapping[str, Any], run_path: str) -> str:
    """The address of a run: `local:///runs/2026-01-31/01…?path=…`. Values are JSON; references to secrets stay references."""
    from urllib.parse import quote, urlencode

    query = urlencode({name: json.dumps(value, separators=(",", ":")) for name, value in sorted(configuration.items())})
    return f"{flavor}:///{quote(run_path)}" + (f"?{query}" if query else "")


def read_address(address: str) -> tuple[str, dict[str, Any], str]:
    """(flavor, configuration, run id). Raises ConfigurationError for what is no run's address."""
    flavor, configuration, path = read_store_address(address)
    run_id = path.rpartition("/")[2]
    if not path.startswith("runs/") or not run_id:
        raise ConfigurationError(f"{address[:80]!r} is no run's address; it looks like local:///runs/<day>/<run id>?path=….")
    return flavor, configuration, run_id


def read_store_address(address: str) -> tuple[str, dict[str, Any], str]:
    """(flavor, configuration, path in the store). Raises ConfigurationError for what is no address."""
    from urllib.parse import parse_qsl, unquote, urlsplit

    parts = urlsplit(address)
    if not parts.scheme or not parts.path.startswith("/"):
        raise ConfigurationError(f"{address[:80]!r} is no address; it looks like local:///runs/<day>/<run id>?path=….")
    try:
        configuration = {name: json.loads(value) for name, value in parse_qsl(parts.query)}
    except ValueError as error:
        raise ConfigurationError(f"The query of the address {address[:80]!r} is damaged: {error}.") from error
    return parts.scheme, configuration, unquote(parts.path[1:])


def for_children(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment of a process that imports the program's modules here: they find its command line in `sys.argv`."""
    return {**environ, ARGUMENTS: json.dumps(sys.argv)}


def worker_arguments(address: str, invocation: str, attempt: int = 1) -> list[str]:
    """What follows the Python in the command line that runs one step."""
    return ["-m", "dovetail.execution", address, invocation, "--attempt", str(attempt)]


def node_arguments(address: str, invocation: str) -> list[str]:
    """Likewise for a job of a graph, whose worker finds out itself what the step takes and whether it has to run."""
    return ["-m", "dovetail.execution", address, invocation, "--in-graph"]


def schedule_arguments(address: str) -> list[str]:
    """Likewise for the job that a schedule starts, which makes a run of its own. `address`: of the schedule's record."""
    return ["-m", "dovetail.execution", address, "--scheduled"]


def tick_arguments(address: str, due: float) -> list[str]:
    """Likewise for the process that makes the run of a tick which was claimed. `due`: seconds since 1970."""
    return ["-m", "dovetail.execution", address, "--tick", str(int(due))]
