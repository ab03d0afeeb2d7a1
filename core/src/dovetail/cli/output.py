"""Printing rows and single things: as a table for people, as JSON or YAML for programs."""

from __future__ import annotations

import json
import sys
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])

FORMATS = ("table", "json", "yaml")


def output_option(command: F) -> F:
    """`--output table|json|yaml`, handed to the command as `output`."""
    option = click.option("--output", type=click.Choice(FORMATS), default="table", show_default=True, help="How to print it.")
    return option(command)


def print_rows(rows: Sequence[Mapping[str, Any]], columns: Sequence[str], output: str, empty: str = "Nothing to list.") -> None:
    """Print a list. JSON and YAML hold every key of the rows; a table shows `columns`. `empty` is said instead of an empty table."""
    if output != "table":
        _print_data([dict(row) for row in rows], output)
    elif not rows:
        click.echo(empty, err=True)
    elif sys.stdout.isatty():
        _print_rich(rows, columns)
    else:
        _print_plain(rows, columns)


def print_one(thing: Mapping[str, Any], output: str) -> None:
    """Print one thing: a line for each key, nested ones indented."""
    if output != "table":
        _print_data(dict(thing), output)
        return
    for line in _lines(thing, ""):
        click.echo(line)


def shown(value: Any) -> str:
    """A value in one line of a table; control characters, which could act on the terminal, are spelled out."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return ", ".join(f"{shown(key)}={shown(item)}" for key, item in value.items()) or "-"
    if isinstance(value, (list, tuple, set, frozenset)):
        return ", ".join(map(shown, value)) or "-"
    if isinstance(value, float):
        return f"{value:.6g}"
    return "".join(char if unicodedata.category(char)[0] != "C" else repr(char)[1:-1] for char in str(value))


def _print_data(data: Any, output: str) -> None:
    plain = json.loads(json.dumps(data, default=str), parse_constant=lambda name: None)  # JSON has no NaN
    if output == "json":
        click.echo(json.dumps(plain, indent=2, ensure_ascii=False))
        return
    import yaml

    click.echo(yaml.safe_dump(plain, sort_keys=False, allow_unicode=True).rstrip("\n"))


def _print_plain(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> None:
    cells = [[_titled(column).upper() for column in columns], *([shown(row.get(column)) for column in columns] for row in rows)]
    widths = [max(len(line[number]) for line in cells) for number in range(len(columns))]
    for line in cells:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def _print_rich(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in columns:
        table.add_column(_titled(column), overflow="fold")
    for row in rows:
        table.add_row(*(Text(shown(row.get(column))) for column in columns))
    Console().print(table)


def _lines(thing: Mapping[str, Any], indent: str) -> list[str]:
    width = max((len(shown(key)) for key in thing), default=0) + 1
    lines: list[str] = []
    for key, value in thing.items():
        label = f"{_titled(shown(key))}:"
        if isinstance(value, Mapping) and value:
            lines += [f"{indent}{label}", *_lines(value, indent + "  ")]
        elif isinstance(value, (list, tuple)) and value and all(isinstance(item, Mapping) for item in value):
            lines += [f"{indent}{label}"]
            for item in value:
                inner = _lines(item, indent + "    ")
                lines += [f"{indent}  - {inner[0].lstrip()}", *inner[1:]]
        else:
            lines.append(f"{indent}{label.ljust(width)} {shown(value)}")
    return lines


def _titled(key: str) -> str:
    return key.replace("_", " ")
