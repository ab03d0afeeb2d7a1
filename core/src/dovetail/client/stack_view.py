"""The active stack's components by name, as steps and scripts ask for them."""

from __future__ import annotations

from typing import Any

from dovetail.execution.scope import current
from dovetail.planning.readings import component_reading
from dovetail.planning.workspace import Workspace, settings_for

_BY_STEP = ("data_validator",)  # made anew where the step that asks has settings for it


class StackView:
    """`.orchestrator`, `.artifact_store`, `.experiment_tracker`, `.model_deployer`, …: the component, or None where absent.

    What a step asks for here is noted with its result: another component makes the step run again.
    """

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    def __repr__(self) -> str:
        return f"<stack {self.name}>"

    @property
    def name(self) -> str:
        return self._workspace.stack.name

    @property
    def components(self) -> dict[str, str]:
        """Component type → the component's name."""
        return {kind: spec.name for kind, spec in self._workspace.stack.components.items()}

    @property
    def flavors(self) -> dict[str, str]:
        """Component type → the component's flavor."""
        return {kind: spec.flavor for kind, spec in self._workspace.stack.components.items()}

    def __getattr__(self, component_type: str) -> Any:
        if component_type.startswith("_"):
            raise AttributeError(component_type)
        known = [declared.name for declared in self._workspace.registry.component_types()]
        if component_type not in known:
            raise AttributeError(f"A stack has no '{component_type}'; component types are {', '.join(known)}.")
        scope = current()
        if scope is not None:
            scope.note(component_reading(self._workspace, component_type))
        said = settings_for(self._workspace, scope.options, component_type) if scope is not None and component_type in _BY_STEP else {}
        stack = self._workspace.stack
        component: Any = stack.with_settings(component_type, said) if said else stack.build(component_type)
        if component is not None and component_type == "model_deployer":
            from dovetail.client.deployments import Deployments

            return Deployments(self._workspace, component)
        return component
