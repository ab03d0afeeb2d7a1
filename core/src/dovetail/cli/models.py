"""`dovetail models`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from dovetail.cli.output import output_option, print_one, print_rows
from dovetail.cli.queries import SHORT, client_of, stack_option
from dovetail.cli.session import Session, pass_session

if TYPE_CHECKING:
    from dovetail.client.models import ModelVersion

_STAGES = ("none", "staging", "production", "archived")


@click.group()
def models() -> None:
    """List, show and promote models.

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
        held = {stage: number for number, stage in client.ledger.versions.stages(name).items()}
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
        print_one(_page(client.get_model_version(name, _checked(version))), output)
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
@click.option("--reason", help="Kept with the promotion.")
@stack_option
@pass_session
def promote(session: Session, name: str, version: str, stage: str, reason: str | None, stack: str | None) -> None:
    """Give a version a stage. Whichever version held staging or production before is archived."""
    client = client_of(session, stack)
    found = client.get_model_version(name, _checked(version))
    found.promote(stage, reason=reason)
    session.say(
        f"Version {found.version} of model '{name}' is in stage {stage}."
        if stage != "none"
        else f"Version {found.version} has no stage."
    )


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


def _page(found: ModelVersion) -> dict[str, Any]:
    from dovetail.errors import DovetailError

    page: dict[str, Any] = {
        "name": found.name,
        "version": found.version,
        "stage": found.stage,
        "made": found.created.isoformat(),
        "run": _run_name(found),
        "description": found.description,
        "tags": list(found.tags),
        "metrics": _metrics(found),
    }
    try:
        page["metadata"] = found.metadata
        page["artifacts"] = {name: f"{each.name}:{each.version}" for name, each in found.artifacts.items()}
    except DovetailError as error:
        page["problem"] = str(error)
    return page


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
