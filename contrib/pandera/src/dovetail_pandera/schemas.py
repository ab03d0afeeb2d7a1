"""Pandera schemas: those that a reference implies, those that a project defines, and what data break of them."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dovetail.errors import DefinitionError, near
from dovetail.values.imports import load_of_project

MOST_VALUES = 50  # a text with more than these in the reference may say anything
_NOT_OPTIONS = {"self", "check_fn", "args", "kwargs", "check_kwargs"}


@dataclass(frozen=True)
class Broken:
    """One rule of a schema that data break. `rows`: how many, where the rule is one of rows."""

    rule: str
    column: str | None
    detail: str
    rows: int | None = None


def implied_by(reference: Any, columns: Sequence[Any], most_values: int = MOST_VALUES) -> Any:
    """The schema that the reference implies: the type of each column, the range of a number, the values of a text."""
    import pandera.pandas as pa

    inferred = pa.infer_schema(reference[list(columns)])
    kept = {name: _column(pa, column, reference[name], most_values) for name, column in inferred.columns.items()}
    return pa.DataFrameSchema(kept, strict=False)


def _column(pa: Any, inferred: Any, values: Any, most_values: int) -> Any:
    from pandas.api import types

    checks = inferred.checks if types.is_numeric_dtype(values.dtype) else []  # a later day is no broken rule
    categories = str(values.dtype) == "category"
    if categories or types.is_string_dtype(values.dtype) or types.is_object_dtype(values.dtype):
        checks = _few(pa, values, most_values)
    return pa.Column("category" if categories else values.dtype, checks, nullable=True, coerce=False)


def _few(pa: Any, values: Any, most: int) -> list[Any]:
    present = values.dropna()
    if not len(present) or not present.map(lambda value: isinstance(value, str)).all():
        return []
    distinct = sorted(present.unique())
    return [pa.Check.isin(distinct)] if len(distinct) <= most else []


def schema_of(given: Any) -> Any:
    """A schema for pandas of what may be an import string into the project, a schema or a DataFrameModel."""
    import pandera.pandas as pa

    found: Any = load_of_project(given) if isinstance(given, str) else given
    is_model = isinstance(found, type) and issubclass(found, pa.DataFrameModel)
    if is_model:
        return found.to_schema()
    if isinstance(found, pa.DataFrameSchema):
        return found
    named = repr(given) if isinstance(given, str) else f"A {type(given).__name__}"
    raise DefinitionError(f"{named} is no schema of frames. Name a DataFrameSchema or a DataFrameModel of pandera.pandas.")


def named_check(name: str, columns: Sequence[Any], options: Mapping[str, Any]) -> Any:
    """A schema that makes one of Pandera's built-in checks of each column."""
    import pandera.pandas as pa

    check = getattr(pa.Check, name)
    own = [option for option in inspect.signature(check).parameters if option not in _NOT_OPTIONS]
    known = [*own, *(option for option in inspect.signature(pa.Check.__init__).parameters if option not in _NOT_OPTIONS)]
    unknown = next((option for option in options if option not in known), None)
    if unknown is not None:  # Pandera would keep it unread
        raise DefinitionError(f"Pandera's check '{name}' takes no '{unknown}'. {near(unknown, own)}")
    try:
        return pa.DataFrameSchema({column: pa.Column(None, check(**options), nullable=True) for column in columns})
    except TypeError as error:
        said = str(error).rpartition(".")[2]
        raise DefinitionError(f"Pandera's check '{name}' cannot be made of {dict(options)}: {said}. Give its arguments in options=.") from error


def check_names() -> dict[str, str]:
    """Pandera's built-in checks of a pandas column."""
    return {
        "equal_to": "each value is one",
        "not_equal_to": "no value is one",
        "greater_than": "each value lies above one",
        "greater_than_or_equal_to": "no value lies below one",
        "less_than": "each value lies below one",
        "less_than_or_equal_to": "no value lies above one",
        "in_range": "each value lies between two",
        "isin": "each value is one of some",
        "notin": "no value is one of some",
        "str_matches": "each text begins as an expression says",
        "str_contains": "each text has an expression in it",
        "str_startswith": "each text begins with one",
        "str_endswith": "each text ends with one",
        "str_length": "each text's length lies between two",
        "unique_values_eq": "the values are these, each at least once",
    }


def broken_of(schema: Any, frame: Any) -> list[Broken]:
    """All rules of the schema that the frame breaks. The frame is left as it is."""
    import pandera.pandas as pa

    try:
        schema.validate(frame, lazy=True)
    except pa.errors.SchemaErrors as error:
        return list(_told(error.schema_errors))
    return []


def _told(errors: Sequence[Any]) -> Iterator[Broken]:
    reasons = [error.reason_code.name if error.reason_code else "" for error in errors]
    mistyped = {_column_of(error) for error, reason in zip(errors, reasons, strict=True) if reason in ("WRONG_DATATYPE", "DATATYPE_COERCION")}
    for error, reason in zip(errors, reasons, strict=True):
        column = _column_of(error)
        if reason == "CHECK_ERROR" and column in mistyped:
            continue  # what cannot even be compared is told of once
        yield Broken(_rule(error), column, _detail(error), _rows(error))


def _column_of(error: Any) -> str | None:
    if error.reason_code and error.reason_code.name in ("COLUMN_NOT_IN_DATAFRAME", "COLUMN_NOT_IN_SCHEMA"):
        return str(error.failure_cases)
    name = getattr(error, "column_name", None)
    return None if name is None else str(name)


def _rule(error: Any) -> str:
    check = error.check
    return str(getattr(check, "error", None) or getattr(check, "name", None) or check)


def _rows(error: Any) -> int | None:
    cases = error.failure_cases
    if not hasattr(cases, "columns") or "index" not in cases.columns:
        return None
    return int(cases["index"].nunique()) if "column" in cases.columns else len(cases)


def _detail(error: Any) -> str:
    """Which rule, and how it looks in the data, in some hundred characters."""
    cases = error.failure_cases
    rows = _rows(error)
    if rows is None:
        return f"{_rule(error)}: {cases!s:.80}"
    first = cases["failure_case"].iloc[0] if "failure_case" in cases.columns and len(cases) else ""
    return f"{_rule(error)}: {rows} {'row' if rows == 1 else 'rows'}, such as {first!s:.60}"
