"""`dovetail artifact-store`, `dovetail orchestrator`, …: one group of commands, made for each component type."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from dovetail.cli.configuration_options import FlavorCommand, changes_of
from dovetail.cli.output import output_option, print_one, print_rows
from dovetail.cli.session import Session, pass_session
from dovetail.errors import ConfigurationError

if TYPE_CHECKING:
    from dovetail.stack import ComponentSpec


def group(option: str) -> click.Group:
    """The commands of one component type, given by the name of its option, such as `artifact-store`."""
    kind = option.replace("-", "_")
    words = option.replace("-", " ")
    made = click.Group(option, help=f"Register, list, describe, update and delete components of the type {words}.")
    for command in (
        _register(kind, words),
        _update(kind, words),
        *_shown(kind, words),
        _delete(kind, words),
        _flavors(kind, words),
    ):
        made.add_command(command)
    return made


def _register(kind: str, words: str) -> click.Command:
    @click.command(
        cls=FlavorCommand, component_type=kind, help=f"Register {_a(words)}: its configuration under a name, for stacks to use."
    )
    @click.argument("name")
    @click.option("--flavor", required=True, metavar="FLAVOR", help="Which implementation; its fields are then options too.")
    @pass_session
    def register(session: Session, /, name: str, flavor: str, **fields: Any) -> None:
        from dovetail.stack import ComponentSpec
        from dovetail.stack.registration import register_component

        cls = session.registry.declared_class(kind, flavor)
        spec = ComponentSpec(kind, flavor, name, changes_of(cls, fields))
        registered = register_component(session.stacks, spec, session.secret_store())
        session.say(f"Registered {words} '{registered.name}'.{_stored(registered, spec)}")

    return register


def _update(kind: str, words: str) -> click.Command:
    @click.command(
        cls=FlavorCommand, component_type=kind, help=f"Change fields of a registered {words}; every stack that uses it follows."
    )
    @click.argument("name")
    @click.option("--unset", multiple=True, metavar="FIELD", help="Put a field back to its default.")
    @pass_session
    def update(session: Session, /, name: str, unset: tuple[str, ...], **fields: Any) -> None:
        from dovetail.stack.registration import update_component

        spec = session.stacks.component(kind, name)
        changes = changes_of(session.registry.declared_class(kind, spec.flavor), fields)
        if not changes and not unset:
            raise click.UsageError(
                f"Say what to change; `dovetail {kind.replace('_', '-')} update {name} --help` lists the fields."
            )
        unset_fields = frozenset(field.replace("-", "_") for field in unset)
        update_component(session.stacks, spec, changes, session.secret_store(), unset=unset_fields)
        session.say(f"Updated {words} '{name}'.")

    return update


def _shown(kind: str, words: str) -> tuple[click.Command, click.Command]:
    @click.command("list", help=f"List every {words}, registered or standing in a stack file.")
    @output_option
    @pass_session
    def list_(session: Session, output: str) -> None:
        print_rows(
            [_row(session, spec, stacks) for spec, stacks in _all(session, kind)], ["name", "flavor", "stacks", "kept_in"], output
        )

    @click.command(help=f"Show {_a(words)}: its fields, what it can do, which stacks use it. Secrets stay hidden.")
    @click.argument("name")
    @output_option
    @pass_session
    def describe(session: Session, name: str, output: str) -> None:
        named = [(spec, stacks) for spec, stacks in _all(session, kind) if spec.name == name]
        if not named:
            session.stacks.component(kind, name)  # which raises, with the near names
        rows = [{**_row(session, spec, stacks), **_facts(session, spec)} for spec, stacks in named]
        print_one(rows[0] if len(rows) == 1 else {"found": rows}, output)

    return list_, describe


def _delete(kind: str, words: str) -> click.Command:
    @click.command(help=f"Delete a registered {words}; refused while a stack uses it.")
    @click.argument("name")
    @pass_session
    def delete(session: Session, name: str) -> None:
        session.stacks.delete_component(kind, name)
        session.say(f"Deleted {words} '{name}'.")

    return delete


def _flavors(kind: str, words: str) -> click.Command:
    @click.command(help=f"List the flavors of {words} that are installed, or the fields of one.")
    @click.argument("flavor", required=False)
    @output_option
    @pass_session
    def flavors(session: Session, flavor: str | None, output: str) -> None:
        if flavor is None:
            rows = [
                {"name": spec.name, "help": spec.help, "requires": list(spec.requires)} for spec in session.registry.flavors(kind)
            ]
            print_rows(rows, ["name", "help", "requires"], output, empty=f"No installed plugin brings {_a(words)}.")
            return
        _print_fields(session, kind, flavor, output)

    return flavors


def _print_fields(session: Session, kind: str, flavor: str, output: str) -> None:
    from dovetail.stack.validation import schema

    described = schema(session.registry.declared_class(kind, flavor))
    if output != "table":
        print_one(described, output)
        return
    rows = [
        {
            "field": name,
            "type": _type_of(facts),
            "required": name in described["required"],
            "default": facts.get("default"),
            "help": facts.get("description"),
        }
        for name, facts in described["properties"].items()
    ]
    print_rows(rows, ["field", "type", "required", "default", "help"], output, empty="It takes no configuration.")


def _type_of(facts: dict[str, Any]) -> str:
    if facts.get("writeOnly"):
        return "secret"
    choices = [_type_of(choice) for choice in facts.get("anyOf", ()) if choice.get("type") != "null"]
    return " or ".join(choices) if choices else str(facts.get("format") or facts.get("type") or "any")


def _all(session: Session, kind: str) -> list[tuple[ComponentSpec, list[str]]]:
    """Registered components with the stacks that name them, then those in stack files."""
    stacks = session.stacks
    registered = [(spec, _users(session, spec)) for spec in stacks.components(kind)]
    return registered + [(spec, [stack]) for stack, spec in stacks.inline(kind)]


def _users(session: Session, spec: ComponentSpec) -> list[str]:
    from dovetail.stack.builtin import DEFAULT, builtin_component

    built_in = builtin_component(spec.component_type, spec.name, session.project) is not None
    return [*([DEFAULT] if built_in else []), *session.stacks.users_of(spec.component_type, spec.name)]


def _row(session: Session, spec: ComponentSpec, stacks: list[str]) -> dict[str, Any]:
    from dovetail.stack.builtin import builtin_component
    from dovetail.stack.stack import without_literals

    registered = session.stacks.is_registered(spec)
    built_in = builtin_component(spec.component_type, spec.name, session.project) == spec
    return {
        "name": spec.name,
        "flavor": spec.flavor,
        "stacks": stacks,
        "kept_in": "Dovetail" if built_in else "its own file" if registered else f"the file of stack '{stacks[0]}'",
        "configuration": dict(without_literals(spec, session.registry).configuration),
    }


def _facts(session: Session, spec: ComponentSpec) -> dict[str, Any]:
    from dovetail.registry import missing_requirements

    try:
        cls = session.registry.declared_class(spec.component_type, spec.flavor)
    except ConfigurationError as error:
        return {"problem": str(error)}
    missing = missing_requirements(session.registry.flavor(spec.component_type, spec.flavor))
    facts: dict[str, Any] = {"capabilities": sorted(capability.value for capability in cls.capabilities)}
    return {**facts, "not_installed": missing} if missing else facts


def _stored(registered: ComponentSpec, given: ComponentSpec) -> str:
    moved = [
        key
        for key in given.configuration
        if "{{" in str(registered.configuration.get(key)) and "{{" not in str(given.configuration[key])
    ]
    return f" The secret {' and '.join(moved)} went to the secret store." if moved else ""


def _a(words: str) -> str:
    return f"an {words}" if words[0] in "aeiou" else f"a {words}"
