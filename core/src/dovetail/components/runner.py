"""What orchestrators and step operators state alike of how they run steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from dovetail.components.component import Capability, Component
from dovetail.values.settings import Resources


class Runner(Component):
    """`capabilities` say which of a step's settings it honours. `runs_images`: workers run in container images, so steps need one.

    `shows_variables`: who may look at its jobs sees their variables, so that they hold no secret; workers fetch what they need from the
    stack's secret store, by credentials of their own.
    """

    runs_images: ClassVar[bool] = False
    shows_variables: ClassVar[bool] = False

    def default_image(self) -> str | None:
        """The image for steps whose environment asks for nothing; None has one built."""
        return None

    def separates(self) -> bool:
        """Whether it gives every step a process other than this one, also those that do not ask for it."""
        return Capability.REMOTE in self.capabilities

    def versions_in(self, image: str) -> Mapping[str, str] | None:
        """The distributions that steps find in an image, by normalised name; None where that cannot be told cheaply."""
        return None

    def shares_folders(self) -> bool:
        """Whether its workers find folders of the submitter's machine at the same paths: those of each job."""
        return Capability.REMOTE not in self.capabilities

    def ill_fitting(self, resources: Resources, settings: Mapping[str, Any]) -> Sequence[str]:
        """What of this it has no machine for, one sentence each. `settings`: what the step has for this very component."""
        return ()
