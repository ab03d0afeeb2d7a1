"""Pickle, for what has no safe format: marked as such, told about, and read only from trusted stores."""

from __future__ import annotations

import copyreg
import os
import pickle
import sys
import warnings
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from dovetail.errors import MaterializerError
from dovetail.materializers import json_file
from dovetail.materializers.interface import BaseMaterializer
from dovetail.materializers.refusals import refusal
from dovetail.values.encoding import module_name, type_name

_PROTOCOL = 5
_FILE, _SURROUNDINGS = "value.pkl", "surroundings.json"


class PickleWarning(UserWarning):
    """A value is pickled because no materializer knows its type."""


class PickleMaterializer(BaseMaterializer):
    """The last resort."""

    ASSOCIATED_TYPES = (object,)
    deterministic = False
    pickled = True
    _warned: ClassVar[set[type]] = set()

    def save(self, value: Any) -> None:
        cls = type(value)
        reason = refusal(cls)
        if reason is not None:
            raise MaterializerError(f"A value of type {type_name(cls)} cannot be saved. {reason}")
        write(value, self.uri, {})
        if cls not in self._warned:
            self._warned.add(cls)
            warnings.warn(_advice(cls), PickleWarning, stacklevel=2)

    def load(self, data_type: Any) -> Any:
        return read(self.uri)


def _advice(cls: type) -> str:
    return (
        f"Values of type {type_name(cls)} are pickled, because no materializer knows the type: they can be loaded only from a "
        "trusted "
        "store, by code that still has the class, and equal values do not count as equal. Return a dataclass or a pydantic "
        "model of "
        f"your project, or write a BaseMaterializer with ASSOCIATED_TYPES = ({cls.__name__},) and register it."
    )


def write(value: Any, folder: str, versions: Mapping[str, str], state_of: Callable[[Any], Any] | None = None) -> None:
    """`versions`: of the libraries that the pickle depends on; they are named when it cannot be read.

    `state_of` may give another state than an object's own, or None.
    """
    surroundings = {"python": _python(), "main": module_name("__main__"), "versions": dict(versions)}
    try:
        with open(f"{folder}/{_FILE}", "xb") as file:
            (_Pickler(file, state_of) if state_of else pickle.Pickler(file, protocol=_PROTOCOL)).dump(value)
    except OSError:
        raise
    except Exception as error:
        os.unlink(f"{folder}/{_FILE}")
        raise MaterializerError(
            f"A value of type {type_name(type(value))} cannot be saved: no materializer knows the type, and pickle says: "
            f"{error}. "
            "Define its classes and functions at module level, leave out what belongs to this process (locks, files, "
            "connections), "
            f"or write a BaseMaterializer for it and register it."
        ) from error
    json_file.write(f"{folder}/{_SURROUNDINGS}", surroundings)


def surroundings(folder: str) -> dict[str, Any]:
    """What was written about Python, the main module and `versions`."""
    found: dict[str, Any] = json_file.read(f"{folder}/{_SURROUNDINGS}")
    return found


def read(folder: str) -> Any:
    around = surroundings(folder)
    try:
        with open(f"{folder}/{_FILE}", "rb") as file:
            return _Unpickler(file, around["main"]).load()
    except MaterializerError:
        raise
    except Exception as error:
        versions = {"Python": around["python"], **around["versions"]}
        saved_with = " and ".join(f"{name} {version}" for name, version in versions.items())
        raise MaterializerError(
            f"The pickle in {folder} cannot be read here: {type(error).__name__}: {error}. It was saved with {saved_with}; this "
            "is "
            f"Python {_python()}. Restore the classes that it names and use these versions, or run its step again."
        ) from error


class _Pickler(pickle.Pickler):
    def __init__(self, file: Any, state_of: Callable[[Any], Any]) -> None:
        super().__init__(file, protocol=_PROTOCOL)
        self._state_of = state_of

    def reducer_override(self, value: Any, /) -> Any:
        state = self._state_of(value)
        return NotImplemented if state is None else (copyreg.__newobj__, (type(value),), state)  # type: ignore[attr-defined]


class _Unpickler(pickle.Unpickler):
    """Finds what a script defined, whether the script is `__main__` or imported, then and now."""

    def __init__(self, file: Any, saved_main: str) -> None:
        super().__init__(file)
        self._saved_main = saved_main

    def find_class(self, module: str, name: str, /) -> Any:
        if module == "__main__":
            module = self._saved_main
        if module == module_name("__main__") and hasattr(sys.modules["__main__"], name.partition(".")[0]):
            module = "__main__"
        return super().find_class(module, name)


def _python() -> str:
    return ".".join(str(part) for part in sys.version_info[:3])
