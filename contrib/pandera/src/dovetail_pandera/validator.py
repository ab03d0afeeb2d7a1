"""Checks of data by Pandera."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

from dovetail.components import Check, DataValidator, Examined, Finding, Verdict
from dovetail.errors import DefinitionError

_SCHEMA = "DataFrameSchema"


class PanderaValidator(DataValidator):
    """Holds frames against Pandera schemas.

    Besides the portable checks it takes schemas: as import strings into the project (`"flights.schemas:Arrivals"`), or the objects themselves.
    """

    portable: ClassVar[tuple[str, ...]] = ("quality", "schema")

    def version(self) -> str:
        from importlib.metadata import version

        return version("pandera")

    def own_checks(self) -> Mapping[str, str]:
        from dovetail_pandera.schemas import check_names

        schema = "a schema of your own: options={'schema': …}, or its import string `module:name` in place of the check's name"
        return {_SCHEMA: schema, **check_names()}

    def knows(self, name: str) -> bool:
        return ":" in name or super().knows(name)

    def as_check(self, given: Any) -> Check:
        if hasattr(given, "to_schema") or type(given).__name__ == _SCHEMA:
            name = getattr(given, "name", None) or getattr(given, "__name__", None) or _SCHEMA
            return Check(_SCHEMA, options={"schema": given}, label=str(name))
        return super().as_check(given)

    def examine(self, reference: Any, current: Any, checks: Sequence[Check]) -> Examined:
        numbered = current.reset_index(drop=True)  # rows are counted by their index
        findings: list[Finding] = []
        report: dict[str, list[Any]] = {}
        for check in checks:
            findings += self._findings(reference, numbered, check, report.setdefault(check.label, []))
        return Examined(findings, report={"checks": report})

    def _findings(self, reference: Any, current: Any, check: Check, told: list[Any]) -> Iterator[Finding]:
        columns = list(check.columns) or list(current.columns)
        if check.name == "quality":
            return _quality(check, current[columns], told)
        if check.name in self.own_checks() and check.name != _SCHEMA:
            return _of_rows(check, current, columns, told)
        return _violations(check, self._schema(reference, columns, check), current, told)

    def _schema(self, reference: Any, columns: Sequence[Any], check: Check) -> Any:
        from dovetail_pandera.schemas import MOST_VALUES, implied_by, schema_of

        if check.name == "schema":
            return implied_by(reference, columns, int(check.options.get("most_values", MOST_VALUES)))
        given = check.name if ":" in check.name else check.options.get("schema")
        if given is None:
            raise DefinitionError(f"Check('{_SCHEMA}') was given no schema. Give one: options={{'schema': …}}, an object or an import string.")
        return schema_of(given)


def _violations(check: Check, schema: Any, current: Any, told: list[Any]) -> Iterator[Finding]:
    """The number of broken rules, in all and of each column that breaks one."""
    from dovetail_pandera.schemas import broken_of

    broken = broken_of(schema, current)
    told += [vars(each) for each in broken]
    of_none = "; ".join(each.detail for each in broken if each.column is None)
    yield Finding(check.label, "violations", float(len(broken)), _failed(broken), requirement="violations == 0", detail=of_none)
    for column in dict.fromkeys(each.column for each in broken if each.column is not None):
        own = [each.detail for each in broken if each.column == column]
        yield Finding(check.label, "violations", float(len(own)), Verdict.FAIL, column, "violations == 0", "; ".join(own))


def _of_rows(check: Check, current: Any, columns: Sequence[Any], told: list[Any]) -> Iterator[Finding]:
    """The share of each column's rows that fail one of Pandera's checks."""
    from dovetail_pandera.schemas import broken_of, named_check

    schema = named_check(check.name, columns, check.options)
    broken = {each.column: each for each in broken_of(schema, current)}
    told += [vars(each) for each in broken.values()]
    for column in columns:
        found = broken.get(str(column))
        share = 0.0 if found is None else None if found.rows is None else found.rows / len(current)
        yield Finding(check.label, "failed_share", share, _failed(found), str(column), "failed_share == 0", found.detail if found else "")


def _quality(check: Check, current: Any, told: list[Any]) -> Iterator[Finding]:
    """What breaks the rules that no cell is missing and no row repeated."""
    import pandera.pandas as pa

    from dovetail_pandera.schemas import broken_of

    schema = pa.DataFrameSchema({name: pa.Column(None, nullable=False) for name in current.columns})
    missing = {each.column: each.rows or 0 for each in broken_of(schema, current)}
    told += [{"column": name, "missing": count} for name, count in missing.items()]
    yield Finding(check.label, "missing_share", sum(missing.values()) / current.size)
    for name in current.columns:
        yield Finding(check.label, "missing_share", missing.get(str(name), 0) / len(current), column=str(name))
    unique = pa.DataFrameSchema({"row": pa.Column(int, unique=True, report_duplicates="exclude_first", coerce=True)})
    try:
        repeated = sum(each.rows or 0 for each in broken_of(unique, _numbered_by_content(current)))
    except TypeError as error:  # cells that cannot be told apart, such as lists
        yield Finding(check.label, "duplicated_share", None, detail=str(error))
        return
    told.append({"repeated rows": repeated})
    yield Finding(check.label, "duplicated_share", repeated / len(current))


def _numbered_by_content(frame: Any) -> Any:
    """One number for each row, the same for rows that are alike: Pandera leaves missing cells out when it tells which rows are."""
    columns = [frame.iloc[:, number] for number in range(frame.shape[1])]
    return frame.groupby(columns, dropna=False, observed=True, sort=False).ngroup().to_frame("row")


def _failed(broken: object) -> Verdict:
    return Verdict.FAIL if broken else Verdict.PASS
