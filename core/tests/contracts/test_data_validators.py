"""A right data validator keeps the contract, and each wrong one is caught by the promise that it breaks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import pytest

from dovetail.components import Check, DataValidator, Examined, Finding, Verdict
from dovetail.testing import DataValidatorContract


class Right(DataValidator):
    """Does all portable checks with pandas alone."""

    portable = ("drift", "quality", "schema", "classification", "regression")

    def own_checks(self) -> Mapping[str, str]:
        return {"rows": "how many there are"}

    def version(self) -> str:
        return "1.0"

    def examine(self, reference: Any, current: Any, checks: Sequence[Check]) -> Examined:
        return Examined([finding for check in checks for finding in self.measured(check, reference, current)])

    def measured(self, check: Check, reference: Any, current: Any) -> Iterator[Finding]:
        columns = list(check.columns or current.columns)
        measure = getattr(self, check.name)
        for metric, value, *more in measure(check, None if reference is None else reference[columns], current[columns]):
            yield Finding(check.label, metric, value, *more)

    def drift(self, check: Check, reference: Any, current: Any) -> Iterator[Any]:
        drifted = []
        for name in current.columns:
            score = distance(reference[name], current[name])
            drifted.append(score > 0.15)
            yield "drift", score, Verdict.WARN if score > 0.15 else Verdict.PASS, name
        share = sum(drifted) / len(drifted)
        yield "drifted_share", share, Verdict.FAIL if share >= 0.5 else Verdict.PASS

    def quality(self, check: Check, reference: Any, current: Any) -> Iterator[Any]:
        yield "missing_share", current.isna().to_numpy().mean()
        yield "duplicated_share", current.duplicated().mean()
        for name in current.columns:
            yield "missing_share", current[name].isna().mean(), Verdict.PASS, name

    def schema(self, check: Check, reference: Any, current: Any) -> Iterator[Any]:
        broken = [name for name in current.columns if breaks(reference[name], current[name])]
        yield "violations", len(broken), Verdict.FAIL if broken else Verdict.PASS
        for name in broken:
            yield "violations", 1, Verdict.FAIL, name

    def classification(self, check: Check, reference: Any, current: Any) -> Iterator[Any]:
        was, said = current[check.target], current[check.prediction]
        yield "accuracy", (was == said).mean()
        classes = sorted({*was, *said})
        scores = [self.of_class(was == label, said == label) for label in classes]
        for number, metric in enumerate(("precision", "recall", "f1")):
            yield metric, sum(score[number] for score in scores) / len(scores)

    def of_class(self, was: Any, said: Any) -> tuple[float, float, float]:
        right = (was & said).sum()
        return right / (said.sum() or 1), right / (was.sum() or 1), 2 * right / (was.sum() + said.sum())

    def regression(self, check: Check, reference: Any, current: Any) -> Iterator[Any]:
        was, off = current[check.target], current[check.prediction] - current[check.target]
        yield "mae", off.abs().mean()
        yield "rmse", (off**2).mean() ** 0.5
        yield "r2", 1 - (off**2).sum() / ((was - was.mean()) ** 2).sum()

    def rows(self, check: Check, reference: Any, current: Any) -> Iterator[Any]:
        yield "count", len(current)


def distance(before: Any, now: Any) -> float:
    """Half the difference between two distributions, in ten bins where they are numbers."""
    import pandas as pd

    if before.dtype.kind == "f" and now.dtype.kind == "f":
        bins = [-float("inf"), *before.quantile([each / 10 for each in range(1, 10)]), float("inf")]
        before, now = pd.cut(before, bins).astype(str), pd.cut(now, bins).astype(str)
    one, other = before.value_counts(normalize=True), now.value_counts(normalize=True)
    return float(one.sub(other, fill_value=0).abs().sum() / 2)


def breaks(before: Any, now: Any) -> bool:
    if before.dtype != now.dtype:
        return True
    if before.dtype.kind == "f":
        return bool(now.min() < before.min() or now.max() > before.max())
    return not set(now.dropna()) <= set(before)


class TestRight(DataValidatorContract):
    @pytest.fixture
    def validator(self) -> Right:
        return Right()


class TestThatDoesLittle(DataValidatorContract):
    """What a validator does not state is left out, and refused."""

    @pytest.fixture
    def validator(self) -> DataValidator:
        return LittleValidator()


class LittleValidator(Right):
    portable = ("quality",)


class Blind(Right):
    """Finds no drift."""

    caught_by: ClassVar = "test_a_number_that_was_shifted_is_found_by_its_name"

    def drift(self, check: Check, reference: Any, current: Any) -> Iterator[Any]:
        return super().drift(check, reference, reference)


class Nervous(Right):
    """Takes every column for drifted."""

    caught_by: ClassVar = "test_the_same_frame_has_not_drifted"

    def measured(self, check: Check, reference: Any, current: Any) -> Iterator[Finding]:
        return (replace(each, verdict=Verdict.WARN) for each in super().measured(check, reference, current))


class Wordless(Right):
    """Says that something drifted and not what."""

    caught_by: ClassVar = "test_texts_that_became_others_are_found_by_their_column"

    def measured(self, check: Check, reference: Any, current: Any) -> Iterator[Finding]:
        return (replace(each, column=None) for each in super().measured(check, reference, current))


class Nosy(Right):
    """Looks at all columns whatever it is asked."""

    caught_by: ClassVar = "test_only_the_columns_that_a_check_names_are_looked_at"

    def measured(self, check: Check, reference: Any, current: Any) -> Iterator[Finding]:
        return super().measured(replace(check, columns=()), reference, current)


class Rounding(Right):
    """Gives what it counted in whole percents."""

    caught_by: ClassVar = "test_missing_cells_and_repeated_rows_are_counted_exactly"

    def measured(self, check: Check, reference: Any, current: Any) -> Iterator[Finding]:
        return (replace(each, value=round(each.value, 2)) for each in super().measured(check, reference, current) if each.value is not None)


class Weighting(Right):
    """Takes the scores of the class 1, or of the first, for those of all."""

    caught_by: ClassVar = "test_the_scores_of_two_classes_are_means_over_both"

    def classification(self, check: Check, reference: Any, current: Any) -> Iterator[Any]:
        was, said = current[check.target], current[check.prediction]
        yield "accuracy", (was == said).mean()
        yield from zip(("precision", "recall", "f1"), self.of_class(was == max(was), said == max(was)), strict=True)


class Unrooted(Right):
    """Gives the mean square for its root."""

    caught_by: ClassVar = "test_the_errors_of_numbers_are_right"

    def regression(self, check: Check, reference: Any, current: Any) -> Iterator[Any]:
        for metric, value in super().regression(check, reference, current):
            yield metric, value**2 if metric == "rmse" else value


class Scribbling(Right):
    """Leaves a column of its own in the frame."""

    caught_by: ClassVar = "test_frames_are_not_changed"

    def drift(self, check: Check, reference: Any, current: Any) -> Iterator[Any]:
        yield from super().drift(check, reference, current)

    def examine(self, reference: Any, current: Any, checks: Sequence[Check]) -> Examined:
        found = super().examine(reference, current, checks)
        current["seen"] = True
        return found


class Linking(Right):
    """Draws its page with a library from a network."""

    caught_by: ClassVar = "test_the_page_is_whole_and_asks_nothing_of_a_network"

    def examine(self, reference: Any, current: Any, checks: Sequence[Check]) -> Examined:
        page = '<html><head><script defer src="https://cdn.example.org/plot.js"></script></head></html>'
        return replace(super().examine(reference, current, checks), html=page)


class Torn(Linking):
    """Gives a piece of a page."""

    def examine(self, reference: Any, current: Any, checks: Sequence[Check]) -> Examined:
        return replace(super().examine(reference, current, checks), html="<div>All is well.</div>")


class Boastful(Right):
    """States what it refuses."""

    caught_by: ClassVar = "test_a_portable_check_is_stated_or_refused"
    portable = ("quality",)

    def knows(self, name: str) -> bool:
        return True


class Ageless(Right):
    """Does not say of which version its word is."""

    caught_by: ClassVar = "test_the_report_is_json"
    told = 0

    def version(self) -> str:
        type(self).told += 1
        return str(self.told)


WRONG = [Blind, Nervous, Wordless, Nosy, Rounding, Weighting, Unrooted, Scribbling, Linking, Torn, Boastful, Ageless]


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.__name__)
def test_each_wrong_validator_is_caught_by_the_promise_it_breaks(wrong: Any) -> None:
    contract = DataValidatorContract()
    promise = getattr(contract, wrong.caught_by)
    parameters = promise.__code__.co_varnames[2 : promise.__code__.co_argcount]
    given = {name: "drift" if name == "name" else getattr(DataValidatorContract, name).__wrapped__(contract) for name in parameters}
    promise(Right(), **given)
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        promise(wrong(), **given)
