"""Names in other scripts than this one's."""

from __future__ import annotations

from typing import Annotated

from dovetail import log_metadata, log_metrics, pipeline, step


@step
def größe(straße: str) -> tuple[Annotated[str, "数据"], Annotated[dict[str, str], "пирог"]]:
    log_metrics({"Länge": len(straße)})
    log_metadata({"où": "là-bas", "絵": "🥖"})
    return straße.upper(), {straße: "ß"}


@step
def wörter(data: str, pie: dict[str, str]) -> list[str]:
    with open("data/größen und mengen.csv", encoding="utf-8") as file:
        return [data, *pie, *file.read().splitlines()]


@pipeline
def bäckerei(straße: str = "Straße №5 \u202b🥐") -> None:
    wörter(*größe(straße))
