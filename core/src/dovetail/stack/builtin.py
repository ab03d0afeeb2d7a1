"""The stack that is there without any file: the local orchestrator and deployer, and a folder as the artifact store."""

from __future__ import annotations

import os
from collections.abc import Mapping

from dovetail.registry import Registry
from dovetail.stack.stack import ComponentSpec, Stack
from dovetail.values.project import Project

DEFAULT = "default"


def default_stack(project: Project, registry: Registry, environ: Mapping[str, str] = os.environ) -> Stack:
    return Stack(DEFAULT, builtin_components(project), registry=registry, project=project, environ=environ)


def builtin_component(component_type: str, name: str, project: Project) -> ComponentSpec | None:
    """The built-in component of that type and name, or None."""
    return next(
        (spec for spec in builtin_components(project) if (spec.component_type, spec.name) == (component_type, name)), None
    )


def builtin_components(project: Project) -> list[ComponentSpec]:
    return [
        ComponentSpec("orchestrator", "local", DEFAULT),
        ComponentSpec("artifact_store", "local", DEFAULT, {"path": str(project.config / "store")}),
        ComponentSpec("model_deployer", "local", DEFAULT),
    ]
