"""`dovetail models`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import click

from dovetail.cli.output import output_option, print_one, print_rows, shown
from dovetail.cli.queries import SHORT, client_of, stack_option
from dovetail.cli.session import Session, pass_session

if TYPE_CHECKING:
    from dovetail.client.models import ModelVersion

_STAGES = ("none", "staging", "production", "archived")


@click.group()
def models() -> None:
    """List, show, compare, approve and promote models.

    VERSION is a number or a stage: none, staging, production, archived.
    """


@models.command("list")
@stack_option
@output_option
@pass_session
def list_(session: Session, stack: str | None, output: str) -> None:
    """List models with their newest version and those in staging and production."""
    from dovetail.values.amounts import moment_in_words

    client = client_of(session, stack)
    rows = []
    for name in client.list_models():
        numbers = dict(client.ledger.versions.models(name))
        if not numbers:
            continue  # a run claimed a version and died before it was recorded
        held = {stage: number for number, stage in client.ledger.versions.stages(name).items() if number in numbers}
        newest = max(numbers)
        made = numbers[newest]["at"]
        rows.append(
            {
                "name": name,
                "versions": len(numbers),
                "newest": newest,
                "staging": held.get("staging"),
                "production": held.get("production"),
                "made": moment_in_words(made) if output == "table" else made,
            }
        )
    empty = "There are no models yet; a run of a pipeline with Model(name=…) makes one."
    print_rows(rows, ["name", "versions", "newest", "staging", "production", "made"], output, empty)


@models.command()
@click.argument("name")
@click.argument("version", required=False)
@stack_option
@output_option
@pass_session
def show(session: Session, name: str, version: str | None, stack: str | None, output: str) -> None:
    """Show the versions of a model, or one of them with its artifacts."""
    client = client_of(session, stack)
    if version is not None:
        print_one(_page(client.get_model_version(name, _checked(version)), output), output)
        return
    rows = [_row(found, output) for found in client.get_model(name).versions]
    metrics = list(dict.fromkeys(metric for row in rows for metric in row["metrics"]))
    if output == "table":
        rows = [{**row, **row["metrics"]} for row in rows]
    print_rows(rows, ["version", "stage", "made", "run", *metrics], output)


@models.command()
@click.argument("name")
@click.argument("version")
@click.argument("stage", type=click.Choice(_STAGES))
@click.option("--require", multiple=True, metavar="GATE", help="A gate such as 'auc >= production.auc'; may be given again.")
@click.option("--approvals", type=click.IntRange(min=0), default=0, help="How many people must have approved.")
@click.option("--force", is_flag=True, help="Promote though it does not keep to what is asked; that is recorded.")
@click.option("--reason", help="Kept with the promotion.")
@stack_option
@pass_session
def promote(
    session: Session, name: str, version: str, stage: str, require: tuple[str, ...], approvals: int, force: bool, reason: str | None, stack: str | None
) -> None:
    """Give a version a stage. Whichever version held staging or production before is archived.

    What the version's policy asks, and what is asked here, must be kept to; `models show` tells of each decision.
    """
    if force and not reason:
        raise click.UsageError("--force needs --reason, which is kept with what was not kept to.")
    found = client_of(session, stack).get_model_version(name, _checked(version))
    found.promote(stage, require=require, approvals=approvals, force=force, reason=reason)
    for gate in found.decisions[0].get("gates", ()):
        session.say(f"  {_gate(gate)}")
    session.say(
        f"Version {found.version} of model '{name}' is in stage {stage}."
        if stage != "none"
        else f"Version {found.version} has no stage."
    )


@models.command()
@click.argument("name")
@click.argument("version")
@click.argument("stage", type=click.Choice(_STAGES), default="production")
@click.option("--by", help="Who approves; git's user.email when not given.")
@click.option("--comment", help="Kept with it.")
@click.option("--reject", is_flag=True, help="Say no: it cannot be promoted until this is taken back by approving.")
@stack_option
@pass_session
def approve(session: Session, name: str, version: str, stage: str, by: str | None, comment: str | None, reject: bool, stack: str | None) -> None:
    """Say that somebody agrees with a version in a stage, by default production. What a person says later counts instead."""
    found = client_of(session, stack).get_model_version(name, _checked(version))
    found.approve(stage, by=by, comment=comment, approves=not reject)
    person = found.approvals[-1]["by"] if by is None else by
    session.say(f"{person} {'rejects' if reject else 'approves'} version {found.version} of model '{name}' for {stage}.")


@models.command()
@click.argument("name")
@click.argument("first")
@click.argument("second")
@stack_option
@output_option
@pass_session
def compare(session: Session, name: str, first: str, second: str, stack: str | None, output: str) -> None:
    """Compare two versions: metrics side by side, and the parameters and artifacts that differ."""
    import dataclasses

    from dovetail.client.comparing import compare_models

    client = client_of(session, stack)
    one, two = client.get_model_version(name, _checked(first)), client.get_model_version(name, _checked(second))
    compared = compare_models(one, two)
    if output != "table":
        print_one({"name": name, "versions": [one.version, two.version], **dataclasses.asdict(compared)}, output)
        return
    columns = ["", *(f"version {version.version}" + (f" ({version.stage})" if version.stage != "none" else "") for version in (one, two)), "change"]
    pairs: list[tuple[str, Any]] = [("run", compared.facts["run"]), *compared.metrics.items(), *compared.parameters.items()]
    rows = [dict(zip(columns, (label, *pair, _change(*pair)), strict=True)) for label, pair in pairs]
    other = [(label, tuple(digest and digest[:12] for digest in pair)) for label, pair in compared.artifacts.items()]
    print_rows([*rows, *(dict(zip(columns, (label, *pair, None), strict=True)) for label, pair in other)], columns, output)


def _change(one: Any, two: Any) -> str | None:
    numbers = all(isinstance(each, (int, float)) and not isinstance(each, bool) for each in (one, two))
    return f"{two - one:+.4g}" if numbers else None


@models.command()
@click.argument("name")
@click.argument("version", required=False)
@stack_option
@output_option
@pass_session
def lineage(session: Session, name: str, version: str | None, stack: str | None, output: str) -> None:
    """Show what made a version, by default the newest, and what came of it: its run's lineage, its stages, and the runs that used it."""
    from dovetail.cli.run_pages import graph
    from dovetail.client.lineage import as_json, lineage_of
    from dovetail.values.amounts import moment_in_words

    found = client_of(session, stack).get_model_version(name, _checked(version) if version is not None else None)
    line = lineage_of(found.run)
    served = {deployment.name: f"at {deployment.url} since {moment_in_words(deployment.since)}" for deployment in found.deployments}
    users = {run.name: f"{run.pipeline}, {run.status.value}" for run in found.users}
    if output != "table":
        print_one({"name": name, "version": found.version, "made by": as_json(line), "decisions": found.decisions, "served by": served, "used by": list(users)}, output)
        return
    click.echo(f"Version {found.version} of model '{shown(name)}', made by run {shown(found.run.name)} of pipeline {shown(line.pipeline)}:")
    for text in graph(line):
        click.echo(f"  {text}")
    stages = [f"{what}  {' · '.join(_facts(said))}" for what, said in map(_decision, reversed(found.decisions))]
    others = (("served by", served), ("used by", users))
    for title, lines in (("stages", stages), *((title, [f"{name}  ({said})" for name, said in told.items()]) for title, told in others)):
        if lines:
            click.echo(f"{title}:")
        for text in lines:
            click.echo(f"  {shown(text)}")


def _decision(record: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """What was decided and when; and by whom, by what, and why."""
    from dovetail.values.amounts import moment_in_words

    what = f"{moment_in_words(record['at'])} {'refused ' if 'refused' in record else ''}{record['stage']}"
    said = {
        "gates": {gate["require"]: _compared(gate) for gate in record.get("gates", ())},
        "approved by": ", ".join(record.get("approved_by", ())),
        "by": record.get("by", ""),
        "reason": record.get("reason", ""),
        "forced": "; ".join(record.get("forced", ())),
        "because": _because(record),
    }
    return what, {name: value for name, value in said.items() if value}


def _because(record: Mapping[str, Any]) -> str:
    """What a refused promotion did not keep to, besides its gates, which say so themselves."""
    _, _, only = record.get("refused", "").partition(": ")
    _, *problems = record.get("refused", "").split("\n  ")
    found = [problem.partition(". ")[2] for problem in problems] or [only]
    compared = [gate["why"] for gate in record.get("gates", ()) if not gate["kept"] and "bound" in gate]
    return "; ".join(problem for problem in found if problem not in compared)


def _each_apart(decisions: Iterable[tuple[str, dict[str, Any]]]) -> dict[str, dict[str, Any]]:
    """By what was decided and when, of which several may have been in one minute."""
    told: dict[str, dict[str, Any]] = {}
    for what, said in decisions:
        count = sum(1 for other in told if other.partition(" (")[0] == what)
        told[f"{what} ({count + 1})" if count else what] = said
    return told


def _facts(said: Mapping[str, Any]) -> Iterator[str]:
    for name, value in said.items():
        if isinstance(value, Mapping):
            yield from (f"{key}: {each}" for key, each in value.items())
        else:
            yield f"{name} {value}"


def _gate(gate: Mapping[str, Any]) -> str:
    """`auc >= production.auc: 0.91 against 0.9, kept`."""
    return f"{gate['require']}: {_compared(gate)}"


def _compared(gate: Mapping[str, Any]) -> str:
    value = f"{gate['value']:.6g}" if gate.get("value") is not None else "not there"
    bound = f" against {gate['bound']:.6g}" if "bound" in gate else f", {gate['why']}" if gate["kept"] else ""
    return f"{value}{bound}, {'kept' if gate['kept'] else 'not kept'}"


def _checked(version: str) -> int | str:
    from dovetail.errors import NotFound

    if version.isdecimal():
        return int(version)
    if version not in _STAGES:
        raise NotFound("stage", version, _STAGES, "A version is a number or a stage.")
    return version


def _row(found: ModelVersion, output: str) -> dict[str, Any]:
    from dovetail.values.amounts import moment_in_words

    facts = {"version": found.version, "stage": found.stage, "metrics": _metrics(found)}
    run = str(found.record["run"])
    if output != "table":
        return {**facts, "made": found.created.isoformat(), "run": run}
    return {**facts, "made": moment_in_words(found.created), "run": run[:SHORT]}


def _page(found: ModelVersion, output: str) -> dict[str, Any]:
    from dovetail.errors import DovetailError

    page: dict[str, Any] = {
        "name": found.name,
        "version": found.version,
        "stage": found.stage,
        "made": found.created.isoformat(),
        "run": _run_name(found),
        "description": found.description,
        "license": found.license,
        "tags": list(found.tags),
        "metrics": _metrics(found),
        "decisions": _each_apart(map(_decision, found.decisions)) if output == "table" else found.decisions,
        "approvals": [_approval(each) for each in found.approvals] if output == "table" else found.approvals,
    }
    try:
        page["deployments"] = [deployment.name for deployment in found.deployments]
        page["metadata"] = found.metadata
        page["artifacts"] = {name: f"{each.name}:{each.version}" for name, each in found.artifacts.items()}
    except DovetailError as error:
        page["problem"] = str(error)
    return page


def _approval(record: Mapping[str, Any]) -> str:
    said = f"{record['by']} {'approves' if record['approves'] == 'yes' else 'rejects'} it for {record['stage']}"
    return f"{said}: {record['comment']}" if record.get("comment") else said


def _run_name(found: ModelVersion) -> str:
    from dovetail.errors import DovetailError

    try:
        return found.run.name
    except DovetailError:
        return str(found.record["run"])


def _metrics(found: ModelVersion) -> dict[str, float]:
    from dovetail.errors import DovetailError

    try:
        return found.metrics
    except DovetailError:
        return {}  # a record of its run cannot be read
