"""What `FILE|MODULE[:PIPELINE]` names, and the parameters that a command line gives it."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import json
import os
import sys
import traceback
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from dovetail.authoring.pipeline import Pipeline
from dovetail.errors import ConfigurationError, DovetailError, NotFound, near
from dovetail.execution.importing import inert
from dovetail.graph.annotations import read_signature
from dovetail.values.project import find_project

_UNIONS = (typing.Union, getattr(types, "UnionType", typing.Union))
Call = tuple[Pipeline[Any], Sequence[Any], Mapping[str, Any]]


@dataclass(frozen=True)
class Target:
    """A pipeline, and the arguments of the call that stands in its file."""

    pipeline: Pipeline[Any]
    arguments: Mapping[str, Any]


def load_target(text: str) -> Target:
    """Import the file or module, in which pipeline calls run nothing meanwhile, and find the pipeline that is meant.

    Raises NotFound for what is not there, ConfigurationError where several could be meant, DovetailError for code that fails.
    """
    place, name = _split(text)
    calls: list[Call]
    with inert() as calls:
        module = _import_file(place) if _is_file(place) else _import_module(place)
    return _named(module, name, place) if name else _only(module, calls, place)


def _split(text: str) -> tuple[str, str]:
    place, colon, name = text.rpartition(":")
    if not colon or os.path.exists(text) or os.sep in name:
        return text, ""
    return place, name


def _is_file(place: str) -> bool:
    return place.endswith(".py") or os.sep in place or place in (".", "..") or os.path.isfile(place)


def _import_file(place: str) -> types.ModuleType:
    """As Python does for a script: its folder comes first on `sys.path`, and its module is named by the file."""
    file = Path(place).absolute()
    if not file.is_file():
        raise _no_file(place, file)
    if "." in file.stem:
        raise ConfigurationError(f"{place} cannot be imported, as its name holds a dot. Rename it: letters, digits and '_'.")
    _own_project(file)
    sys.path.insert(0, str(file.parent))
    sys.argv = [place]
    known = sys.modules.get(file.stem)
    if known is not None and _is_of(known, file):
        del sys.modules[file.stem]  # imported before it is asked for here: its calls would not be seen
    elif known is not None:
        raise ConfigurationError(f"{place} has the name of the module '{file.stem}', which is in use already. Rename the file.")
    return _imported(file.stem, place, file)


def _import_module(name: str) -> types.ModuleType:
    """As `python -m` does: the working folder comes first on `sys.path`."""
    sys.path.insert(0, os.getcwd())
    sys.argv = [name]
    top = name.partition(".")[0]
    if not all(part.isidentifier() for part in name.split(".")) or importlib.util.find_spec(top) is None:
        files = sorted(path.name for path in Path.cwd().glob("*.py"))
        cure = "A module is looked for in the working folder and among what is installed; a file is named with its .py."
        raise NotFound("module", name, [*(file.removesuffix(".py") for file in files), *files], cure)
    return _imported(name, name, None)


def _imported(name: str, place: str, file: Path | None) -> types.ModuleType:
    try:
        return importlib.import_module(name)
    except DovetailError as error:
        where = _last_line(error)
        error.args = (f"{error} ({where})" if where else str(error), *error.args[1:])
        raise
    except (Exception, SystemExit) as error:
        click.echo(_users_traceback(error), err=True, nl=False)
        cure = _package_cure(file) if isinstance(error, ImportError) and file is not None else ""
        raise DovetailError(f"{place} cannot be imported: {type(error).__name__}: {error}.{cure}") from error


def _no_file(place: str, file: Path) -> DovetailError:
    if file.is_dir():
        return ConfigurationError(f"{place} is a folder. Name the file in it that holds the pipeline.")
    there = sorted(path.name for path in file.parent.glob("*.py")) if file.parent.is_dir() else []
    return NotFound("file", place, there, "" if file.parent.is_dir() else f"There is no folder {file.parent} either.")


def _is_of(module: types.ModuleType, file: Path) -> bool:
    found = getattr(module, "__file__", None)
    return found is not None and os.path.realpath(found) == os.path.realpath(file)


def _own_project(file: Path) -> None:
    """A script of another folder than the working one belongs to the project around it, here and in processes started from here."""
    if not find_project().owns(file):
        os.environ["DOVETAIL_PROJECT"] = str(find_project(file.parent).root)


def _package_cure(file: Path) -> str:
    if not (file.parent / "__init__.py").is_file():
        return ""
    package, folder = file.stem, file.parent
    while (folder / "__init__.py").is_file():
        package, folder = f"{folder.name}.{package}", folder.parent
    return f" It is part of a package: run `dovetail run {package}` in {folder}."


def _users_traceback(error: BaseException) -> str:
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if is_users(frame.filename)]
    head = ["Traceback (most recent call last):\n"] if frames else []
    return "".join([*head, *traceback.format_list(frames), *traceback.format_exception_only(type(error), error)])


def _last_line(error: BaseException) -> str:
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if is_users(frame.filename)]
    return f"{frames[-1].filename}, line {frames[-1].lineno}" if frames else ""


def is_users(filename: str) -> bool:
    own = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
    return not filename.startswith(("<frozen importlib", own)) and filename != importlib.__file__


# -- which pipeline -------------------------------------------------------------------------------------------------------


def _named(module: types.ModuleType, name: str, place: str) -> Target:
    known = _pipelines(module)
    found = known.get(name) or next((pipeline for pipeline in known.values() if pipeline.name == name), None)
    if found is not None:
        return Target(found, {})
    other = getattr(module, name, None)
    if other is not None:
        raise ConfigurationError(f"'{name}' in {place} is no pipeline but a {type(other).__name__}. {near(name, known)}")
    raise NotFound("pipeline", name, known, f"It was looked for in {place}.")


def _only(module: types.ModuleType, calls: Sequence[Call], place: str) -> Target:
    """The single call at module level, else the single pipeline."""
    known = _pipelines(module)
    if len(calls) == 1:
        pipeline, args, kwargs = calls[0]
        return Target(pipeline, inspect.signature(pipeline.function).bind_partial(*args, **kwargs).arguments)
    if calls:
        names = list(dict.fromkeys(pipeline.name for pipeline, _, _ in calls))
        raise ConfigurationError(
            f"{place} calls pipelines {len(calls)} times: {', '.join(names)}. Say which one: {place}:{names[0]}."
        )
    if len(known) == 1:
        return Target(next(iter(known.values())), {})
    if known:
        raise ConfigurationError(
            f"{place} holds several pipelines: {', '.join(known)}. Say which one: {place}:{next(iter(known))}."
        )
    raise ConfigurationError(f"{place} holds no pipeline. Decorate a function with @pipeline at module level.")


def _pipelines(module: types.ModuleType) -> dict[str, Pipeline[Any]]:
    """By variable; those that were only imported count where the module has none of its own."""
    found = {name: value for name, value in vars(module).items() if isinstance(value, Pipeline)}
    own = {name: value for name, value in found.items() if value.function.__module__ == module.__name__}
    return own or found


# -- parameters -----------------------------------------------------------------------------------------------------------


def read_parameters(pipeline: Pipeline[Any], given: Sequence[str]) -> dict[str, Any]:
    """`name=text` pairs as values that the pipeline's annotations are checked against."""
    known = read_signature(pipeline.function, pipeline.name).parameters
    parameters: dict[str, Any] = {}
    for pair in given:
        name, equals, text = pair.partition("=")
        if not (name and equals):
            raise click.UsageError(f"--param {pair}: write it as NAME=VALUE.")
        if name not in known:
            raise ConfigurationError(
                f"Pipeline '{pipeline.name}' has no parameter '{name}'. {near(name, known) or 'It takes none.'}"
            )
        parameters[name] = read_value(text, known[name].annotation)
    return parameters


def read_value(text: str, annotation: Any) -> Any:
    """JSON, or a list or mapping of YAML; anything else stays text, which the annotation makes a date, a path or a number of.

    What is annotated as text is text, whatever it looks like; without an annotation a word is what YAML says: `yes` is true.
    """
    is_text = annotation is str or (typing.get_origin(annotation) in _UNIONS and str in typing.get_args(annotation))
    try:
        value = json.loads(text)
    except ValueError:
        value = _from_yaml(text) if text[:1] in ("[", "{") or annotation is Any else text
    return text if is_text and value is not None else value


def _from_yaml(text: str) -> Any:
    import yaml

    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        return text
