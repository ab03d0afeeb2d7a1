"""Values as JSON between a deployment and its callers: rows, arrays, series and frames arrive with the types they had.

`data` and `form` make one message: `{"instances": data, **form}` or `{"columns": data, **form}` asks, `{"predictions":
data, **form}` answers. Without a form, instances are rows as JSON has them and columns are a mapping from name to values.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping
from typing import Any

from dovetail.values.encoding import NotEncodable, decode, encode

_MISSING = ("NAType", "NaTType")  # pandas' own; told by name, so that pandas need not be there


def request(value: Any, method: str) -> dict[str, Any]:
    """What to send. A mapping from names to columns is a frame; raises NotEncodable for what has no form as JSON."""
    if _is_columns(value):
        return {"columns": [_column(name, values) for name, values in value.items()], "kind": "frame", "method": method}
    data, form = pack(value)
    return {"columns" if form["kind"] in ("frame", "series") else "instances": data, **form, "method": method}


def _is_columns(value: Any) -> bool:
    if not isinstance(value, Mapping) or not value:
        return False
    return all(isinstance(values, list | tuple) or _kind(values) in ("array", "series") for values in value.values())


def pack(value: Any) -> tuple[Any, dict[str, Any]]:
    """The data, and the form that `unpack` needs to make the value again."""
    kind = _kind(value)
    if kind == "frame":
        return [_column(name, series) for name, series in value.items()], {"kind": kind}
    if kind == "series":
        return [_column(value.name, value)], {"kind": kind}
    if kind == "array":
        return _array(value), {"kind": kind, "dtype": str(value.dtype), "shape": list(value.shape)}
    return encode(_plain(value)), {"kind": kind}


def _kind(value: Any) -> str:
    for kind, module, name in (("array", "numpy", "ndarray"), ("series", "pandas", "Series"), ("frame", "pandas", "DataFrame")):
        cls = getattr(sys.modules.get(module), name, None)
        if isinstance(cls, type) and isinstance(value, cls):
            return kind
    return "rows"


def _array(array: Any) -> Any:
    """Nested lists; a missing number is null, so that the message is JSON for everybody."""
    kind = array.dtype.kind
    if kind == "V":
        raise NotEncodable("A structured array has no form as JSON. Give a frame, or one array per field in a dict.")
    if kind == "M":
        return array.astype(str).tolist()
    if kind == "m":
        return array.astype("int64").tolist()
    if kind in "biu":
        return array.tolist()
    if kind == "f":
        numbers = array.astype("float64")
        return numbers.tolist() if (abs(numbers) < float("inf")).all() else _with_null(numbers.tolist())
    return encode(_plain(array.tolist()))


def _with_null(numbers: Any) -> Any:
    if isinstance(numbers, list):
        return [_with_null(number) for number in numbers]
    return None if numbers != numbers else encode(numbers)


def _column(name: Any, values: Any) -> dict[str, Any]:
    column: dict[str, Any] = {"name": encode(_plain(name))}
    if _kind(values) == "rows":
        return {**column, "values": encode(_plain(list(values)))}
    categories = getattr(values.dtype, "categories", None)
    if categories is not None and hasattr(values, "cat"):
        known = _column(None, categories.to_series())
        return {**column, "values": values.cat.codes.tolist(), "categories": known, "ordered": bool(values.dtype.ordered)}
    return {**column, "dtype": str(values.dtype), "values": _cells(values)}


def _cells(values: Any) -> Any:
    if _kind(values) == "array" or (type(values.dtype).__module__.partition(".")[0] == "numpy" and values.dtype.kind in "biuf"):
        return _array(values if _kind(values) == "array" else values.to_numpy())
    if values.dtype == object:
        return [encode(_plain(value)) for value in values.tolist()]
    return [_cell(value) for value in values.tolist()]


def _cell(value: Any) -> Any:
    """A value whose type its column's dtype tells."""
    if type(value).__name__ in _MISSING or value != value:
        return None
    if hasattr(value, "isoformat"):
        return value.isoformat()
    return str(value) if type(value).__name__ == "Period" else encode(_plain(value))


def _plain(value: Any) -> Any:
    """Numpy's and pandas' scalars, and arrays in containers, as Python's own."""
    if isinstance(value, list | tuple) and type(value) in (list, tuple):
        return type(value)(_plain(item) for item in value)
    if isinstance(value, Mapping):
        return {_plain(key): _plain(item) for key, item in value.items()}
    if type(value).__name__ in _MISSING:
        return None
    if hasattr(value, "to_pydatetime"):
        return value.to_pydatetime()
    if hasattr(value, "to_pytimedelta"):
        return value.to_pytimedelta()
    return _plain(value.tolist()) if hasattr(value, "tolist") else value


def unpack(data: Any, form: Mapping[str, Any], kind: str, *, plain: bool = False) -> Any:
    """The value of a message whose form may say another kind than `kind`. Raises TypeError or ValueError with a sentence.

    Where numpy or pandas is missing, an array comes back as nested lists and a frame as a dict of lists. `plain`: no value in it is
    marked, so rows are what they are.
    """
    kind = form.get("kind") or ("array" if kind == "rows" and "dtype" in form else kind)
    if kind == "rows":
        return data if plain else decode(data)
    if kind == "array":
        return _to_array(data, form)
    if kind not in ("frame", "series"):
        raise ValueError(f"The kind of the data is {kind!r}; known are rows, array, frame and series.")
    columns = _columns(data, form.get("dtypes"))
    return _to_series(columns) if kind == "series" else _to_frame(columns)


def _to_array(data: Any, form: Mapping[str, Any]) -> Any:
    numpy = library("numpy")
    if numpy is None:
        return decode(data)
    dtype = numpy.dtype(form.get("dtype"))
    try:
        array = numpy.array(data if dtype.kind in "biufmM" else decode(data), dtype=dtype)
    except TypeError:  # numbers that JSON lacks are marked
        array = numpy.array(decode(data), dtype=dtype)
    return array.reshape(form["shape"]) if "shape" in form else array


def _columns(data: Any, dtypes: Any) -> list[dict[str, Any]]:
    if isinstance(data, Mapping):
        given = dtypes if isinstance(dtypes, Mapping) else {}
        data = [{"name": name, "values": values, "dtype": given.get(name)} for name, values in data.items()]
    if not (isinstance(data, list) and all(isinstance(c, dict) and isinstance(c.get("values"), list) for c in data)):
        raise ValueError('Columns must be a mapping from name to a list of values, as in {"columns": {"age": [31, 45]}}.')
    columns = [{**column, "name": _hashable(decode(column.get("name")))} for column in data]
    lengths = {len(column["values"]) for column in columns}
    if len(lengths) > 1:
        seen = ", ".join(f"{column['name']}: {len(column['values'])}" for column in columns)
        raise ValueError(f"The columns are of different lengths ({seen}); give one value per row to each.")
    return columns


def _hashable(name: Any) -> Any:
    hash(name)
    return name


def _to_frame(columns: list[dict[str, Any]]) -> Any:
    pandas = library("pandas")
    if pandas is None:
        return {column["name"]: decode(column["values"]) for column in columns}
    frame = pandas.DataFrame({number: _series(pandas, column) for number, column in enumerate(columns)})
    frame.columns = [column["name"] for column in columns]
    return frame


def _to_series(columns: list[dict[str, Any]]) -> Any:
    if len(columns) != 1:
        raise ValueError(f"A series has one column; {len(columns)} were given.")
    pandas = library("pandas")
    return decode(columns[0]["values"]) if pandas is None else _series(pandas, columns[0])


def _series(pandas: Any, column: Mapping[str, Any]) -> Any:
    values, name = column["values"], column["name"]
    if "categories" in column:
        categories = _series(pandas, {"name": None, **column["categories"]})
        codes = pandas.Categorical.from_codes(values, categories=categories, ordered=bool(column.get("ordered")))
        return pandas.Series(codes, name=name)
    dtype = column.get("dtype")
    try:
        return pandas.Series(decode(values), dtype=dtype, name=name)
    except (TypeError, ValueError) as error:
        raise ValueError(f"The column {name!r} cannot be read as {dtype or 'a column'}: {error}") from error


def library(name: str) -> Any:
    """The module, or None where it is not installed."""
    try:
        return importlib.import_module(name)
    except ImportError:
        return None
