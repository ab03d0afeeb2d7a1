"""Runs as rows of a list and as pages, for people and for programs."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from dovetail.cli.output import shown
from dovetail.cli.queries import SHORT
from dovetail.values.amounts import bytes_in_words, moment_in_words, seconds_in_words

if TYPE_CHECKING:
    from dovetail.client.comparing import RunComparison
    from dovetail.client.lineage import Lineage
    from dovetail.client.views import Artifact, Run, StepRun

COLOURS = {
    "completed": "green", "cached": "blue", "failed": "red", "running": "yellow", "interrupted": "magenta", "cancelled": "magenta",
}  # fmt: skip
_FINE = ("completed", "cached")
_LONGEST = 100  # characters of a value
_UNNAMED = re.compile(r"\d{4}-\d\d-\d\d-\d\d-\d\d-\d\d-\d{6}")
_ASCII = str.maketrans(
    {"●": "*", "○": "o", "✗": "x", "◌": "-", "⊘": "!", "◐": "~", "·": "-", "│": "|", "├": "|", "─": "-", "↳": ">", "…": "."}
)


def paint(status: str, text: str) -> str:
    return click.style(text, fg=COLOURS.get(status), bold=status == "failed") if status in COLOURS else text


def row(run: Run) -> dict[str, Any]:
    """One run of a list, for programs."""
    steps = run.header.get("steps", {})
    return {
        "id": run.id,
        "name": run.name,
        "pipeline": run.pipeline,
        "status": run.status.value,
        "stack": run.stack,
        "created": run.created.isoformat(),
        "ended": run.ended.isoformat() if run.ended is not None else None,
        "seconds": run.seconds,
        "steps": {name: step["status"] for name, step in steps.items()},
        "tags": list(run.tags),
    }


def short_row(run: Run) -> dict[str, Any]:
    """The same for people. A name that says no more than pipeline and time is left out."""
    steps = run.header.get("steps", {})
    cached = sum(step["status"] == "cached" for step in steps.values())
    told = f" ({cached} cached)" if 0 < cached < len(steps) else ""
    return {
        "id": run.id[:SHORT],
        "pipeline": run.pipeline,
        "name": None if _UNNAMED.fullmatch(run.name.removeprefix(f"{run.pipeline}-")) else run.name,
        "status": run.status.value,
        "started": moment_in_words(run.created),
        "took": seconds_in_words(run.seconds) if run.seconds is not None else None,
        "steps": f"{len(steps)}{told}" if steps else None,
        "stack": run.stack,
        "tags": run.tags,
    }


def optional_columns(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Of `name`, `stack` and `tags` those that tell runs apart."""
    several_stacks = len({row["stack"] for row in rows}) > 1
    return [name for name in ("name", "stack", "tags") if (several_stacks if name == "stack" else any(row[name] for row in rows))]


def page(run: Run) -> dict[str, Any]:
    """Everything of a run, for programs."""
    return {
        "id": run.id,
        "name": run.name,
        "pipeline": run.pipeline,
        "status": run.status.value,
        "stack": run.stack,
        "created": run.created.isoformat(),
        "ended": run.ended.isoformat() if run.ended is not None else None,
        "seconds": run.seconds,
        "parameters": run.parameters,
        "models": dict(run.models),
        "tags": list(run.tags),
        "resumes": run.resumes,
        "engine": run.engine_address,
        "code": (run.query.ledger.run(run.id).header() or {}).get("code"),
        "error": run.error,
        "steps": {name: _step_page(step) for name, step in run.steps.items()},
    }


def _step_page(step: StepRun) -> dict[str, Any]:
    page: dict[str, Any] = {"status": step.status.value, "seconds": step.seconds, "attempts": step.attempts, "why": step.why}
    page["parameters"], page["params"], page["metrics"], page["metadata"] = (
        step.parameters,
        step.params,
        step.metrics,
        step.metadata,
    )
    page["inputs"] = {name: _artifact_name(given) for name, given in step.inputs.items() if name not in step.parameters}
    page["outputs"] = {
        name: {"artifact": output.name, "version": output.version, "digest": output.digest, **_said(output)}
        for name, output in step.outputs.items()
    }
    page["error"] = dict(step.error) if step.error is not None else None
    page["tracker_errors"] = _tracker_errors(step)
    return page


def _tracker_errors(step: StepRun) -> list[str]:
    """Why the experiment tracker holds less than the record does."""
    return list((step.outcome or {}).get("tracker_errors") or ())


def _said(output: Artifact) -> dict[str, Any]:
    record = output.record or {}
    return {name: record[name] for name in ("type", "size", "kind", "metadata", "tags") if name in record}


def _artifact_name(given: Any) -> Any:
    if isinstance(given, list):
        return [_artifact_name(item) for item in given]
    if isinstance(given, dict):
        return {key: _artifact_name(item) for key, item in given.items()}
    return f"{given.name}:{given.version}" if getattr(given, "version", None) else getattr(given, "digest", given)


def lines(run: Run) -> Iterator[str]:
    """A run's page for people. It reads records alone, so it needs no plugin."""
    took = f" in {seconds_in_words(run.seconds)}" if run.seconds is not None else ""
    yield f"{shown(run.name)}  {paint(run.status.value, run.status.value + took)}"
    facts = {
        "id": run.id,
        "pipeline": run.pipeline,
        "stack": run.stack,
        "started": moment_in_words(run.created, seconds=True),
        "parameters": _literals(run.parameters),
        "models": ", ".join(f"{name} version {version}" for name, version in run.models.items()),
        "tags": run.tags,
        "resumes": run.resumes,
        "by": _who(run),
        "engine": run.engine_address,
        "code": _code(run),
    }
    yield from (f"  {name + ':':<12} {shown(value)}" for name, value in facts.items() if value)
    width = max((len(name) for name in run.steps), default=0)
    yield "  steps:"
    recorded = run.header.get("steps", {})
    quiet = {
        child
        for step in recorded.values()
        for child in step.get("children", ())
        if recorded.get(child, {}).get("status") in _FINE
    }
    for name, step in run.steps.items():
        if name not in quiet:
            yield from _step_lines(name, step, width, _children(recorded, name))


def _children(recorded: Mapping[str, Any], name: str) -> str:
    counts: dict[str, int] = {}
    children = recorded.get(name, {}).get("children", ())
    for child in children:
        status = str(recorded.get(child, {}).get("status"))
        counts[status] = counts.get(status, 0) + 1
    return f"{len(children)} children: {', '.join(f'{count} {status}' for status, count in counts.items())}" if children else ""


def _who(run: Run) -> str:
    header = run.query.ledger.run(run.id).header() or {}
    python = f"Python {header['python']}" if header.get("python") else ""
    host = (header.get("owner") or {}).get("host")
    at = f"{header.get('user', '')}@{host}" if host else str(header.get("user", ""))
    return ", ".join(part for part in (at, python) if part)


def _code(run: Run) -> str:
    """Of a whole project that was packaged: the commit it comes from, and whether it is as committed."""
    said = (run.query.ledger.run(run.id).header() or {}).get("code")
    if not said:
        return ""
    where = f" on {said['branch']}" if said.get("branch") else ""
    commit = f"commit {said['commit'][:12]}{where}" if said.get("commit") else "no commit" if "commit" in said else ""
    changes = f"changed since (diff of {bytes_in_words(said['diff_bytes'])})" if said.get("diff") else "changed since" if said.get("dirty") else ""
    about = f"{said['files']} files, {bytes_in_words(said['bytes'])}"
    return ", ".join(part for part in (commit, changes if commit else "", about) if part)


def _literals(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{shown(name)} = {_literal(value)}" for name, value in values.items())


def _literal(value: Any) -> str:
    """As Python writes it, so that text and numbers are told apart; long ones cut."""
    text = f"{value:.6g}" if isinstance(value, float) else repr(value)
    return shown(text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…")


def _step_lines(name: str, step: StepRun, width: int, children: str) -> Iterator[str]:
    status = step.status.value
    took = seconds_in_words(step.seconds) if step.seconds is not None and status in ("completed", "failed") else ""
    attempts = step.attempts
    notes = [f"attempt {attempts}" if attempts > 1 else "", children, step.why or ""]
    yield f"    {name:<{width}}  {paint(status, f'{status:<11}')} {took:>9}  {', '.join(note for note in notes if note)}".rstrip()
    indent = " " * 6
    for kind, values in (("with", step.parameters), ("logged", step.params), ("metrics", step.metrics), ("noted", step.metadata)):
        if values:
            yield f"{indent}{kind} {_literals(values)}"
    for output in step.outputs.values():
        yield f"{indent}gave {_artifact_line(output)}"
    yield from (f"{indent}not tracked: {shown(sentence)}" for sentence in _tracker_errors(step))
    if step.error is not None and status == "failed":
        yield from (f"{indent}{line}" for line in step.error["traceback"].rstrip().splitlines())


def _artifact_line(output: Artifact) -> str:
    said = _said(output)
    name = f"{output.name}:{output.version}" if output.version is not None else output.digest[:12]
    about = [
        str(said.get("type", "")).rpartition(":")[2],
        bytes_in_words(said["size"]) if "size" in said else "",
        output.digest[:12],
    ]
    return f"{shown(name)}  ({', '.join(shown(part) for part in about if part)})"


def graph(lineage: Lineage) -> Iterator[str]:
    from dovetail.client.lineage_tree import tree

    encoding = sys.stdout.encoding or "ascii"
    for line in tree(lineage, paint):
        text = "".join(char if char.isprintable() or char == "\x1b" else "?" for char in line)
        try:
            text.encode(encoding)
        except UnicodeEncodeError:
            text = text.translate(_ASCII).encode("ascii", "replace").decode()
        yield text


def comparison(first: Run, second: Run, compared: RunComparison) -> Iterator[str]:
    """What differs, as `first → second`."""
    yield f"{shown(first.name)} → {shown(second.name)}"
    for name, (one, two) in compared.facts.items():
        if name == "seconds":
            yield f"  took: {_seconds(one)} → {_seconds(two)}"
        else:
            yield f"  {name}: {shown(one)} → {shown(two)}" if one != two else f"  {name}: {shown(one)}"
    yield from _pairs("parameter", compared.parameters, "  ")
    children = {
        child for run in (first, second) for step in run.header.get("steps", {}).values() for child in step.get("children", ())
    }
    steps = {name: step for name, step in compared.steps.items() if name not in children}
    for name, step in steps.items():
        if step.differs:
            one, two = (status or "not there" for status in step.status)
            yield f"  step {name}: {paint(one, one)} → {paint(two, two)}" if one != two else f"  step {name}: {paint(one, one)}"
            yield from _pairs("parameter", step.parameters, "    ")
            yield from (f"    code {part} {change}" for part, change in step.code.items())
            yield from _pairs("package", step.packages, "    ")
            yield from _pairs("metric", step.metrics, "    ")
            yield from _pairs(
                "output", {output: (_short(one), _short(two)) for output, (one, two) in step.outputs.items()}, "    "
            )
    same = [name for name, step in steps.items() if not step.differs]
    if same:
        yield f"  alike: {', '.join(same)}"


def _short(digest: str | None) -> str | None:
    return digest[:12] if digest is not None else None


def _pairs(kind: str, pairs: Mapping[str, tuple[Any, Any]], indent: str) -> Iterator[str]:
    for name, (one, two) in pairs.items():
        yield f"{indent}{kind} {shown(name)}: {_side(kind, one)} → {_side(kind, two)}"


def _side(kind: str, value: Any) -> str:
    return "nothing" if value is None else _literal(value) if kind == "parameter" else shown(value)


def _seconds(seconds: float | None) -> str:
    return seconds_in_words(seconds) if seconds is not None else "not ended"
