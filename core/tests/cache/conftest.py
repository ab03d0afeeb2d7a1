from __future__ import annotations

import json
import textwrap
from collections.abc import Mapping
from typing import Any

import pytest

_MAIN = """

if __name__ == "__main__":
    import json, sys
    run = p.with_options(**json.loads(sys.argv[1]))(**json.loads(sys.argv[2]))
    print(json.dumps({name: found.status.value for name, found in run.steps.items()}))
"""


class Edited:
    """A project of real files that are edited between runs, each run in a process of its own."""

    def __init__(self, programs: Any) -> None:
        self._programs = programs
        self.folder = programs.folder

    def write(self, **files: str) -> None:
        """Files by name, `__` standing for a folder; `flow` gets what runs its pipeline `p`."""
        for name, source in files.items():
            text = textwrap.dedent(source)
            self._programs.write(f"{name.replace('__', '/')}.py", text + _MAIN if name == "flow" else text)

    def run(self, options: Mapping[str, Any] | None = None, env: Mapping[str, str] | None = None, **parameters: Any) -> dict[str, str]:
        """Step → status."""
        said = self._programs.run("flow.py", json.dumps(options or {}), json.dumps(parameters), env=env)
        statuses: dict[str, str] = json.loads(said.splitlines()[-1])
        return statuses


@pytest.fixture
def edited(programs: Any) -> Edited:
    return Edited(programs)
