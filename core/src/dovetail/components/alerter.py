"""Tells people what happened, where they read it."""

from __future__ import annotations

import enum
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from dovetail.components.component import Component


class Level(str, enum.Enum):
    """How much it matters, for tools that show it."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Alert:
    """`text`: one or more lines, plain. `fields`: shown as a small table. `link`: where to read on."""

    text: str
    title: str = ""
    level: Level = Level.INFO
    fields: Mapping[str, str] = field(default_factory=dict)
    link: str | None = None


class Alerter(Component):
    """`post` is for people to call: `Client().active_stack.alerter.post("Drift found", level="warning")`."""

    component_type: ClassVar[str] = "alerter"

    @abstractmethod
    def send(self, alert: Alert) -> None:
        """Deliver it, or raise AlertError with the cure; never say twice what was delivered once."""

    def post(
        self, text: str, *, title: str = "", level: Level | str = Level.INFO, fields: Mapping[str, object] | None = None, link: str | None = None
    ) -> None:
        """Send an alert. Raises AlertError where it cannot be delivered, ValueError for a level that is none."""
        shown = {str(name): str(value) for name, value in (fields or {}).items()}
        self.send(Alert(text, title, Level(level), shown, link))
