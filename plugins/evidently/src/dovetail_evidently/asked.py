"""Checks as items of an Evidently report, and what came of each as findings."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from dovetail.components import Check, Finding, Verdict
from dovetail.errors import DefinitionError
from dovetail_evidently.columns import Tasks, classes_of, is_void, kind_of, rule_of
from dovetail_evidently.errors import making

_VERDICTS = {"SUCCESS": Verdict.PASS, "WARNING": Verdict.WARN}
_SCORES = {
    "classification": {"accuracy": "Accuracy", "precision": "Precision", "recall": "Recall", "f1": "F1Score"},
    "regression": {"mae": "MAE", "rmse": "RMSE", "r2": "R2Score"},
}


class Asked(ABC):
    """One check. `items`: the metrics and presets that it adds to the report."""

    def __init__(self, check: Check, columns: list[str]) -> None:
        self.check = check
        self.columns = columns
        self.items: list[Any] = []

    @abstractmethod
    def findings(self, snapshot: Any) -> Iterator[Finding]:
        """Of a report that was run with the items."""

    def add(self, metric: str, **options: Any) -> Any:
        import evidently.metrics

        cls = getattr(evidently.metrics, metric)
        self.items.append(cls(**untested(cls), **options))
        return self.items[-1]

    def found(self, metric: str, value: float, verdict: Verdict = Verdict.PASS, column: str | None = None, detail: str = "") -> Finding:
        return Finding(self.check.label, metric, value, verdict, column, detail=detail)


class Drift(Asked):
    """Evidently refuses columns that hold nothing. One that held something, or does now, has drifted."""

    def __init__(self, check: Check, columns: list[str], reference: Any, current: Any, defaults: Mapping[str, Any]) -> None:
        super().__init__(check, [name for name in columns if kind_of(reference[name]) != "time"])
        from evidently.presets import DataDriftPreset

        if not self.columns:
            raise DefinitionError(f"The check '{check.label}' has no column to compare: all that there are hold times. Name others: Check('drift', columns=[…]).")
        options = {**defaults, **check.options}
        self.limit = float(options["drift_share"])
        void = {name: (is_void(reference[name]), is_void(current[name])) for name in self.columns}
        self.gone = {name: "current frame" if now else "reference" for name, (before, now) in void.items() if before is not now}
        compared = [name for name in self.columns if not any(void[name])]
        self.preset = None
        if not compared:
            self.add("RowCount")  # a report is not empty
            return
        with making(f"the check '{check.label}'", "Its options are those of evidently.presets.DataDriftPreset."):
            self.preset = DataDriftPreset(columns=compared, **options)
        self.items.append(self.preset)

    def findings(self, snapshot: Any) -> Iterator[Finding]:
        drifted = 0.0
        columns = [Finding(self.check.label, "drift", None, Verdict.WARN, name, detail=f"it has no values in the {where}") for name, where in self.gone.items()]
        for metric in self.preset.list_metrics(snapshot.context) if self.preset is not None else ():
            result = snapshot.metric_results[metric.metric_id]
            passed = all(test.status.value == "SUCCESS" for test in result.tests)
            if hasattr(metric, "column"):
                detail = next((test.description for test in result.tests), "").rstrip(".")
                columns.append(self.found("drift", number(result.value), Verdict.PASS if passed else Verdict.WARN, metric.column, detail))
            else:
                drifted = number(result.count.value)
        share = (drifted + len(self.gone)) / len(self.columns)
        yield self.found("drifted_share", share, Verdict.FAIL if share >= self.limit else Verdict.PASS)
        yield from columns


class Quality(Asked):
    """Cells and rows are counted in the columns looked at, which is a report of its own where those are not all."""

    def __init__(self, check: Check, columns: list[str], current: Any) -> None:
        super().__init__(check, columns)
        self.current = current
        self.part = current[columns] if check.columns else None
        self.missing = {name: self.add("MissingValueCount", column=name) for name in columns}
        if self.part is None:
            self.repeated = self.add("DuplicatedRowCount")
            self.add("DatasetMissingValueCount")

    def findings(self, snapshot: Any) -> Iterator[Finding]:
        rows = len(self.current)
        counts = {name: number(snapshot.metric_results[metric.metric_id].count.value) for name, metric in self.missing.items()}
        yield self.found("missing_share", sum(counts.values()) / (rows * len(counts)))
        for name, count in counts.items():
            yield self.found("missing_share", count / rows, column=name)
        yield self.found("duplicated_share", self._repeated(snapshot) / rows)

    def _repeated(self, snapshot: Any) -> float:
        if self.part is None:
            return number(snapshot.metric_results[self.repeated.metric_id].value)
        from evidently import Dataset, Report
        from evidently.metrics import DuplicatedRowCount

        metric = DuplicatedRowCount(tests=[])
        return number(Report([metric]).run(Dataset.from_pandas(self.part), None).metric_results[metric.metric_id].value)


class Schema(Asked):
    """A column breaks the rule of its type, or that of its values; columns of another type are not looked at further."""

    def __init__(self, check: Check, columns: list[str], reference: Any, current: Any) -> None:
        super().__init__(check, columns)
        self.changed: dict[str, str] = {}
        self.counted: dict[str, tuple[Any, str]] = {}
        for name in columns:
            before, now = reference[name], current[name]
            rule = rule_of(before)
            if kind_of(before) != kind_of(now):
                self.changed[name] = f"it was {before.dtype}, a {kind_of(before)}, and is {now.dtype}, a {kind_of(now)}"
            elif rule is not None and len(now.dropna()):
                self.counted[name] = (self.add(rule[0], column=name, **rule[1]), _told(rule[1]))
        if not self.items:
            self.add("ColumnCount")  # a report is not empty

    def findings(self, snapshot: Any) -> Iterator[Finding]:
        broken = dict(self.changed)
        for name, (metric, rule) in self.counted.items():
            count = number(snapshot.metric_results[metric.metric_id].count.value)
            if count:
                broken[name] = f"{count:g} values are not {rule}"
        yield self.found("violations", len(broken), Verdict.FAIL if broken else Verdict.PASS)
        for name, detail in broken.items():
            yield self.found("violations", 1, Verdict.FAIL, name, detail)


class Scores(Asked):
    """Of two classes Evidently scores one, so each is scored as the one that counts, and the mean is taken."""

    def __init__(self, check: Check, tasks: Tasks, current: Any) -> None:
        super().__init__(check, [])
        classes = classes_of(check, current) if check.name == "classification" else []
        names = [tasks.name(check.name, check, side) for side in (classes if len(classes) == 2 else [None])]
        self.metrics = {metric: [self.add(cls, **{f"{check.name}_name": name}) for name in names] for metric, cls in _SCORES[check.name].items()}

    def findings(self, snapshot: Any) -> Iterator[Finding]:
        for name, metrics in self.metrics.items():
            results = [snapshot.metric_results[metric.metric_id] for metric in metrics]
            values = [number(result.mean.value if name == "mae" else result.value) for result in results]
            yield self.found(name, sum(values) / len(values))


class EvenErrors(Asked):
    """Scores of numbers that are all off by the same: Evidently fails to draw the errors, and measures nothing then."""

    def __init__(self, check: Check, current: Any) -> None:
        super().__init__(check, [])
        self.was = current[check.target]
        self.off = abs(float((current[check.prediction] - self.was).mean()))
        self.add("RowCount")  # a report is not empty

    @staticmethod
    def found_in(check: Check, frame: Any) -> bool:
        off = (frame[check.prediction] - frame[check.target]).dropna()
        return len(off) > 0 and float(off.max() - off.min()) <= 1e-9 * max(float(off.abs().max()), 1.0)

    def findings(self, snapshot: Any) -> Iterator[Finding]:
        spread = float(((self.was - self.was.mean()) ** 2).mean())
        yield self.found("mae", self.off)
        yield self.found("rmse", self.off)
        yield self.found("r2", 1 - self.off**2 / spread if spread else float(self.off == 0))


class Own(Asked):
    """Metrics and presets of Evidently's, and the user's own subclasses of them. Tests that they were given decide."""

    def __init__(self, check: Check, items: list[Any]) -> None:
        super().__init__(check, list(check.columns))
        self.items = items

    def findings(self, snapshot: Any) -> Iterator[Finding]:
        for item in self.items:
            if not hasattr(item, "list_metrics"):
                yield from self._of(item, snapshot.metric_results[item.metric_id], "")
                continue
            listed = [(metric, snapshot.metric_results[metric.metric_id]) for metric in item.list_metrics(snapshot.context)]
            names = Counter(_name(metric) for metric, _ in listed)
            for metric, result in listed:
                yield from self._of(metric, result, type(metric).__name__ if names[_name(metric)] == 1 else _title(metric, result))

    def _of(self, metric: Any, result: Any, title: str) -> Iterator[Finding]:
        verdict = Verdict.worst([_VERDICTS.get(test.status.value, Verdict.FAIL) for test in result.tests])
        detail = "; ".join(test.description for test in result.tests if test.status.value != "SUCCESS")
        for name, value in flat(result.to_dict()["value"]):
            yield self.found(".".join(part for part in (title, name) if part) or "value", value, verdict, getattr(metric, "column", None), detail)


def _name(metric: Any) -> tuple[str, str | None]:
    return type(metric).__name__, getattr(metric, "column", None)


def _title(metric: Any, result: Any) -> str:
    """Where a preset has several metrics of a class: with the arguments that tell them apart."""
    told = [getattr(value, "value", value) for name, value in result.to_dict()["config"].items() if name not in ("type", "column", "tests")]
    return ".".join([type(metric).__name__, *(str(value) for value in told if isinstance(value, (int, float, str)))])


def untested(cls: Any) -> dict[str, Any]:
    """Options that keep a metric from being compared with the reference by tests that nobody asked for."""
    fields = (cls.__fields__[name] for name in ("tests", "share_tests", "mean_tests", "std_tests") if name in cls.__fields__)
    return {field.name: {} if "ByLabel" in str(field.outer_type_) or "Dict" in str(field.outer_type_) else [] for field in fields}


def flat(value: Any, name: str = "") -> Iterator[tuple[str, float]]:
    """The numbers in a result, by the path to each."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from flat(item, f"{name}.{key}" if name else str(key))
    elif hasattr(value, "item") or isinstance(value, (bool, int, float)):
        yield name, number(value)


def number(value: Any) -> float:
    return float(value.item() if hasattr(value, "item") else value)


def _told(rule: Mapping[str, Any]) -> str:
    if "left" in rule:
        return f"between {rule['left']:g} and {rule['right']:g}"
    values = [repr(value) for value in rule["values"]]
    return f"among {', '.join(values[:10])}{', …' if len(values) > 10 else ''}"
