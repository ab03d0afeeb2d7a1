"""`dovetail artifacts`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dovetail.cli.output import output_option, print_one, print_rows, shown
from dovetail.cli.queries import client_of, find_artifact, stack_option
from dovetail.cli.session import Session, pass_session

if TYPE_CHECKING:
    from dovetail.client.comparing import ArtifactComparison
    from dovetail.client.views import Artifact

_LONGEST = 100  # characters of a value in a list of differences


@click.group()
def artifacts() -> None:
    """List, show, load and compare artifacts.

    ARTIFACT is a name, which means its newest version, NAME:VERSION, or a digest or the beginning of one.
    """


@artifacts.command("list")
@click.argument("name", required=False)
@click.option("--children", is_flag=True, help="Those of mapped steps' children too.")
@stack_option
@output_option
@pass_session
def list_(session: Session, name: str | None, children: bool, stack: str | None, output: str) -> None:
    """List the newest version of every artifact, or all versions of one."""
    from dovetail.errors import NotFound

    client = client_of(session, stack)
    found = client.list_artifacts(name)
    if name is not None and not found:
        raise NotFound("artifact", name, client.ledger.versions.artifact_names())
    rows = [_row(artifact, output) for artifact in found if children or name is not None or not _is_childs(artifact)]
    print_rows(rows, ["name", "version", "type", "size", "made", "digest"], output, "There are no artifacts yet.")


def _is_childs(artifact: Artifact) -> bool:
    return str((artifact.record or {}).get("invocation", "")).rpartition(".")[2].isdecimal()


def _row(artifact: Artifact, output: str) -> dict[str, Any]:
    """Of records alone, which do not need the payload to be there."""
    from dovetail.values.amounts import bytes_in_words, moment_in_words

    record = artifact.record or {}
    facts = {"name": artifact.name, "version": artifact.version, "type": record.get("type"), "size": record.get("size")}
    made = {"run": record.get("run"), "step": record.get("invocation"), "digest": artifact.digest, "tags": list(artifact.tags)}
    if output != "table":
        return {**facts, "made": record.get("at"), **made}
    return {
        **facts,
        "type": str(facts["type"] or "-").rpartition(":")[2],
        "size": bytes_in_words(facts["size"]) if isinstance(facts["size"], int) else None,
        "made": moment_in_words(record.get("at")),
        "digest": artifact.digest[:12],
    }


@artifacts.command()
@click.argument("artifact")
@click.option(
    "--open", "opens", is_flag=True,
    help="Open its page or picture in the browser, from a file of its own. A page is opened as its maker wrote it, scripts and all: "
    "open what you trust.",
)
@stack_option
@output_option
@pass_session
def show(session: Session, artifact: str, opens: bool, stack: str | None, output: str) -> None:
    """Show an artifact: what it is, where it lies, what made it and what took it."""
    from dovetail.values.amounts import bytes_in_words

    client = client_of(session, stack)
    found = find_artifact(client, artifact)
    facts = {
        "name": found.name,
        "version": found.version,
        "type": found.type,
        "kind": found.kind,
        "size": bytes_in_words(found.size) if output == "table" else found.size,
        "digest": found.digest,
        "materializer": found.manifest.materializer or None,
        "files": {path: size for path, (size, _) in found.manifest.files.items()},
        "items": len(found.manifest.items) if found.manifest.items is not None else None,
        "uri": found.uri,
        "tags": list(found.tags),
        "metadata": found.metadata,
        "pictures": list(found.visualizations),
        "made by": _producer(found),
        "taken by": [f"{step.name} of {step.run.name}" for step in found.consumers],
    }
    print_one(
        {name: value for name, value in facts.items() if value not in (None, [], {})} if output == "table" else facts, output
    )
    if opens:
        from dovetail.cli.artifact_page import open_artifact

        open_artifact(session, found)


def _producer(artifact: Artifact) -> str | None:
    from dovetail.errors import NotFound

    try:
        step = artifact.producer
    except NotFound:
        return "a run that was deleted"
    return f"{step.name} of {step.run.name}" if step is not None else None


@artifacts.command()
@click.argument("artifact")
@click.option("--to", type=click.Path(path_type=Path), help="Copy the payload's files into this new folder instead.")
@stack_option
@pass_session
def load(session: Session, artifact: str, to: Path | None, stack: str | None) -> None:
    """Load an artifact's value and print it: JSON values as JSON, text as it is, anything else as Python shows it."""
    client = client_of(session, stack)
    found = find_artifact(client, artifact)
    if to is not None:
        _copy(found, to)
        session.say(f"{found.name or found.digest[:12]} copied to {to}.")
        return
    click.echo(_printed(found.load()))


def _copy(artifact: Artifact, to: Path) -> None:
    import shutil

    from dovetail.errors import ConfigurationError

    if to.exists():
        raise ConfigurationError(f"{to} exists already. Name a folder that does not.")
    if artifact.manifest.items is not None:
        raise ConfigurationError(
            f"{artifact.name or artifact.digest[:12]} was stored item by item and has no files of its own. Copy its items."
        )
    shutil.copytree(artifact.path, to)
    for path in to.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)


def _printed(value: Any) -> str:
    import json

    if isinstance(value, str):
        return value
    try:
        return json.dumps(value, indent=2, ensure_ascii=False)
    except (TypeError, ValueError):
        return str(value) if hasattr(value, "to_string") or hasattr(value, "shape") else repr(value)


@artifacts.command()
@click.argument("first", metavar="ARTIFACT")
@click.argument("second", metavar="ARTIFACT")
@stack_option
@output_option
@pass_session
def diff(session: Session, first: str, second: str, stack: str | None, output: str) -> None:
    """Tell what differs between two artifacts: what is said of them, and the values of JSON and of frames."""
    import dataclasses

    from dovetail.client.comparing import compare_artifacts

    client = client_of(session, stack)
    one, two = find_artifact(client, first), find_artifact(client, second)
    compared = compare_artifacts(one, two)
    if output != "table":
        print_one({"artifacts": [one.digest, two.digest], **dataclasses.asdict(compared)}, output)
        return
    click.echo(f"{_title(one)} → {_title(two)}")
    for line in _difference_lines(compared):
        click.echo(f"  {line}")


def _title(artifact: Artifact) -> str:
    return f"{artifact.name}:{artifact.version}" if artifact.name else artifact.digest[:12]


def _difference_lines(compared: ArtifactComparison) -> list[str]:
    if compared.same and not compared.metadata:
        return ["the same content"]
    lines = ["the same content"] if compared.same else []
    for pairs in (compared.facts, compared.metadata, compared.value):
        lines += [f"{shown(name)}: {_side(name, one)} → {_side(name, two)}" for name, (one, two) in pairs.items()]
    return [*dict.fromkeys(lines), *([compared.note] if compared.note else [])]


def _side(name: str, value: Any) -> str:
    if value is None:
        return "nothing"
    text = value[:12] if name == "digest" else repr(value) if isinstance(value, str) else shown(value)
    return shown(text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…")
