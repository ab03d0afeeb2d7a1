"""What a step gives while a pipeline is traced: references to outputs that do not exist yet, and conditions on them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NoReturn

from dovetail.errors import DefinitionError
from dovetail.values.encoding import encode

_CURE = (
    "its value exists only when the run gets there. Branch with `with when(…):`, loop with `step.map(…)`, or do it inside a step"
)


class Condition:
    """A comparison of outputs with values or with each other; decided while the run goes. Combine with `&`, `|` and `~`."""

    __slots__ = ("record",)

    def __init__(self, record: dict[str, Any]) -> None:
        self.record = record

    def __and__(self, other: Condition) -> Condition:
        return Condition({"op": "and", "of": [self.record, as_condition(other).record]})

    def __or__(self, other: Condition) -> Condition:
        return Condition({"op": "or", "of": [self.record, as_condition(other).record]})

    def __invert__(self) -> Condition:
        return Condition({"op": "not", "of": [self.record]})

    def __bool__(self) -> NoReturn:
        raise DefinitionError("A condition on a step's output has no truth value while the pipeline is traced: " + _CURE + ".")


class Reference:
    """An output of an invocation. `mapped`: it stands for the list of all children's outputs."""

    __slots__ = ("_annotation", "_invocation", "_mapped", "_output", "_step")
    __hash__ = object.__hash__

    def __init__(self, invocation: str, output: str, annotation: Any = None, *, step: str = "", mapped: bool = False) -> None:
        self._invocation = invocation
        self._output = output
        self._annotation = annotation
        self._step = step
        self._mapped = mapped

    def __repr__(self) -> str:
        return f"<output '{self._output}' of step '{self._invocation}'>"

    def _refuse(self, what: str) -> NoReturn:
        raise DefinitionError(f"The output '{self._output}' of step '{self._invocation}' {what} while the pipeline is traced: {_CURE}.")

    def _reckoned(self, *_: object) -> NoReturn:
        self._refuse("cannot be reckoned with")

    def __bool__(self) -> NoReturn:  # noqa: PLE0304  # it always raises
        self._refuse("has no truth value")

    def __len__(self) -> NoReturn:  # noqa: PLE0303  # it always raises
        self._refuse("has no length")

    def __iter__(self) -> Iterator[Any]:
        self._refuse("is one output and cannot be unpacked or iterated")

    def __getitem__(self, key: object) -> NoReturn:
        self._refuse("cannot be indexed")

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        self._refuse(f"has no attribute '{name}'")

    def __float__(self) -> NoReturn:
        self._refuse("is no number")

    __int__ = __index__ = __float__
    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __rtruediv__ = __floordiv__ = __rfloordiv__ = _reckoned
    __mod__ = __rmod__ = __pow__ = __rpow__ = __matmul__ = __rmatmul__ = _reckoned

    def __str__(self) -> NoReturn:  # noqa: PLE0307  # it always raises
        self._refuse("has no text")

    def __format__(self, spec: str) -> NoReturn:
        self._refuse("has no text")

    def __contains__(self, item: object) -> NoReturn:
        self._refuse("has no members")

    def _compare(self, op: str, other: object) -> Condition:
        return Condition({"op": op, "of": [reference_input(self), operand(other)]})

    def __eq__(self, other: object) -> Condition:  # type: ignore[override]  # a comparison is a condition here
        return self._compare("==", other)

    def __ne__(self, other: object) -> Condition:  # type: ignore[override]  # a comparison is a condition here
        return self._compare("!=", other)

    def __lt__(self, other: object) -> Condition:
        return self._compare("<", other)

    def __le__(self, other: object) -> Condition:
        return self._compare("<=", other)

    def __gt__(self, other: object) -> Condition:
        return self._compare(">", other)

    def __ge__(self, other: object) -> Condition:
        return self._compare(">=", other)

    def __and__(self, other: Any) -> Condition:
        return as_condition(self).__and__(other)

    def __or__(self, other: Any) -> Condition:
        return as_condition(self).__or__(other)

    def __invert__(self) -> Condition:
        return ~as_condition(self)


class Invocation(tuple[Reference, ...]):
    """What a call of a step with several outputs gives: its references, to unpack or to take by name."""

    __slots__ = ()

    def __getattr__(self, name: str) -> Reference:
        for reference in self:
            if reference._output == name:
                return reference
        known = ", ".join(reference._output for reference in self)
        raise AttributeError(f"This step gives no output '{name}'; it gives {known}.")

    def __bool__(self) -> NoReturn:
        raise DefinitionError("A step's outputs have no truth value while the pipeline is traced: " + _CURE + ".")


def reference_input(reference: Reference) -> dict[str, Any]:
    return {"from": reference._invocation, "output": reference._output}


def operand(value: object) -> dict[str, Any]:
    return reference_input(value) if isinstance(value, Reference) else {"value": encode(value)}


def as_condition(value: Any) -> Condition:
    """A condition as it is; of an output, that its value is true."""
    if isinstance(value, Condition):
        return value
    if isinstance(value, Reference):
        return Condition({"op": "true", "of": [reference_input(value)]})
    raise DefinitionError(f"when() takes a step's output or a comparison of one, not {type(value).__name__}.")


_COMPARE = {
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}


def holds(record: dict[str, Any], value_of: Any) -> bool:
    """Decide a condition's record; `value_of` gives the value of an input."""
    op, parts = record["op"], record["of"]
    if op == "and":
        return all(holds(part, value_of) for part in parts)
    if op == "or":
        return any(holds(part, value_of) for part in parts)
    if op == "not":
        return not holds(parts[0], value_of)
    if op == "true":
        return bool(value_of(parts[0]))
    return bool(_COMPARE[op](value_of(parts[0]), value_of(parts[1])))
