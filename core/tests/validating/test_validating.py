"""The data validator's interface, its values, and the ready-made steps on a plugin's validator."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from dovetail import Client, RunFailed, pipeline, step
from dovetail.components import Check, Finding, Validation, Verdict
from dovetail.errors import DefinitionError, GraphError, ParameterError, PreflightFailed, ValidationFailed
from dovetail.validation import gate, validate_data, verdict_of

PLAIN = Path(__file__).with_name("plain.py").read_text(encoding="utf-8")
FRAME = pd.DataFrame({"a": [1.0, None, 3.0, 4.0], "b": ["x", "y", None, None]})


@pytest.fixture
def plain(install_plugin: Callable[[str, str], Path]) -> Iterator[Any]:
    """The module of the plugin that brings the validator `plain`."""
    install_plugin("plain", PLAIN)
    import plain

    yield plain
    sys.modules.pop("plain", None)


@pytest.fixture
def stack(plain: Any, apply_stack: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    """The stack `checked`, active."""
    apply_stack("checked", data_validator=("plain", "plain_one", {}))
    monkeypatch.setenv("DOVETAIL_STACK", "checked")


# The interface


def judged(plain: Any, frame: Any = FRAME, **check: Any) -> Validation:
    found: Validation = plain.PlainValidator().validate(None, frame, Check("quality", **check))
    return found


def test_a_requirement_is_of_the_whole_and_of_each_column_or_of_the_one_that_it_names(plain: Any) -> None:
    def broken(text: str) -> list[str | None]:
        return [finding.column for finding in judged(plain, require=text).broken]

    assert broken("missing_share < 0.5") == ["b"]
    assert broken("missing_share < 0.3") == [None, "b"]
    assert broken("missing_share.a < 0.3") == []
    assert broken("missing_share.b < 0.3") == ["b"]


def test_what_is_required_is_heard_before_what_is_expected_and_both_before_the_validator(plain: Any) -> None:
    assert judged(plain).verdict is Verdict.PASS
    assert plain.PlainValidator(most=0.1).validate(None, FRAME, "quality").verdict is Verdict.WARN
    assert plain.PlainValidator(most=0.1).validate(None, FRAME, Check("quality", expect="missing_share < 0.9")).verdict is Verdict.PASS
    both = judged(plain, expect="missing_share < 0.1", require="missing_share < 0.2")
    assert {(finding.verdict, finding.requirement) for finding in both.broken} == {(Verdict.FAIL, "missing_share < 0.2")}


def test_a_requirement_on_a_column_that_nobody_measured_is_broken(plain: Any) -> None:
    [finding] = judged(plain, require="missing_share.c < 1").broken
    assert (finding.metric, finding.value) == ("missing_share.c", None)
    assert str(finding) == "quality: missing_share.c is not measured, wanted missing_share.c < 1 (the check measures no such metric)"


def test_what_the_library_gives_becomes_plain_numbers_and_json(plain: Any) -> None:
    found = plain.PlainValidator().validate(None, FRAME, ["odd", plain.Rule("a")])
    assert [finding.value for finding in found.findings] == [None, float("inf"), 3.0, 4.0]
    assert found.metrics == {"odd.three": 3.0, "rule.rows.a": 4.0}
    assert all(type(value) is float for value in found.metrics.values())
    report = dict(found.report)
    assert "plain.Rule object" in report.pop("object")
    assert report == {"scalar": 1.5, "array": [0, 1, 2], "nan": [None], "1": [1, 2], "none": None}


def test_a_page_is_made_of_the_findings_where_the_validator_draws_none(plain: Any) -> None:
    frame = FRAME.rename(columns={"a": "<script>alert(1)</script>"})
    page = judged(plain, frame, require="missing_share < 0.3").html
    assert "<script>" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "Validation: <span class=\"verdict fail\">fail</span>" in page
    assert "PlainValidator 1.2: 4 rows of current" in page


def test_frames_of_other_libraries_are_taken_by_their_to_pandas(plain: Any) -> None:
    pl = pytest.importorskip("polars")
    assert judged(plain, pl.from_pandas(FRAME)).metrics == judged(plain).metrics
    for other in ([1, 2], FRAME["a"]):
        with pytest.raises(DefinitionError, match="A (list|Series) is no frame"):
            judged(plain, other)


def test_columns_that_are_named_by_numbers_are_called_by_their_digits(plain: Any) -> None:
    numbered = FRAME.rename(columns={"a": 0, "b": 1})
    assert judged(plain, numbered, columns=["1"], require="missing_share.1 < 0.3").broken[0].column == "1"
    assert list(numbered.columns) == [0, 1]


@pytest.mark.parametrize(
    ("checks", "said"),
    [
        ([], "was given no checks. Name some: quality, regression, odd, rule"),
        (["qualty"], "has no check 'qualty'. Did you mean 'quality'"),
        ([7], "was given 7 as a check. Give a name such as 'quality', or Check"),
        ([Check("quality", columns=["aa"])], "names the column 'aa', which the frame does not have"),
        ([Check("regression", target="a", prediction="b")], "compares numbers, and the column 'b' holds"),
    ],
)
def test_what_cannot_be_checked_is_refused_with_the_cure(plain: Any, checks: list[Any], said: str) -> None:
    with pytest.raises(DefinitionError, match=said):
        plain.PlainValidator().validate(None, FRAME, checks)


@pytest.mark.parametrize(
    ("frame", "said"),
    [
        (FRAME.head(0), "current frame is empty: it has 2 columns and no row. See"), (FRAME[[]], "current frame is empty: it has no columns and 4 rows. See"),
        (FRAME.set_axis(["a", "a"], axis=1), "current frame has more than one column called 'a'. Give each a name of its own"),
        (FRAME.set_axis([1, "1"], axis=1), "more than one column called '1'"),
    ],
)  # fmt: skip
def test_frames_that_cannot_be_looked_at_are_refused_with_the_cure(plain: Any, frame: Any, said: str) -> None:
    with pytest.raises(DefinitionError, match=said):
        plain.PlainValidator().validate(None, frame, ["quality"])


def test_columns_in_levels_are_called_by_the_names_of_all_of_them(plain: Any) -> None:
    frame = FRAME.set_axis(pd.MultiIndex.from_tuples([("before", "a"), ("before", "b")]), axis=1)
    found = plain.PlainValidator().validate(None, frame, ["quality"])
    assert {each.column for each in found.findings} >= {"('before', 'a')", "('before', 'b')"}


def test_a_check_says_what_it_is_made_of(plain: Any) -> None:
    assert Check("drift", columns="a", require="drift < 1") == Check("drift", columns=["a"], require=("drift < 1",), label="drift")
    with pytest.raises(DefinitionError, match="names a model's version. Compare with a number"):
        Check("classification", require=["accuracy >= production.accuracy"])
    with pytest.raises(DefinitionError, match="is no requirement"):
        Check("quality", expect=["missing_share is small"])


def test_findings_that_did_not_pass_are_told_worst_first() -> None:
    findings = [Finding("c", name, 1.0, verdict) for name, verdict in (("a", Verdict.WARN), ("b", Verdict.PASS), ("d", Verdict.FAIL), ("e", Verdict.WARN))]
    assert [each.metric for each in Validation(Verdict.FAIL, findings, "", "", {}).broken] == ["d", "a", "e"]


# The steps


@step
def frame(missing: int) -> pd.DataFrame:
    return pd.DataFrame({"a": [1.0] * 8 + [None] * missing})


@step
def after() -> int:
    return 1


@pipeline
def checked(missing: int = 0, expect: str = "missing_share < 0.1", stop_on: str = "fail") -> None:
    checks = ["odd", Check("quality", require=["missing_share < 0.5"], expect=[expect])]
    validation, _, _ = validate_data.with_options(isolated=True)(None, frame(missing), checks)
    verdict_of(validation, check="odd")
    after(after=gate.with_options(isolated=True)(validation, stop_on=stop_on))


def statuses(run: Any) -> dict[str, str]:
    return {name: found.status.value for name, found in run.steps.items()}


def test_the_steps_run_in_processes_of_their_own_and_are_cached(stack: None) -> None:
    run = checked(missing=2)
    assert statuses(run) == dict.fromkeys(("frame", "validate_data", "verdict_of", "gate", "after"), "completed")
    outputs = run.steps["validate_data"].outputs
    found = outputs["validation"].load()
    assert (found.verdict, found.validator, run.steps["gate"].output.load()) == (Verdict.WARN, "plain 1.2", "warn")
    assert outputs["validation_report"].load() == found.html
    assert outputs["validation_data"].load()["metrics"] == run.steps["validate_data"].metrics == found.metrics
    assert run.steps["verdict_of"].output.load() == "pass"
    assert [Client().get_artifact(name).version for name in ("validation", "validation_report", "validation_data")] == [1, 1, 1]
    assert set(statuses(checked(missing=2)).values()) == {"cached"}


def test_a_gate_stops_what_follows_and_names_the_findings(stack: None) -> None:
    with pytest.raises(RunFailed, match=r"The data did not pass: fail, says plain 1.2. quality: missing_share is 0.6, wanted missing_share < 0.5") as failed:
        checked(missing=12)
    found = statuses(failed.value.run)
    assert (found["validate_data"], found["gate"], found["after"]) == ("completed", "failed", "skipped")
    assert Client().get_artifact("validation").metadata["verdict"] == "fail"
    assert "missing_share" in Client().get_artifact("validation_report").load()
    with pytest.raises(RunFailed, match="did not pass: warn"):
        checked(missing=2, stop_on="warn")


def test_another_validator_or_setting_is_checked_anew(stack: None, apply_stack: Callable[..., None]) -> None:
    @pipeline
    def by_itself(**settings: Any) -> None:
        validate_data.with_options(settings={"plain": settings} if settings else None)(None, frame(3), ["quality"])

    def verdict(stack: str = "checked", **settings: Any) -> tuple[str, str]:
        run = by_itself.with_options(stack=stack)(**settings)
        return run.steps["validate_data"].outputs["validation"].load().verdict.value, run.steps["validate_data"].status.value

    assert verdict() == ("pass", "completed")
    assert verdict(most=0.1) == ("warn", "completed")
    assert verdict(most=0.1) == ("warn", "cached")
    assert verdict() == ("pass", "cached")
    apply_stack("strict", data_validator=("plain", "plain_one", {"most": 0.05}))
    assert verdict("strict") == ("warn", "completed")


def test_a_stack_without_a_validator_or_with_another_is_refused_before_the_run(stack: None) -> None:
    with pytest.raises(PreflightFailed, match=r"'validate_data' asks for the data validator, and stack 'default' has none.*--data-validator NAME"):
        checked.with_options(stack="default")()

    @pipeline
    def wanting() -> None:
        validate_data.with_options(data_validator="strict_one")(None, frame(0), ["quality"])

    with pytest.raises(PreflightFailed, match="data validator 'strict_one', and stack 'checked' has 'plain_one'"):
        wanting()
    assert Client().list_runs() == []


def test_wrong_arguments_are_refused_while_the_pipeline_is_traced(stack: None) -> None:
    @pipeline
    def wrong(checks: Any = None, stop_on: str = "fail") -> None:
        validation, _, _ = validate_data(None, frame(0), checks or ["quality"])
        gate(validation, stop_on=stop_on)

    with pytest.raises((GraphError, ParameterError), match="stop_on"):
        wrong(stop_on="never")
    with pytest.raises((GraphError, ParameterError), match="checks"):
        wrong(checks="quality")
    with pytest.raises((GraphError, ParameterError), match="checks"):
        wrong(checks=[7])


def test_checks_can_come_from_a_file_of_parameters(stack: None, isolated: Path) -> None:
    @pipeline
    def configured(checks: list[str | Check]) -> None:
        validate_data(None, frame(2), checks)

    file = isolated / "project" / "run.yaml"
    file.write_text("parameters:\n  checks:\n    - odd\n    - {name: quality, require: [missing_share < 0.1]}\n")
    run = configured.with_options(run_config=str(file))()
    assert run.steps["validate_data"].outputs["validation"].load().verdict is Verdict.FAIL


def test_the_steps_are_plain_functions_outside_a_pipeline(stack: None) -> None:
    validation, report, data = validate_data(None, FRAME, ["quality"])
    assert (gate(validation), verdict_of(validation), data["verdict"], report) == ("pass", "pass", "pass", validation.html)
    with pytest.raises(DefinitionError, match="has no check 'qualty'. Did you mean 'quality'"):
        verdict_of(validation, check="qualty")
    with pytest.raises(ValidationFailed) as failed:
        gate(Validation(Verdict.FAIL, [Finding("c", f"m{number}", 1.0, Verdict.FAIL) for number in range(15)], "x 1", "", {}))
    assert failed.value.validation.validator == "x 1"
    assert "c: m9 is 1; and 5 more." in str(failed.value)
