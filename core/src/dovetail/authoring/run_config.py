"""A run configuration: a YAML file that says of one run what the code would say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dovetail.errors import ConfigurationError, DovetailError, near
from dovetail.graph.definition import Options
from dovetail.values.model import ModelSpec
from dovetail.values.settings import Environment, Resources, Retry

_KEYS = ("stack", "run_name", "enable_cache", "tags", "parameters", "steps", "settings", "model", "retry", "resources", "environment")
_STEP_KEYS = ("enable_cache", "experiment_tracker", "model_deployer", "data_validator", "retry", "timeout", "resources", "environment", "settings", "model", "tags")
_KINDS = {"retry": Retry, "resources": Resources, "environment": Environment, "model": ModelSpec}


@dataclass(frozen=True)
class RunConfig:
    stack: str | None = None
    run_name: str | None = None
    enable_cache: bool | None = None
    tags: tuple[str, ...] = ()
    parameters: Mapping[str, Any] = field(default_factory=dict)
    options: Options = field(default_factory=Options)
    steps: Mapping[str, Options] = field(default_factory=dict)


def read_run_config(source: str | Path | Mapping[str, Any] | None) -> RunConfig:
    """Raises ConfigurationError for a file that is not there, is no YAML, or holds an unknown key, with the nearest name."""
    if source is None:
        return RunConfig()
    written = dict(source) if isinstance(source, Mapping) else _read(Path(source))
    where = "The run configuration" if isinstance(source, Mapping) else f"The run configuration {source}"
    _check_keys(written, _KEYS, where)
    steps = {str(name): _options(said or {}, _STEP_KEYS, f"{where}, step '{name}',") for name, said in (written.get("steps") or {}).items()}
    own = {key: written[key] for key in ("settings", "model", "retry", "resources", "environment") if written.get(key)}
    return RunConfig(
        written.get("stack"), written.get("run_name"), written.get("enable_cache"), tuple(written.get("tags") or ()),
        dict(written.get("parameters") or {}), _options(own, _KEYS, where), steps,
    )  # fmt: skip


def _read(path: Path) -> dict[str, Any]:
    import yaml

    try:
        written = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigurationError(f"There is no run configuration {path}. Check the path given to --config or run_config=.") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"The run configuration {path} is no YAML: {error}") from error
    if written is None:
        return {}
    if not isinstance(written, dict):
        raise ConfigurationError(f"The run configuration {path} must be a mapping with {', '.join(_KEYS)}.")
    return written


def _options(said: Mapping[str, Any], keys: tuple[str, ...], where: str) -> Options:
    _check_keys(said, keys, where)
    try:
        return Options(**{name: _KINDS[name](**value) if name in _KINDS else value for name, value in said.items()})
    except (TypeError, DovetailError) as error:
        raise ConfigurationError(f"{where} cannot be: {error}") from error


def _check_keys(written: Mapping[str, Any], keys: tuple[str, ...], where: str) -> None:
    for key in written:
        if key not in keys and not str(key).startswith("x-"):
            raise ConfigurationError(f"{where} has the unknown key '{key}'. {near(str(key), keys)}")
