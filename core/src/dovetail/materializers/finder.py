"""Which materializer a value gets, and saving and loading by it."""

from __future__ import annotations

import builtins
import os
import types
import typing
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from dovetail.errors import MaterializerError
from dovetail.materializers import json_file
from dovetail.materializers.interface import BaseMaterializer, MaterializerSpec
from dovetail.materializers.objects import kind_of
from dovetail.materializers.refusals import refusal
from dovetail.values.encoding import Json, type_name
from dovetail.values.imports import RecordedTypes, load_object

_NOTE = "nested.json"
_LAST_RESORT = "builtins.object"


class _Registered:
    """What `register_materializer` was told in this process; `changes` counts, so that finders know when to look again."""

    def __init__(self) -> None:
        self.by_name: dict[str, type[BaseMaterializer]] = {}
        self.changes = 0

    def add(self, name: str, materializer: type[BaseMaterializer]) -> None:
        self.by_name[name] = materializer
        self.changes += 1


_registered = _Registered()


def register_materializer(materializer: type[BaseMaterializer], *classes: type) -> type[BaseMaterializer]:
    """Use `materializer` for `classes` (default: its ASSOCIATED_TYPES) everywhere in this process; before plugins and built-ins.

    Call it in a module that the steps import, so that a worker registers it too. Returns the class, so it works as a decorator.
    """
    for cls in classes or materializer.ASSOCIATED_TYPES:
        _registered.add(cls if isinstance(cls, str) else full_name(cls), materializer)
    return materializer


def full_name(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"


@dataclass(slots=True)
class Saved:
    """What is to be recorded of a saved value; nested values add to `pickled` and `deterministic`."""

    type: str
    materializer: str
    format: int
    artifact_type: str
    pickled: bool
    deterministic: bool
    metadata: dict[str, Json] = field(default_factory=dict)
    visualizations: dict[str, str] = field(default_factory=dict)


class Materializers:
    """All materializers that this process knows: registered ones, then `specs` in their order, then the last resorts.

    `specs` come from the hooks, built-in ones included. `resolve` follows type names out of records.
    """

    def __init__(self, specs: Iterable[MaterializerSpec], resolve: RecordedTypes | None = None) -> None:
        self._declared: dict[str, MaterializerSpec] = {}
        for spec in specs:
            for name in spec.types:
                self._declared.setdefault(name, spec)
        self._targets = frozenset(spec.target for spec in self._declared.values())
        self._found: dict[type, type[BaseMaterializer]] = {}
        self._named: dict[str, type[BaseMaterializer]] = {}
        self._seen = _registered.changes
        self._resolve = resolve

    def resolve(self, type_name: str, kind: type | None = None) -> Any:
        if self._resolve is None:
            self._resolve = RecordedTypes()
        return self._resolve(type_name, kind)

    def find(self, cls: type) -> type[BaseMaterializer]:
        """The materializer for values of class `cls`, along its MRO. Raises MaterializerError where nothing fits."""
        self._refresh()
        found = self._found.get(cls)
        if found is None:
            target = self._target(cls)
            found = self._found[cls] = self._load(target) if isinstance(target, str) else target
        return found

    def declared_for(self, annotation: Any) -> str | None:
        """The import string of the materializer for values of an annotated class, found by names alone: it imports nothing.

        None where the annotation is no class, or where nothing but the last resort fits: the value's own type decides then.
        """
        cls = _class_of(annotation)
        if cls is None:
            return None
        target = self._match(cls)
        return type_name(target) if isinstance(target, type) else target

    def refused(self, annotation: Any) -> str | None:
        """Why values of an annotated class cannot be artifacts, with the cure; None where nothing speaks against it."""
        cls = _class_of(annotation)
        return None if cls is None or self._match(cls) is not None else refusal(cls)

    def _refresh(self) -> None:
        if _registered.changes != self._seen:
            self._found.clear()
            self._named.clear()
            self._seen = _registered.changes

    def _target(self, cls: type) -> str | type[BaseMaterializer]:
        found = self._match(cls)
        if found is None and _LAST_RESORT in self._declared:
            found = self._declared[_LAST_RESORT].target
        if found is None:
            raise MaterializerError(
                f"Nothing saves a value of type {type_name(cls)}. Write a BaseMaterializer with ASSOCIATED_TYPES = "
                f"({cls.__name__},) "
                f"and register it, or return something that is made of JSON values, arrays and frames."
            )
        return found

    def _match(self, cls: type) -> str | type[BaseMaterializer] | None:
        names = [full_name(base) for base in cls.__mro__]
        for name in names:
            if name in _registered.by_name:
                return _registered.by_name[name]
        for name in names[:-1]:
            spec = self._declared.get(name)
            if spec is not None and (name == names[0] or not spec.exact):
                return spec.target
        kind = kind_of(cls)
        return self._declared[kind].target if kind in self._declared and self._can_be_named(cls) else None

    def _can_be_named(self, cls: type) -> bool:
        """Whether a payload that names the class can be read again."""
        try:
            return self.resolve(type_name(cls)) is cls
        except MaterializerError:
            return False

    def _load(self, target: str) -> type[BaseMaterializer]:
        if target not in self._named:
            self._named[target] = load_object(target)
        return self._named[target]

    def named(self, target: str) -> type[BaseMaterializer]:
        """The class that a manifest names: one that this process registered or declared, else one in trusted ground."""
        self._refresh()
        found = self._named.get(target)
        if found is None:
            found = self._named[target] = self._look_up(target)
        return found

    def _look_up(self, target: str) -> type[BaseMaterializer]:
        own = next((m for m in _registered.by_name.values() if type_name(m) == target), None)
        cls: Any = own or (load_object(target) if target in self._targets else self.resolve(target))
        if not (isinstance(cls, type) and issubclass(cls, BaseMaterializer)):
            raise MaterializerError(f"A manifest names {target!r} as its materializer, which is none.")
        return cls

    def save_all(self, values: Mapping[str, Any], folder: str, materializer: type[BaseMaterializer]) -> Saved:
        """Write the values of one container into the empty local `folder`; what was written says the first one's type."""
        of = next(map(type, values.values()))
        saved = Saved(type_name(of), type_name(materializer), materializer.FORMAT_VERSION, "", materializer.pickled, materializer.deterministic)
        instance = materializer(folder, _Inner(self, saved))
        instance.save_all(values)
        saved.deterministic &= instance.deterministic
        return saved

    def save(self, value: Any, folder: str, materializer: type[BaseMaterializer] | None = None) -> Saved:
        """Write `value` into the empty local `folder` and say what was written."""
        of = type(value)
        cls = materializer or self.find(of)
        saved = Saved(
            type_name(of), type_name(cls), cls.FORMAT_VERSION, cls.ASSOCIATED_ARTIFACT_TYPE.value, cls.pickled, cls.deterministic
        )
        instance = cls(folder, _Inner(self, saved))
        instance.save(value)
        saved.deterministic &= instance.deterministic
        if cls.extract_metadata is not BaseMaterializer.extract_metadata:
            saved.metadata = _optional(cls.extract_metadata, instance, value)
        return saved

    def visualizations(self, value: Any, folder: str, materializer: type[BaseMaterializer] | None = None) -> Mapping[str, str]:
        cls = materializer or self.find(type(value))
        return _optional(cls.save_visualizations, cls(folder, _Inner(self, None)), value) if self.draws(cls) else {}

    def draws(self, cls: type[BaseMaterializer]) -> bool:
        return cls.save_visualizations is not BaseMaterializer.save_visualizations

    def load(
        self,
        folder: str,
        materializer: str,
        type_: str,
        wanted: Any = None,
        *,
        trusted: bool = True,
        format_version: int = 0,
        together: bool = False,
    ) -> Any:
        """Read a value back. `wanted`: the class the reader asks for; `trusted`: whether pickled payload may be loaded.

        Whatever is wrong with the payload raises MaterializerError. `format_version`: what the record says, if it is known.
        `together`: it was written by `save_all`.
        """
        try:
            cls = self.named(materializer)
            _refuse(cls, folder, materializer, trusted, format_version)
            made = cls(folder, _Inner(self, None, trusted=trusted))
            return made.load_all() if together else made.load(self._data_type(type_, wanted))
        except MaterializerError:
            raise
        except Exception as error:
            raise MaterializerError(
                f"{materializer} could not read the value of type {type_} in {folder}: {type(error).__name__}: {error}. "
                "Run `dovetail store verify`; if that finds nothing, the class or a library has changed since it was saved: run "
                "its step again."
            ) from error

    def _data_type(self, type_: str, wanted: Any) -> Any:
        if isinstance(wanted, type) and wanted is not object:
            return wanted
        module, _, qualname = type_.partition(":")
        if module == "builtins":
            found = getattr(builtins, qualname, object)
            return found if isinstance(found, type) else object
        try:
            return self.resolve(type_)
        except MaterializerError:
            return object  # a library's class: its materializer knows it


def _refuse(cls: type[BaseMaterializer], folder: str, materializer: str, trusted: bool, format_version: int) -> None:
    if cls.pickled and not trusted:
        raise MaterializerError(
            f"The artifact at {folder} was saved by {materializer}, which pickles, and its store is not marked as trusted. "
            f"Set `trusted: true` in the artifact store's configuration if you trust everyone who can write to it."
        )
    if format_version > cls.FORMAT_VERSION:
        raise MaterializerError(
            f"The artifact at {folder} was saved by {materializer} in its format {format_version}, and the one installed here "
            "knows formats "
            f"up to {cls.FORMAT_VERSION}. Upgrade Dovetail or the plugin that brings it."
        )


def _optional(method: Any, instance: BaseMaterializer, value: Any) -> dict[str, Any]:
    """What is told about a value besides the value: its failure is a warning, and loses no result."""
    try:
        return dict(method(instance, value))
    except Exception as error:
        warnings.warn(
            f"{method.__qualname__} failed, so the artifact goes without it: {type(error).__name__}: {error}", stacklevel=3
        )
        return {}


def _class_of(annotation: Any) -> type | None:
    """The class of `X`, `Annotated[X, …]`, `Optional[X]` or `X[…]`; None for other annotations, and for `object`."""
    origin = typing.get_origin(annotation)
    if origin is typing.Annotated:
        return _class_of(annotation.__origin__)
    if origin is typing.Union or origin is types.UnionType:
        members = [each for each in typing.get_args(annotation) if each is not type(None)]
        return _class_of(members[0]) if len(members) == 1 else None
    found = annotation if origin is None else origin
    return found if isinstance(found, type) and found is not object else None


class _Inner:
    """`Nested` for one value that is being saved (`into` is told what the nested values were) or loaded."""

    def __init__(self, materializers: Materializers, into: Saved | None, *, trusted: bool = True) -> None:
        self._materializers = materializers
        self._into = into
        self.trusted = trusted

    def save(self, value: Any, folder: str) -> None:
        os.makedirs(folder)
        self._note(self._materializers.save(value, folder), folder)

    def save_all(self, values: Mapping[str, Any], folder: str, materializer: type[BaseMaterializer]) -> None:
        os.makedirs(folder)
        self._note(self._materializers.save_all(values, folder, materializer), folder)

    def _note(self, saved: Saved, folder: str) -> None:
        if self._into is not None:
            self._into.pickled |= saved.pickled
            self._into.deterministic &= saved.deterministic
        note = {"type": saved.type, "materializer": saved.materializer, "format": saved.format}
        json_file.write(f"{folder}/{_NOTE}", note)

    def load_all(self, folder: str) -> Mapping[str, Any]:
        values: Mapping[str, Any] = self.load(folder, together=True)
        return values

    def load(self, folder: str, *, together: bool = False) -> Any:
        note = json_file.read(f"{folder}/{_NOTE}")
        known = isinstance(note, dict) and isinstance(note.get("type"), str) and isinstance(note.get("materializer"), str)
        if not known or type(note.get("format")) is not int:
            raise MaterializerError(f"{folder}/{_NOTE} does not say what saved the value there. Run `dovetail store verify`.")
        return self._materializers.load(
            folder, note["materializer"], note["type"], trusted=self.trusted, format_version=note["format"], together=together
        )

    def find(self, cls: type) -> type[BaseMaterializer]:
        return self._materializers.find(cls)

    def resolve(self, type_name: str, kind: type | None = None) -> Any:
        return self._materializers.resolve(type_name, kind)
