"""What is installed: plugins, and what they supply."""

from __future__ import annotations

from dovetail.registry.registry import PluginInfo, Registry, missing_requirements

__all__ = ["PluginInfo", "Registry", "missing_requirements"]
