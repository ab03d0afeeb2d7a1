"""Declares the component type `data_catalog`, its flavor `file`, and the observer that publishes what runs produce."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dovetail.plugin import ComponentType, FlavorSpec, hookimpl


@hookimpl
def dovetail_component_types() -> Sequence[ComponentType]:
    return [
        ComponentType(
            "data_catalog", "dovetail_data_catalogs", "dovetail_data_catalog.interface:DataCatalog", "Lists what pipelines produce, for people."
        )
    ]


@hookimpl
def dovetail_data_catalogs() -> Sequence[FlavorSpec]:
    return [FlavorSpec("file", "dovetail_data_catalog.file:FileCatalog", help="A page in Markdown and a table in JSON lines, in a folder.")]


@hookimpl
def dovetail_run_finished(event: Mapping[str, Any]) -> None:
    from dovetail_data_catalog.publishing import publish_run

    publish_run(event)
