"""Options made of a component's fields."""

from __future__ import annotations

import json
import sys
import typing
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from dovetail.cli.session import Session
from dovetail.errors import ConfigurationError, DovetailError

if TYPE_CHECKING:
    import dataclasses

    from dovetail.components.component import Component

_PREFIX = "field_"


class FlavorCommand(click.Command):
    """A command that takes the fields of a flavor as options: of the one that `--flavor` names, or of the named component."""

    def __init__(self, *args: Any, component_type: str, **options: Any) -> None:
        super().__init__(*args, **options)
        self.component_type = component_type

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        session = ctx.find_object(Session) or Session()
        ctx.meta[__name__] = self._component_class(session, args)
        return super().parse_args(ctx, _spelled(args, ctx.meta[__name__]))

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        cls = ctx.meta.get(__name__)
        return [*super().get_params(ctx), *(field_options(cls) if cls else [])]

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        session = ctx.find_object(Session) or Session()
        if ctx.meta.get(__name__) is None and any(parameter.name == "flavor" for parameter in self.params):
            names = ", ".join(spec.name for spec in session.registry.flavors(self.component_type)) or "none"
            formatter.write_paragraph()
            formatter.write_text(f"Installed flavors: {names}. `--flavor FLAVOR --help` shows the options of one.")
        super().format_epilog(ctx, formatter)

    def _component_class(self, session: Session, args: Sequence[str]) -> type[Component] | None:
        if any(parameter.name == "flavor" for parameter in self.params):
            flavor = _value_of("--flavor", args)
            asks_help = "--help" in args
            try:
                return session.registry.declared_class(self.component_type, flavor) if flavor else None
            except DovetailError:
                if asks_help:
                    return None
                raise
        names = {spec.name: spec.flavor for spec in session.stacks.components(self.component_type)}
        flavor = next((names[argument] for argument in args if argument in names), None)
        return session.registry.declared_class(self.component_type, flavor) if flavor else None


def field_options(cls: type[Component]) -> list[click.Option]:
    from dovetail.stack.fields import field_types, fields_of

    return [_option(field, field_types(cls)[field.name]) for field in fields_of(cls)]


def _option(field: dataclasses.Field[Any], hint: Any) -> click.Option:
    from dovetail.components.component import Secret
    from dovetail.stack.fields import mentions, required

    name = field.name.replace("_", "-")
    help_text = str(field.metadata.get("help", ""))
    if mentions(hint, Secret):
        help_text = f"{help_text} A secret: kept in the secret store; '-' reads it from standard input.".strip()
    elif required(field):
        help_text = f"{help_text} Required.".strip()
    elif field.default.__class__ in (str, int, float, bool) and field.default != "":
        help_text = f"{help_text} [default: {field.default}]".strip()
    if _is_flag(hint):
        return click.Option([f"--{name}/--no-{name}", f"{_PREFIX}{field.name}"], default=None, help=help_text or None)
    return click.Option(
        [f"--{name}", f"{_PREFIX}{field.name}"],
        multiple=_kind_of(hint) is not None,
        metavar=_metavar(hint),
        help=help_text or None,
    )


def changes_of(cls: type[Component], options: Mapping[str, Any]) -> dict[str, Any]:
    """What the options say about the fields; texts are checked against the fields' types later."""
    from dovetail.stack.fields import field_types

    hints = field_types(cls)
    said = {option.removeprefix(_PREFIX): value for option, value in options.items() if value not in (None, ())}
    return {name: _read(name, hints[name], value) for name, value in said.items()}


def _read(name: str, hint: Any, value: Any) -> Any:
    from dovetail.components.component import Secret
    from dovetail.stack.fields import mentions

    kind = _kind_of(hint)
    if kind == "mapping":
        return _mapping(name, value)
    if kind == "list":
        return _json(value[0]) if len(value) == 1 and value[0].startswith("[") else list(value)
    if value == "-" and mentions(hint, Secret):
        return sys.stdin.read().rstrip("\n")
    return value


def _mapping(name: str, texts: Sequence[str]) -> Any:
    if len(texts) == 1 and texts[0].startswith("{") and not texts[0].startswith("{{"):
        return _json(texts[0])
    pairs = [text.partition("=") for text in texts]
    if not all(separator for _, separator, _ in pairs):
        raise ConfigurationError(f"--{name.replace('_', '-')} takes KEY=VALUE, any number of times, or one JSON mapping.")
    return {key: value for key, _, value in pairs}


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise ConfigurationError(f"{text[:60]!r} is no JSON: {error}.") from None


def _choices(hint: Any) -> list[Any]:
    """The types that a value may have, without None."""
    import types

    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return [part for part in typing.get_args(hint) if part is not types.NoneType]
    return [hint]


def _is_flag(hint: Any) -> bool:
    return _choices(hint) == [bool]


def _kind_of(hint: Any) -> str | None:
    """`list` or `mapping` for a field that holds several values."""
    from collections.abc import Collection

    for choice in _choices(hint):
        origin = typing.get_origin(choice) or choice
        if isinstance(origin, type) and issubclass(origin, Collection) and not issubclass(origin, (str, bytes)):
            return "mapping" if issubclass(origin, Mapping) else "list"
    return None


def _metavar(hint: Any) -> str:
    kind = _kind_of(hint)
    if kind is not None:
        return "KEY=VALUE" if kind == "mapping" else "VALUE"
    names = [str(getattr(choice, "__name__", "value")).upper() for choice in _choices(hint)]
    return {"STR": "TEXT", "INT": "NUMBER", "FLOAT": "NUMBER", "SECRET": "VALUE", "LITERAL": "CHOICE"}.get(names[0], names[0])


def _value_of(option: str, args: Sequence[str]) -> str | None:
    for place, argument in enumerate(args):
        if argument.startswith(f"{option}="):
            return argument.partition("=")[2]
        if argument == option and place + 1 < len(args):
            return args[place + 1]
    return None


def _spelled(args: Sequence[str], cls: type[Component] | None) -> list[str]:
    """`--durable=true` as `--durable`, and `--durable=no` as `--no-durable`."""
    from dovetail.stack.configuration import WORDS
    from dovetail.stack.fields import field_types

    flags = {f"--{name.replace('_', '-')}" for name, hint in field_types(cls).items() if _is_flag(hint)} if cls else set()
    spelled = []
    for argument in args:
        option, separator, value = argument.partition("=")
        truth = WORDS.get(value.casefold()) if separator and option in flags else None
        spelled.append(argument if truth is None else option if truth else f"--no-{option[2:]}")
    return spelled
