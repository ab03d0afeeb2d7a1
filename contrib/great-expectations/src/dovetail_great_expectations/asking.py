"""The one file that talks to Great Expectations: expectations are made, asked of a frame, and answered."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dovetail.errors import DefinitionError
from dovetail.values.imports import load_of_project

# These ask a database, and say of a frame nothing but that they cannot.
_NOT_OF_FRAMES = ("Query", "OtherTable", "LikePattern", "UnexpectedRows")


@dataclass(frozen=True)
class Answer:
    """What came of one expectation. `problem`: why it could not be asked."""

    expectation: Any
    success: bool
    result: Mapping[str, Any]
    problem: str
    told: Mapping[str, Any]

    @property
    def columns(self) -> list[str]:
        fields = ("column", "column_A", "column_B")
        named = [getattr(self.expectation, name, None) for name in fields]
        return [str(name) for name in named if isinstance(name, str)]

    @property
    def warns(self) -> bool:
        """Whether its author holds it for less than critical."""
        return str(getattr(self.expectation.severity, "value", self.expectation.severity)) != "critical"


def ask(frame: Any, expectations: Sequence[Any]) -> list[Answer]:
    """The answers in the order of the expectations."""
    import great_expectations as gx
    from great_expectations.data_context.types.base import DataContextConfig, InMemoryStoreBackendDefaults, ProgressBarsConfig

    kept = DataContextConfig(store_backend_defaults=InMemoryStoreBackendDefaults(), progress_bars=ProgressBarsConfig(globally=False))
    context = gx.get_context(mode="ephemeral", project_config=kept)
    source = context.data_sources.add_pandas("frames")
    batch = source.add_dataframe_asset("frame").add_batch_definition_whole_dataframe("all").get_batch({"dataframe": _named_by_text(frame)})
    return [_answer(each, batch.validate(each, result_format="SUMMARY")) for each in expectations]


def _named_by_text(frame: Any) -> Any:
    """Great Expectations takes no other names of columns."""
    names = [str(name) for name in frame.columns]
    return frame if list(frame.columns) == names else frame.set_axis(names, axis="columns")


def _answer(expectation: Any, found: Any) -> Answer:
    said = found.exception_info or {}
    told = [said] if "raised_exception" in said else list(said.values())
    problems = [str(each.get("exception_message")) for each in told if each.get("raised_exception")]
    return Answer(expectation, bool(found.success), dict(found.result), "; ".join(dict.fromkeys(problems)), found.to_json_dict())


def names() -> dict[str, str]:
    """The expectations that frames can be asked, with the first line of what each says of itself."""
    import great_expectations.expectations as gxe

    known = {name: getattr(gxe, name) for name in dir(gxe) if name.startswith("Expect") and name != "Expectation"}
    kept = {name: each for name, each in known.items() if not any(word in name for word in _NOT_OF_FRAMES)}
    return {name: (each.__doc__ or "").strip().partition("\n")[0] for name, each in kept.items()}


def is_expectation(given: Any) -> bool:
    from great_expectations.expectations.expectation import Expectation

    return isinstance(given, Expectation)


def expectations_of(name: str, columns: Sequence[str], every: Sequence[str], options: Mapping[str, Any]) -> list[Any]:
    """By the name of a class or by an import string into the project: one for each column, where it looks at one column."""
    import great_expectations as gx
    import great_expectations.expectations as gxe

    found = load_of_project(name) if ":" in name else getattr(gxe, name)
    if isinstance(found, gx.ExpectationSuite):
        return list(found.expectations)
    if is_expectation(found):
        return [found]
    if not (isinstance(found, type) and issubclass(found, gxe.Expectation)):
        raise DefinitionError(f"{name!r} is no expectation. Name a class or object of Expectation, or an ExpectationSuite.")
    return [_made(found, {**given, **options}) for given in _given(found, columns, every)]


def _given(found: Any, columns: Sequence[str], every: Sequence[str]) -> Iterator[dict[str, Any]]:
    fields = found.__fields__
    if "column" in fields and "column_list" not in fields:
        yield from ({"column": name} for name in columns or every)
    elif "column_A" in fields:
        yield dict(zip(("column_A", "column_B"), columns, strict=False))
    else:
        listed = next((name for name in ("column_list", "column_set") if name in fields), None)
        yield {listed: list(columns or every)} if listed else {}


def _made(found: Any, arguments: dict[str, Any]) -> Any:
    try:
        return found(**arguments)
    except (ValueError, TypeError) as error:
        said = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors()) if hasattr(error, "errors") else str(error)
        raise DefinitionError(f"{found.__name__} cannot be made of {arguments}: {said}. Give its arguments in options=.") from error
