"""`dovetail stack`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dovetail.cli.output import output_option, print_one, print_rows
from dovetail.cli.session import Session, pass_session
from dovetail.errors import ConfigurationError, StoreError

if TYPE_CHECKING:

    from dovetail.stack import ComponentSpec, Stack, StackStore
    from dovetail.stack.files import StackFile


class ComponentOptions(click.Command):
    """A command with one option for each component type, those of plugins too."""

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        session = ctx.find_object(Session) or Session()
        options: list[click.Parameter] = []
        for kind in session.registry.component_types():
            names = [f"--{kind.option}", f"component_{kind.name}"]
            names += [f"-{kind.short}"] if kind.short else []
            options.append(click.Option(names, metavar="NAME", help=f"The {kind.name.replace('_', ' ')}: {kind.help}"))
        return [*options, *super().get_params(ctx)]


@click.group()
def stack() -> None:
    """Register, apply, choose and check stacks.

    A stack says which component does what. The built-in stack `default` runs on this machine.
    """


@stack.command(cls=ComponentOptions)
@click.argument("name")
@click.option(
    "--waive", multiple=True, metavar="SETTING", help="A setting that this stack may leave unhonoured, as resources.gpu."
)
@click.option("--set", "activate", is_flag=True, help="Make it the active stack.")
@pass_session
def register(session: Session, /, name: str, waive: tuple[str, ...], activate: bool, **components: str | None) -> None:
    """Make a stack of registered components.

    An orchestrator and an artifact store are obligatory; `default` names the built-in ones.
    """
    from dovetail.stack.files import StackFile

    given = _given(components)
    if name in session.stacks.list():
        raise ConfigurationError(
            f"There is a stack '{name}' already. Change it with `dovetail stack update {name}`, or delete it first."
        )
    written = StackFile(
        name, {kind: _entry(session.stacks, kind, component) for kind, component in given.items()}, _waived(waive)
    )
    _refuse_incomplete(written)
    _save(session, written, "Registered", activate)


@stack.command(cls=ComponentOptions)
@click.argument("name")
@click.option("--remove", multiple=True, metavar="TYPE", help="A component type that the stack is to have no more.")
@click.option("--waive", multiple=True, metavar="SETTING", help="Waive these settings, and no others.")
@pass_session
def update(session: Session, /, name: str, remove: tuple[str, ...], waive: tuple[str, ...], **components: str | None) -> None:
    """Give a stack other components."""
    from dataclasses import replace

    written = session.stacks.file(name)
    given = {kind: _entry(session.stacks, kind, component) for kind, component in _given(components).items()}
    removed = {session.registry.component_type(kind).name for kind in remove}
    kept = {kind: entry for kind, entry in written.components.items() if kind not in removed}
    changed = replace(written, components={**kept, **given}, waive=_waived(waive) or written.waive)
    _refuse_incomplete(changed)
    _save(session, changed, "Updated", activate=False)


@stack.command()
@click.argument("file", type=click.Path(path_type=Path), nargs=-1, required=True)
@click.option("--set", "activate", is_flag=True, help="Make it the active stack.")
@pass_session
def apply(session: Session, file: tuple[Path, ...], activate: bool) -> None:
    """Make a stack what FILE says; again and again gives the same."""
    from dovetail.stack.registration import apply_stack_file

    for path in file:
        applied = apply_stack_file(session.stacks, path)
        session.say(f"Stack '{applied.name}' {applied.change}.")
        if activate:
            _activate(session, applied.name)


@stack.command("set")
@click.argument("name")
@pass_session
def set_(session: Session, name: str) -> None:
    """Make a stack the active one."""
    _activate(session, name)


@stack.command("list")
@output_option
@pass_session
def list_(session: Session, output: str) -> None:
    """List stacks; an asterisk marks the active one."""
    active = session.choice.name
    rows = [_row(session, name, active) for name in session.stacks.list()]
    used = [kind.name for kind in session.registry.component_types() if any(kind.name in row for row in rows)]
    shown = [{**row, "active": "*" if row["active"] else ""} for row in rows] if output == "table" else rows
    problem = ["problem"] if any("problem" in row for row in rows) else []
    print_rows(shown, ["active", "name", *used, *problem], output)


@stack.command()
@click.argument("name", required=False)
@output_option
@pass_session
def describe(session: Session, name: str | None, output: str) -> None:
    """Show a stack's components and their configuration, by default the active one's. Secrets stay hidden."""
    found = session.stack(name)
    snapshot = found.snapshot()
    print_one({"name": found.name, "active": found.name == session.choice.name, **snapshot}, output)


@stack.command()
@click.argument("name", required=False)
@pass_session
def check(session: Session, name: str | None) -> None:
    """Try every component of a stack, by default the active one, and say what is wrong with it."""
    found = session.stack(name)
    problems = problems_of(found)
    for problem in problems:
        click.echo(f"- {problem}")
    if problems:
        click.get_current_context().exit(1)
    session.say(f"Stack '{found.name}' can be used.")


def problems_of(stack: Stack) -> list[str]:
    """Everything that is wrong with a stack's components, and with the ledger in its store."""
    from dovetail.ledger.records import Records
    from dovetail.stack import check_stack

    problems = check_stack(stack)
    store: Any = stack.build("artifact_store") if not problems else None
    if store is not None:
        try:
            Records(store).format()
        except StoreError as error:
            problems.append(str(error))
    return problems


@stack.command()
@click.argument("source")
@click.argument("target")
@pass_session
def copy(session: Session, source: str, target: str) -> None:
    """Make a stack TARGET with the components of SOURCE."""
    session.stacks.copy(source, target)
    session.say(f"Stack '{target}' created.")


@stack.command()
@click.argument("name")
@click.argument("file", type=click.Path(path_type=Path), required=False)
@pass_session
def export(session: Session, name: str, file: Path | None) -> None:
    """Print a stack as YAML that `stack apply` takes, or write it to FILE. Secrets stay references."""
    from dovetail.stack.files import write_whole

    text = session.stacks.export(name)
    if file is None:
        click.echo(text, nl=False)
    else:
        write_whole(file, text)
        session.say(f"Stack '{name}' written to {file}.")


@stack.command()
@click.argument("name")
@pass_session
def delete(session: Session, name: str) -> None:
    """Delete a stack; its registered components stay."""
    session.stacks.delete(name)
    session.say(f"Stack '{name}' deleted.")


def _given(components: dict[str, str | None]) -> dict[str, str]:
    return {option.removeprefix("component_"): name for option, name in components.items() if name is not None}


def _entry(stacks: StackStore, kind: str, name: str) -> ComponentSpec | str:
    """The name of a registered component, or a copy of the only one of that name that stands in stack files."""
    from dovetail.errors import NotFound

    try:
        stacks.component(kind, name)
    except NotFound:
        inside = [spec for _, spec in stacks.inline(kind) if spec.name == name]
        if not inside or any(spec != inside[0] for spec in inside):
            raise
        return inside[0]
    return name


def _waived(waive: tuple[str, ...]) -> tuple[str, ...]:
    from dovetail.errors import NotFound
    from dovetail.stack.files import waivable

    for name in waive:
        if name not in waivable():
            raise NotFound("setting", name, waivable())
    return waive


def _refuse_incomplete(written: StackFile) -> None:
    from dovetail.stack.checks import OBLIGATORY

    missing = [kind.replace("_", "-") for kind in OBLIGATORY if kind not in written.components]
    if missing:
        options = " and ".join(f"--{kind} NAME" for kind in missing)
        raise click.UsageError(
            f"A stack needs an orchestrator and an artifact store. Give {options}; `default` names the built-in one."
        )


def _save(session: Session, written: StackFile, done: str, activate: bool) -> None:
    session.stacks.save(written)
    session.say(f"{done} stack '{written.name}'.")
    if activate:
        _activate(session, written.name)


def _activate(session: Session, name: str) -> None:
    import os

    session.stacks.set_active(name)
    session.say(f"The active stack is '{name}'.")
    if os.environ.get("DOVETAIL_STACK", name) != name:
        session.say(f"DOVETAIL_STACK is set to '{os.environ['DOVETAIL_STACK']}' and comes before it.")


def _row(session: Session, name: str, active: str) -> dict[str, Any]:
    row: dict[str, Any] = {"name": name, "active": name == active}
    try:
        found = session.stacks.get(name)
    except ConfigurationError as error:
        return {**row, "problem": str(error)}
    return {**row, **{kind: spec.name for kind, spec in found.components.items()}}
