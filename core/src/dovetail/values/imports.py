"""Following an import string: freely when our own code names it, only into trusted ground when a record does."""

from __future__ import annotations

import dataclasses
import enum
import importlib
import importlib.util
import sys
from typing import Any

from dovetail.errors import DefinitionError, DovetailError, MaterializerError
from dovetail.values.project import Project, find_project


def load_object(target: str) -> Any:
    """The object that `module:qualname` names. Raises ImportError or AttributeError as Python does."""
    module, _, qualname = target.partition(":")
    found: Any = importlib.import_module(module)
    for part in qualname.split(".") if qualname else ():
        found = getattr(found, part)
    return found


def load_of_project(target: str, project: Project | None = None) -> Any:
    """The object that an import string names, whoever wrote it: it is followed into this project and Dovetail only.

    Raises DefinitionError when it leads elsewhere or to nothing.
    """
    module, _, qualname = target.partition(":")
    if not qualname or not RecordedTypes(project).trusts(module):
        raise DefinitionError(
            f"{target!r} leads to nothing in this project, so it is not imported. Write `module:name` of a module that lies under the "
            f"project's folder and can be imported there."
        )
    try:
        return _in_main(module, qualname) or load_object(target)
    except (ImportError, AttributeError) as error:
        raise DefinitionError(f"{target!r} cannot be imported: {error}. Define it at module level, or mend the name.") from error


class RecordedTypes:
    """Turns a type's name from a record into the type, following it into the project, Dovetail or a plugin only.

    `plugins`: the top-level modules of the installed plugins.
    """

    def __init__(self, project: Project | None = None, plugins: frozenset[str] = frozenset()) -> None:
        self._project = project or find_project()
        self._plugins = plugins

    def __call__(self, target: str, kind: type | None = None) -> Any:
        """Raises MaterializerError when the name leads elsewhere, to nothing, or to neither a data type nor a subclass of `kind`."""
        module, _, qualname = target.partition(":")
        if not self.trusts(module):
            raise MaterializerError(
                f"A record names the type {target!r}, which lies neither in this project, nor in Dovetail, nor in an installed "
                f"plugin, so it is not imported. Run from the project that wrote it, or give the project folder in DOVETAIL_PROJECT."
            )
        try:
            found = _in_main(module, qualname) or load_object(target)
        except (ImportError, AttributeError) as error:
            raise MaterializerError(
                f"A record names the type {target!r}, which cannot be imported: {error}. Define it at module level, or restore it."
            ) from error
        if not (is_data_type(found) or (kind is not None and isinstance(found, type) and issubclass(found, kind))):
            raise MaterializerError(
                f"A record names {target!r}, which is no materializer, enum, dataclass, named tuple or pydantic model."
            )
        return found

    def trusts(self, module: str) -> bool:
        """Whether a module may be imported because a record names it."""
        top = module.partition(".")[0]
        if not top.isidentifier():
            return False
        if top == "dovetail" or top in self._plugins:
            return True
        loaded = sys.modules.get(module) or sys.modules.get(top)
        if loaded is not None:
            return self._project.owns(_file_of(loaded))
        if _in_main(module, "") is not None:
            return True
        spec = importlib.util.find_spec(top)
        locations = [spec.origin, *(spec.submodule_search_locations or ())] if spec else []
        return any(self._project.owns(f"{place}/__init__.py" if spec and place != spec.origin else place) for place in locations if place)


def _file_of(module: Any) -> str | None:
    file = getattr(module, "__file__", None)
    if file is None:
        file = next((f"{place}/__init__.py" for place in getattr(module, "__path__", ())), None)
    return file


def _in_main(module: str, qualname: str) -> Any:
    """What a type recorded under a script's module name is in the running script, or None."""
    from dovetail.values.encoding import module_name

    main = sys.modules.get("__main__")
    if main is None or module_name("__main__") != module:
        return None
    found: Any = main
    for part in qualname.split(".") if qualname else ():
        found = getattr(found, part, None)
    return found


def is_data_type(found: object) -> bool:
    if not isinstance(found, type):
        return False
    return (
        issubclass(found, enum.Enum)
        or dataclasses.is_dataclass(found)
        or (issubclass(found, tuple) and hasattr(found, "_fields"))
        or hasattr(found, "__pydantic_fields__")
        or hasattr(found, "ASSOCIATED_TYPES")
    ) and not issubclass(found, DovetailError)
