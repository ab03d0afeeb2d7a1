"""JSON values, and whatever is made of parts: one `value.json`, with folders only for parts that JSON cannot hold.

In the JSON, `{"$": mark, "v": …}` stands for what JSON lacks. Plain JSON values are written as they are.
"""

from __future__ import annotations

import collections
import importlib
import itertools
import math
import os
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from dovetail.digest import of_file, of_json
from dovetail.errors import MaterializerError
from dovetail.materializers import codecs, json_file, leaves, npy, objects
from dovetail.materializers.arrays import ArrayMaterializer
from dovetail.materializers.interface import BaseMaterializer, Nested
from dovetail.values.encoding import type_name

_DEEPEST = 100  # levels; deep enough for data, shallow enough to be read from inside any call
_INLINE_BYTES = 1 << 16
_ATOMS = frozenset({str, int, bool, type(None)})
_PLAIN = _ATOMS | {float}
_ARRAYS = "arrays.npy"
_COLLECTIONS = (collections.OrderedDict, collections.Counter, collections.deque)
_SIMPLE = (int, float, complex, bool, str, bytes, list, tuple, dict, set, frozenset)
_FACTORIES: Mapping[str, Any] = {cls.__name__: cls for cls in (*_SIMPLE, *_COLLECTIONS)}


class StructureMaterializer(BaseMaterializer):
    """Everything comes back equal and of the same type; what JSON cannot hold is saved by its own materializer."""

    def save(self, value: Any) -> None:
        save_document(self.uri, "value.json", value, self.nested)

    def load(self, data_type: Any) -> Any:
        return load_document(self.uri, "value.json", self.nested)


def save_document(folder: str, name: str, value: Any, nested: Nested) -> None:
    """Write one JSON file; what JSON cannot hold goes beside it."""
    path = f"{folder}/{name}"
    if type(value) not in _ATOMS:
        encoder = Encoder(nested, folder)
        try:
            value = encoder.encode(value)
            encoder.finish()
        except MaterializerError as error:
            if not encoder.place:
                raise
            place = "".join(f"[{str(step)[:60]!r}]" if isinstance(step, str) else f"[{step}]" for step in encoder.place)
            raise MaterializerError(f"{error} It stands at value{place}.") from error
    json_file.write(path, value)


def load_document(folder: str, name: str, nested: Nested) -> Any:
    path = f"{folder}/{name}"
    data = json_file.read_bytes(path)
    node = json_file.parse(data, path)
    return Decoder(nested, folder).decode(node) if b'"$"' in data else node


class Encoder:
    """Turns values into JSON. After an error `place` holds the keys and indices that lead to the value at fault."""

    def __init__(self, nested: Nested, folder: str) -> None:
        self.place: list[Any] = []
        self._nested = nested
        self._folder = folder
        self._folders = 0
        self._unordered = False
        self._found: dict[type, Callable[[Any], Any]] = {}
        self._together: dict[type[BaseMaterializer], tuple[str, dict[str, Any]]] = {}

    def finish(self) -> None:
        """Save what is saved all at once."""
        for materializer, (name, values) in self._together.items():
            self._nested.save_all(values, f"{self._folder}/{name}", materializer)

    def encode(self, value: Any) -> Any:
        cls = type(value)
        if cls in _ATOMS:
            return value
        if cls is float:
            return value if math.isfinite(value) else {"$": "float", "v": repr(value)}
        write = _CONTAINERS.get(cls)
        if write is not None:
            return write(self, value)
        if cls in leaves.WRITERS and not (cls in (bytes, bytearray) and len(value) > _INLINE_BYTES):
            mark, write_leaf = leaves.WRITERS[cls]
            return {"$": mark, "v": write_leaf(value, self.encode)}
        found = self._found.get(cls)
        if found is None:
            found = self._found[cls] = self._writer(cls)
        return found(value)

    def _writer(self, cls: type) -> Callable[[Any], Any]:
        materializer = self._nested.find(cls)
        if materializer is ArrayMaterializer:
            return self._array
        if materializer.together:
            return lambda value: self._gather(value, materializer)
        if materializer is not StructureMaterializer:
            return self._save_nested
        mark = codecs.mark_of(cls)
        if mark is not None:
            write = importlib.import_module(codecs.MODULES[mark]).write
            return lambda value: {"$": mark, "v": write(value, self.encode)}
        kind = objects.kind_of(cls)
        if kind is None:
            raise MaterializerError(
                f"A value of type {type_name(cls)} would come back as a value of its base class. Convert it to one, or make it a "
                "dataclass."
            )
        name, write_object = type_name(cls), _OBJECTS[kind]
        return lambda value: {"$": kind, "t": name, **write_object(self, value)}

    def items(self, values: Iterable[Any]) -> list[Any]:
        return [self._at(index, value) for index, value in enumerate(values)]

    def mapping(self, values: Mapping[Any, Any]) -> dict[Any, Any]:
        return {key: self._at(key, value) for key, value in values.items()}

    def pairs(self, values: Mapping[Any, Any]) -> list[Any]:
        return [[self.encode(key), self._at(key, value)] for key, value in values.items()]

    def _at(self, step: Any, value: Any) -> Any:
        if type(value) in _ATOMS:
            return value
        self.place.append(step)
        if len(self.place) > _DEEPEST:
            self.place.clear()
            raise MaterializerError(
                f"A value is nested more than {_DEEPEST} levels deep, or holds itself. Return it in a flatter form."
            )
        node = self.encode(value)
        self.place.pop()
        return node

    def unordered(self, values: Iterable[Any]) -> list[Any]:
        """The members of a set, in an order that depends on nothing but what they are."""
        outer, self._unordered = self._unordered, True
        nodes = sorted(self.items(values), key=json_file.to_text)
        self._unordered = outer
        return nodes

    def _array(self, value: Any) -> Any:
        if self._unordered or npy.holds_objects(value.dtype):
            return self._save_nested(value)
        with open(f"{self._folder}/{_ARRAYS}", "ab") as file:
            start = file.tell()
            npy.write(file, value)
        return {"$": "array", "v": start}

    def _gather(self, value: Any, materializer: type[BaseMaterializer]) -> Any:
        """Keep it until all are known, under a name that says where it stands."""
        if self._unordered:
            return self._save_nested(value)
        if materializer not in self._together:
            self._together[materializer] = (str(self._folders), {})
            self._folders += 1
        folder, values = self._together[materializer]
        name = ".".join(map(str, self.place)) or "value"
        while name in values:  # "a.b" is a key, and "b" one of "a"
            name += "'"
        values[name] = value
        return {"$": "together", "g": folder, "v": name}

    def _save_nested(self, value: Any) -> Any:
        name = str(self._folders)
        self._nested.save(value, f"{self._folder}/{name}")
        if self._unordered:
            return {"$": "nested", "v": self._named_by_content(name)}
        self._folders += 1
        return {"$": "nested", "v": name}

    def _named_by_content(self, name: str) -> str:
        """Rename the folder of a set's member after what it holds: its place in the set is an accident."""
        folder = f"{self._folder}/{name}"
        files = [os.path.join(parent, file) for parent, _, files in os.walk(folder) for file in files]
        digest = of_json(sorted([os.path.relpath(file, folder).replace(os.sep, "/"), of_file(file)] for file in files))
        twins = itertools.count()
        while os.path.exists(f"{self._folder}/{(own := f'{digest}-{next(twins)}')}"):
            pass
        os.rename(folder, f"{self._folder}/{own}")
        return own


def _plain(values: Any) -> bool:
    """Whether JSON holds these values as they are: strings, integers and finite floats."""
    classes = set(map(type, values))
    if not classes <= _PLAIN:
        return False
    return float not in classes or all(map(math.isfinite, [value for value in values if type(value) is float]))


def _items(encoder: Encoder, value: Any) -> list[Any]:
    return list(value) if _plain(value) else encoder.items(value)


def _dict(encoder: Encoder, value: dict[Any, Any]) -> Any:
    if set(map(type, value)) <= {str} and "$" not in value:
        return value if _plain(value.values()) else encoder.mapping(value)
    return {"$": "dict", "v": encoder.pairs(value)}


def _set(encoder: Encoder, value: Any) -> Any:
    classes = set(map(type, value))
    return sorted(value) if classes <= {str} or classes <= {int} else encoder.unordered(value)


def _default_factory(value: Any) -> str | None:
    factory = value.default_factory
    name = getattr(factory, "__name__", None)
    if factory is not None and _FACTORIES.get(str(name)) is not factory:
        raise MaterializerError(
            f"A defaultdict whose factory is {factory!r} cannot be saved: only {', '.join(_FACTORIES)} can be named in a file. "
            f"Use one of these, or return dict(value)."
        )
    return name


_CONTAINERS: Mapping[type, Callable[[Encoder, Any], Any]] = {
    list: _items,
    dict: _dict,
    tuple: lambda e, v: {"$": "tuple", "v": _items(e, v)},
    set: lambda e, v: {"$": "set", "v": _set(e, v)},
    frozenset: lambda e, v: {"$": "frozenset", "v": _set(e, v)},
    collections.OrderedDict: lambda e, v: {"$": "ordereddict", "v": e.pairs(v)},
    collections.Counter: lambda e, v: {"$": "counter", "v": e.pairs(v)},
    collections.defaultdict: lambda e, v: {"$": "defaultdict", "f": _default_factory(v), "v": e.pairs(v)},
    collections.deque: lambda e, v: {"$": "deque", "n": v.maxlen, "v": _items(e, v)},
}


def _dataclass(encoder: Encoder, value: Any) -> dict[str, Any]:
    return {"v": encoder.mapping(objects.attributes(value))}


def _model(encoder: Encoder, value: Any) -> dict[str, Any]:
    fields, extra, names, private = objects.model_state(value)
    parts = {"v": encoder.mapping(fields), "s": names}
    if extra is not None:
        parts["x"] = encoder.encode(extra)
    if private is not None:
        parts["p"] = encoder.mapping(private)
    return parts


def _enum(encoder: Encoder, value: Any) -> dict[str, Any]:
    name = objects.member(value)
    return {"v": name} if name is not None else {"n": encoder.encode(value.value)}


_OBJECTS: Mapping[str, Callable[[Encoder, Any], dict[str, Any]]] = {
    "enum": _enum,
    "namedtuple": lambda encoder, value: {"v": encoder.items(objects.tuple_items(value))},
    "dataclass": _dataclass,
    "pydantic": _model,
}


class Decoder:
    """Turns what `Encoder` wrote below `folder` into the values again."""

    def __init__(self, nested: Nested, folder: str) -> None:
        self._nested = nested
        self._folder = folder
        self._types: dict[str, Any] = {}
        self._together: dict[str, Mapping[str, Any]] = {}

    def decode(self, node: Any) -> Any:
        if isinstance(node, list):
            return [self.decode(item) for item in node]
        if not isinstance(node, dict):
            return node
        mark = node.get("$")
        if mark is None:
            return {key: self.decode(item) for key, item in node.items()}
        if "t" in node:
            return self._object(mark, node)
        if mark in _REBUILD:
            return _REBUILD[mark](self, node)
        if mark in leaves.READERS:
            return leaves.READERS[mark](node["v"], self.decode)
        if mark in codecs.MODULES:
            return importlib.import_module(codecs.MODULES[mark]).read(node["v"], self.decode)
        raise MaterializerError(
            f"{self._folder} holds a value marked {str(mark)[:60]!r}, which this version of Dovetail does not know."
        )

    def items(self, node: Any) -> list[Any]:
        return [self.decode(item) for item in node["v"]]

    def pairs(self, node: Any) -> list[tuple[Any, Any]]:
        return [(self.decode(key), self.decode(item)) for key, item in node["v"]]

    def mapping(self, nodes: Any) -> dict[str, Any]:
        return {key: self.decode(item) for key, item in nodes.items()}

    def _object(self, kind: str, node: Any) -> Any:
        name = node["t"]
        if name not in self._types:
            self._types[name] = self._nested.resolve(name)
        cls = self._types[name]
        if kind == "enum":
            return objects.make_member(cls, node.get("v"), self.decode(node.get("n")))
        if kind == "namedtuple":
            return objects.make_tuple(cls, self.items(node))
        state = self.mapping(node["v"])
        if kind == "dataclass":
            return objects.make_dataclass(cls, state)
        private = self.mapping(node["p"]) if "p" in node else None
        return objects.make_model(cls, state, self.decode(node.get("x")), node["s"], private)

    def array(self, node: Any) -> Any:
        with open(f"{self._folder}/{_ARRAYS}", "rb") as file:
            file.seek(node["v"])
            return npy.read(file)

    def together(self, node: Any) -> Any:
        folder, name = node["g"], node["v"]
        if folder not in self._together:
            self._together[folder] = self._nested.load_all(self._part(folder))
        if name not in self._together[folder]:
            raise MaterializerError(f"{self._folder}/{folder} holds no value named {str(name)[:60]!r}. Run `dovetail store verify`.")
        return self._together[folder][name]

    def nested(self, node: Any) -> Any:
        return self._nested.load(self._part(node["v"]))

    def _part(self, name: str) -> str:
        if not re.fullmatch(r"[0-9]{1,9}|[0-9a-f]{64}-[0-9]{1,5}", name):
            raise MaterializerError(f"{self._folder} names {name[:60]!r} as the folder of a part, which it cannot be.")
        return f"{self._folder}/{name}"


_REBUILD: Mapping[str, Callable[[Decoder, Any], Any]] = {
    "tuple": lambda d, node: tuple(d.items(node)),
    "set": lambda d, node: set(d.items(node)),
    "frozenset": lambda d, node: frozenset(d.items(node)),
    "dict": lambda d, node: dict(d.pairs(node)),
    "ordereddict": lambda d, node: collections.OrderedDict(d.pairs(node)),
    "counter": lambda d, node: collections.Counter(dict(d.pairs(node))),
    "defaultdict": lambda d, node: collections.defaultdict(node["f"] and _FACTORIES[node["f"]], d.pairs(node)),
    "deque": lambda d, node: collections.deque(d.items(node), node["n"]),
    "array": Decoder.array,
    "nested": Decoder.nested,
    "together": Decoder.together,
}
