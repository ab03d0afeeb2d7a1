"""Runs that AWS' own clock starts: EventBridge Scheduler, and its way to write when."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from dovetail.components.job import JobGraph
from dovetail.errors import ConfigurationError
from dovetail.values.settings import Schedule
from dovetail_aws.sagemaker_executions import kept, token
from dovetail_aws.sagemaker_pipeline import definition_text, pipeline_name
from dovetail_aws.sagemaker_pipeline_options import SageMakerPipelineOptions
from dovetail_aws.service_errors import Absent, Taken, explained

_MONTHS = {name: number for number, name in enumerate(["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"], 1)}
_DAYS = {name: number for number, name in enumerate(["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"])}
_PART = re.compile(r"(?:(?P<all>\*)|(?P<first>\w+)(?:-(?P<last>\w+))?)(?:/(?P<step>\d+))?")
_NAME = 64  # characters
_ARN = re.compile(r"arn:aws[\w-]*:scheduler:[\w-]*:\d*:schedule/(?P<group>[^/]+)/(?P<name>[^/]+)")


def scheduled(options: SageMakerPipelineOptions, name: str, schedule: Schedule, graph: JobGraph) -> str:
    """ARN of the schedule of that name, made or replaced."""
    expression = aws_cron(schedule.cron)
    definition = definition_text(options, graph)
    called = pipeline_name(options, f"schedule-{name}")[:_NAME].rstrip("-")
    kept(options, called, definition, graph)
    with explained(options.where, f"pipeline {called}"):
        pipeline = options.service("sagemaker").describe_pipeline(PipelineName=called)["PipelineArn"]
    asked = {
        "Name": called,
        "ScheduleExpression": expression,
        "ScheduleExpressionTimezone": schedule.timezone,
        "FlexibleTimeWindow": {"Mode": "OFF"},
        "State": "ENABLED",
        "Description": f"Runs of pipeline {graph.pipeline} of Dovetail"[:512],
        "Target": {"Arn": pipeline, "RoleArn": options.schedule_role or options.role, "SageMakerPipelineParameters": {"PipelineParameterList": []}},
    }
    return _put(options, asked)


def _put(options: SageMakerPipelineOptions, asked: Mapping[str, Any]) -> str:
    where, what = f"EventBridge Scheduler in {options.place()}", f"schedule {asked['Name']}"
    client = options.service("scheduler")
    try:
        with explained(where, what):
            return str(client.create_schedule(**asked, ClientToken=token("schedule", str(asked["Name"]), str(asked["ScheduleExpression"])))["ScheduleArn"])
    except Taken:
        with explained(where, what):
            return str(client.update_schedule(**asked)["ScheduleArn"])


def unscheduled(options: SageMakerPipelineOptions, address: str) -> None:
    """The pipeline stays, with the executions that there were."""
    found = _ARN.fullmatch(address)
    if found is None:
        raise ConfigurationError(f"{address} is no schedule of EventBridge Scheduler. Take its address from `dovetail schedules list`.")
    try:
        with explained(f"EventBridge Scheduler in {options.place()}", f"schedule {found['name']}"):
            options.service("scheduler").delete_schedule(Name=found["name"], GroupName=found["group"])
    except Absent:
        return


# -- when ------------------------------------------------------------------------------------------------------------------


def aws_cron(cron: str) -> str:
    """The same moments in AWS' six fields. Raises ConfigurationError where these cannot say them."""
    fields = cron.split()
    if len(fields) != 5:  # minute, hour, day of the month, month, day of the week
        raise ConfigurationError(f"The cron expression {cron!r} has {len(fields)} fields. Write five: minute, hour, day of the month, month, day of the week.")
    minutes = _field(cron, fields[0], 0, 59)
    hours = _field(cron, fields[1], 0, 23)
    months = _field(cron, fields[3], 1, 12, _MONTHS)
    days, weekdays = _days(cron, fields[2], fields[4])
    return f"cron({_written(minutes, 0, 59)} {_written(hours, 0, 23)} {days} {_written(months, 1, 12)} {weekdays} *)"


def _days(cron: str, of_month: str, of_week: str) -> tuple[str, str]:
    """cron means either of both where both are said, and both where one begins with '*'. AWS takes but one of them."""
    month = _field(cron, of_month, 1, 31)
    week = {day % 7 for day in _field(cron, of_week, 0, 7, _DAYS)} if of_week != "*" else set(range(7))
    every_month, every_week = month == set(range(1, 32)), week == set(range(7))
    both = of_month.startswith("*") or of_week.startswith("*")
    if (every_month and every_week) or (not both and (every_month or every_week)):
        return "*", "?"
    if every_week:
        return _written(month, 1, 31), "?"
    if every_month:
        return "?", _written({day + 1 for day in week}, 1, 7)
    raise ConfigurationError(
        f"The cron expression {cron!r} says days of the month and of the week, and AWS takes one of both. Write '*' for one of them, or make two schedules."
    )


def _field(cron: str, text: str, least: int, most: int, names: Mapping[str, int] | None = None) -> set[int]:
    found: set[int] = set()
    for part in text.split(","):
        match = _PART.fullmatch(part)
        if match is None:
            raise _wrong(cron, part)
        if match["all"]:
            first, last = least, most
        else:
            first = _number(cron, match["first"], names or {})
            last = _number(cron, match["last"], names or {}) if match["last"] else most if match["step"] else first
        step = int(match["step"] or 1)
        if not least <= first <= last <= most or step < 1:
            raise _wrong(cron, part)
        found.update(range(first, last + 1, step))
    return found


def _number(cron: str, text: str, names: Mapping[str, int]) -> int:
    if text.isdecimal():
        return int(text)
    if text.upper() not in names:
        raise _wrong(cron, text)
    return names[text.upper()]


def _wrong(cron: str, part: str) -> ConfigurationError:
    return ConfigurationError(f"The cron expression {cron!r} has {part!r} where that cannot be. Write numbers, names, ranges and steps as in '*/15 8-18 * * MON-FRI'.")


def _written(numbers: set[int], least: int, most: int) -> str:
    """As lists and ranges, which AWS reads as cron does."""
    if numbers == set(range(least, most + 1)):
        return "*"
    ordered = sorted(numbers)
    if len(ordered) > 2 and ordered == list(range(ordered[0], ordered[-1] + 1)):
        return f"{ordered[0]}-{ordered[-1]}"
    return ",".join(map(str, ordered))
