"""Declares the command group `dovetail export`."""

from __future__ import annotations

from collections.abc import Mapping

from dovetail.plugin import hookimpl


@hookimpl
def dovetail_cli_commands() -> Mapping[str, str]:
    return {"export": "dovetail_export.commands:export"}
