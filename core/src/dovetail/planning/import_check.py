"""Whether every step can be imported from the code package alone, tried in a process that has nothing else of this one's."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from dovetail import digest
from dovetail.graph.definition import HOOKS, importable
from dovetail.ledger.laid_out_code import LaidOut, lay_out
from dovetail.planning.project_files import IGNORE_FILE, left_out
from dovetail.planning.workspace import Workspace
from dovetail.values.plan import Decision, Plan, PlanStep
from dovetail.values.project import cache_folder, editable_roots

_LONGEST = 300.0  # seconds that importing all steps may take
_REMEMBERED = 30.0  # days
_START = "import sys; sys.path.append(sys.argv[1]); from dovetail.execution.trying_imports import main; main(sys.argv[2])"
_imported: set[str] = set()


def find_import_problems(plan: Plan, workspace: Workspace) -> Iterator[str]:
    """What keeps steps from being imported where they are to run, each with its cure. What was found good is not tried again."""
    steps = [step for step in plan.steps if step.decision in (Decision.RUN, Decision.LATER)]
    installed = {"dovetail", *workspace.registry.plugin_modules()}
    wanted = {
        source: step.invocation
        for step in reversed(steps)
        for source in _sources(step)
        if importable(source) and source.partition(":")[0].partition(".")[0] not in installed
    }
    if not wanted or plan.package is None:
        return
    mark = digest.of_json([plan.package, sorted(wanted), sys.version, _installed_state()])
    note = cache_folder() / "code-checks" / mark
    if mark in _imported or note.exists():
        return
    told = list(_tried(lay_out(workspace.ledger.records, plan.package), wanted, workspace.project.root))
    yield from told
    if not told:
        _imported.add(mark)
        _remember(note)


def _sources(step: PlanStep) -> Iterator[str]:
    """Everything of the user's that a worker imports by name."""
    yield step.node.source
    yield from (spec.materializer for spec in step.node.outputs if spec.materializer)
    yield from (step.options[name]["function"] for name in HOOKS if name in step.options)


def _tried(laid_out: LaidOut, wanted: Mapping[str, str], root: Path) -> Iterator[str]:
    answers, said = _answers(laid_out, list(wanted))
    if answers is None:
        yield f"The steps could not be imported from the code package: {said}. Importing a module must do nothing but define things."
        return
    for source, invocation in wanted.items():
        problem = answers.get(source)
        if problem is not None:
            yield (
                f"Step '{invocation}' cannot be imported as {source} from the code package: {problem['error']}. "
                f"{_cure(problem.get('missing'), root)}"
            )


def _answers(laid_out: LaidOut, sources: list[str]) -> tuple[dict[str, Any] | None, str]:
    """What the process says of each source; None with the reason when it could not say it."""
    with tempfile.TemporaryDirectory(prefix="dovetail-imports-") as folder:
        answer = Path(folder, "answer.json")
        task = {"sources": sources, "roots": list(laid_out.roots), "path": _installed_path(), "answer": str(answer)}
        beside = os.path.dirname(os.path.dirname(os.path.abspath(digest.__file__)))
        command = [sys.executable, "-I", "-c", _START, beside, json.dumps(task)]
        try:
            done = subprocess.run(
                command, cwd=laid_out.folder, capture_output=True, stdin=subprocess.DEVNULL, timeout=_LONGEST, check=False, text=True, errors="replace"
            )
        except subprocess.TimeoutExpired:
            return None, f"it took longer than {_LONGEST:.0f} s"
        try:
            found: dict[str, Any] = json.loads(answer.read_bytes())
        except (OSError, ValueError):
            lines = done.stderr.strip().splitlines()
            return None, f"the process ended with exit code {done.returncode}" + (f", saying: {lines[-1]}" if lines else "")
    return found, ""


def _cure(missing: str | None, root: Path) -> str:
    """What is to be done about a module that is not there, by where it is here."""
    if missing is None:
        return "Its module must be importable without running anything else first."
    file = _file_here(missing)
    if file is None:
        return "No module of that name is installed here: install it, and name it in the step's Environment, or add it to the project."
    real, below = os.path.realpath(file), os.path.realpath(root) + os.sep
    if not real.startswith(below):
        return f"Here it is {file}, which is neither installed nor below the project's root {root}. Install it, or move it into the project."
    name = real[len(below) :].replace(os.sep, "/") + ("/" if os.path.isdir(real) else "")
    return f"It is {name}, which {left_out(root, name)} leaves out of the package. List it by a line in {IGNORE_FILE}: `!{name}`."


def _file_here(name: str) -> str | None:
    """The file of a module as this process has it or would find it."""
    import importlib.util

    loaded = getattr(sys.modules.get(name), "__file__", None)
    if loaded:
        return str(loaded)
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError, AttributeError):
        return None
    places = list(spec.submodule_search_locations or ()) if spec is not None else []
    return spec.origin if spec is not None and spec.has_location else places[0] if places else None


def _installed_path() -> list[str]:
    """The entries of the import path that are installed: neither the project's, nor PYTHONPATH's, nor of packages installed as editable."""
    library = {os.path.realpath(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib") if sysconfig.get_path(name)}
    editable = {root.rstrip(os.sep) for root in editable_roots()}

    def is_installed(entry: str) -> bool:
        real = os.path.realpath(entry)
        if real in editable:
            return False
        parts = real.split(os.sep)
        return "site-packages" in parts or "dist-packages" in parts or any(real == own or real.startswith(own + os.sep) for own in library) or real.endswith(".zip")

    return [entry for entry in sys.path if entry and is_installed(entry)]


def _installed_state() -> list[Any]:
    """Changes when something is installed or removed."""
    found: list[Any] = []
    for entry in _installed_path():
        try:
            found.append([entry, os.stat(entry).st_mtime_ns])
        except OSError:
            found.append([entry, None])
    return found


def _remember(note: Path) -> None:
    try:
        note.parent.mkdir(parents=True, exist_ok=True)
        for old in note.parent.iterdir():
            if time.time() - old.stat().st_mtime > _REMEMBERED * 86_400:
                old.unlink(missing_ok=True)
        note.touch()
    except OSError:
        pass  # a cache that cannot be written is none
