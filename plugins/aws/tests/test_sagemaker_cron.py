"""What cron's five fields say is what AWS' six say, or is refused."""

from __future__ import annotations

import pytest

from dovetail.errors import ConfigurationError
from dovetail_aws.sagemaker_schedules import aws_cron

CRONS = {
    "* * * * *": "* * * * ? *",
    "*/15 * * * *": "0,15,30,45 * * * ? *",
    "0 3 * * *": "0 3 * * ? *",
    "5,35 8-18 * * *": "5,35 8-18 * * ? *",
    "0 8-18/5 * * *": "0 8,13,18 * * ? *",
    "0 22/1 * * *": "0 22,23 * * ? *",
    "0 0 1 */3 *": "0 0 1 1,4,7,10 ? *",
    "0 0 1 jan,Jul *": "0 0 1 1,7 ? *",
    "0 0 */10 * *": "0 0 1,11,21,31 * ? *",
    "0 9 * * 0": "0 9 ? * 1 *",
    "0 9 * * 7": "0 9 ? * 1 *",
    "0 9 * * MON-FRI": "0 9 ? * 2-6 *",
    "0 9 * * 5-7": "0 9 ? * 1,6,7 *",
    "0 9 * * sun,6": "0 9 ? * 1,7 *",
    "0 9 * * 0-6": "0 9 * * ? *",
    "0 9 1-31 * 1": "0 9 * * ? *",
    "0 9 */2 * *": "0 9 1,3,5,7,9,11,13,15,17,19,21,23,25,27,29,31 * ? *",
    "0 9 * * */2": "0 9 ? * 1,3,5,7 *",
}


@pytest.mark.parametrize(("cron", "aws"), CRONS.items(), ids=list(CRONS))
def test_a_cron_expression_means_the_same_to_aws(cron: str, aws: str) -> None:
    assert aws_cron(cron) == f"cron({aws})"


@pytest.mark.parametrize("cron", ["0 9 1 * 1", "0 9 */2 * 1", "0 9 1-15 * */2"])
def test_days_of_the_month_and_of_the_week_are_refused_together(cron: str) -> None:
    with pytest.raises(ConfigurationError, match="AWS takes one of both"):
        aws_cron(cron)


@pytest.mark.parametrize("cron", ["60 * * * *", "* 24 * * *", "* * 0 * *", "* * * 13 *", "* * * * 8", "5-1 * * * *", "* * * * fry", "*/0 * * * *", "1,,2 * * * *", "x * * * *", "* * * *"])
def test_what_is_no_cron_expression_is_refused(cron: str) -> None:
    with pytest.raises(ConfigurationError, match="The cron expression"):
        aws_cron(cron)
