"""What steps are given: parameters of every kind, and values from outside."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum
from pathlib import PurePosixPath
from typing import Any, Literal
from uuid import UUID

from dovetail import ExternalArtifact, pipeline, step
from pydantic import BaseModel


class Grain(str, Enum):
    RYE = "rye"
    SPELT = "spelt"


@dataclass(frozen=True)
class Oven:
    degrees: int
    racks: list[str] = field(default_factory=list)


class Order(BaseModel):
    number: int
    due: date
    grain: Grain = Grain.RYE
    notes: dict[str, str | None] = {}


@step
def taken(
    whole: int,
    real: float,
    text: str,
    truth: bool,
    nothing: None,
    listed: list[int],
    mapped: dict[str, list[float]],
    pair: tuple[int, str],
    several: set[str],
    day: date,
    moment: datetime,
    span: timedelta,
    path: PurePosixPath,
    amount: Decimal,
    unique: UUID,
    grain: Grain,
    oven: Oven,
    order: Order,
    chosen: Literal["a", "b"] = "a",
    *,
    anything: Any = None,
) -> dict[str, str]:
    return {name: f"{type(value).__name__} {sorted(value) if isinstance(value, set) else value!r}" for name, value in locals().items()}


@pipeline
def parameters(whole: int = 3, grain: Grain = Grain.SPELT) -> None:
    taken(
        whole,
        0.1,
        "größe 数据 🥖\n",
        True,
        None,
        [1, 2, 3],
        {"a": [0.5, -0.0]},
        (1, "one"),
        {"x", "y"},
        date(2026, 1, 31),
        datetime(2026, 1, 31, 12, 30, tzinfo=timezone.utc),
        timedelta(days=2, microseconds=5),
        PurePosixPath("a/b"),
        Decimal("1.10"),
        UUID("12345678123456781234567812345678"),
        grain,
        Oven(220, ["upper"]),
        Order(number=7, due=date(2026, 2, 1), notes={"to": None}),
        anything={"deep": [{"er": [True, None, 1.5]}]},
    )


@step
def counted(words: list[str], weights: dict[str, bytes]) -> dict[str, int]:
    return {"words": len(words), **{name: len(content) for name, content in weights.items()}}


@pipeline
def from_outside() -> None:
    counted(ExternalArtifact(["from", "outside"]), ExternalArtifact({"größe": b"\x00\xff" * 1000}))
