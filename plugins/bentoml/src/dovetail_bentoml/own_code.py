"""The modules of a project that a model cannot be read without: its own class, and its own materializer."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from dovetail.errors import DefinitionError
from dovetail.values.encoding import module_name
from dovetail.values.project import find_project

_NO_CODE = shutil.ignore_patterns("__pycache__", "*.pyc", ".*", "tests")


def copy_code(model: Any, materializer: type, more: Iterable[str], target: Path) -> None:
    """Copy the top-level modules of the project that these classes come from, and those named in `more`, into `target`."""
    from dovetail.registry import Registry

    plugins = Registry.load().plugin_modules()
    named = {base.__module__ for base in (*type(model).__mro__, *materializer.__mro__)}
    owned = {name for name in named if _owned(name) and name.partition(".")[0] not in plugins}
    target.mkdir()
    for name in sorted({*map(_top, owned), *_checked(more)}):
        _copy(name, target)


def _top(name: str) -> str:
    return name if name == "__main__" else name.partition(".")[0]


def _owned(name: str) -> bool:
    return name.partition(".")[0] != "dovetail" and find_project().owns(getattr(sys.modules.get(name), "__file__", None))


def _checked(names: Iterable[str]) -> Iterator[str]:
    for name in names:
        if not name.isidentifier():
            raise DefinitionError(f"build_bento's code {name!r} is no name of a top-level module. Write it as it is imported, such as 'flights'.")
        if find_spec(name) is None:
            raise DefinitionError(f"build_bento's code {name!r} cannot be imported. Name a top-level module of the project.")
        if name in sys.stdlib_module_names:
            raise DefinitionError(f"build_bento's code {name!r} is Python's own, and is there wherever the Bento runs. Leave it out.")
        yield name


def _copy(name: str, target: Path) -> None:
    folder, file = _place(name)
    if folder is not None:
        shutil.copytree(folder, target / name, ignore=_NO_CODE, copy_function=shutil.copyfile)
    elif file:
        copied = target / f"{module_name(name).replace('.', '/')}.py"
        copied.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, copied)


def _place(name: str) -> tuple[str | None, str | None]:
    """A package's folder, else a module's file."""
    if name == "__main__":
        return None, sys.modules[name].__file__
    spec = find_spec(name)
    return (None, None) if spec is None else (next(iter(spec.submodule_search_locations or ()), None), spec.origin)
