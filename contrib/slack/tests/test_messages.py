"""What is particular to Slack: its blocks, its notifications, its answers."""

from __future__ import annotations

import pytest
from dovetail.components import Alert, Level, Secret
from dovetail.errors import AlertError
from dovetail.testing.webhook import Endpoint
from dovetail_slack.alerter import SlackAlerter


@pytest.fixture
def slack_alerter(webhook_url: str) -> SlackAlerter:
    return SlackAlerter(webhook_url=Secret(webhook_url))


def body_of(slack_alerter: SlackAlerter, slack: Endpoint, alert: Alert) -> dict[str, object]:
    slack_alerter.send(alert)
    return slack.taken[-1].body


def test_a_notification_says_title_and_text(slack_alerter: SlackAlerter, slack: Endpoint) -> None:
    assert body_of(slack_alerter, slack, Alert("the text", title="Title"))["text"] == "Title: the text"


def test_nobody_is_called_by_what_a_text_holds(slack_alerter: SlackAlerter, slack: Endpoint) -> None:
    body = body_of(slack_alerter, slack, Alert("<!channel> & <@U024BE7LH>", title="<!here>", fields={"<!everyone>": "<!subteam^S1>"}))
    assert "<" not in str(body)
    assert body["text"] == "&lt;!here&gt;: &lt;!channel&gt; &amp; &lt;@U024BE7LH&gt;"


@pytest.mark.parametrize(("level", "mark"), [(Level.INFO, "ℹ️"), (Level.WARNING, "⚠️"), (Level.ERROR, "❌")])
def test_a_level_is_a_sign_and_a_word(slack_alerter: SlackAlerter, slack: Endpoint, level: Level, mark: str) -> None:
    blocks = body_of(slack_alerter, slack, Alert("the text", level=level))["blocks"]
    assert blocks[-1]["elements"][0]["text"] == f"{mark} {level.value}"


def test_more_than_ten_fields_stand_in_several_sections(slack_alerter: SlackAlerter, slack: Endpoint) -> None:
    blocks = body_of(slack_alerter, slack, Alert("the text", fields={str(number): "x" for number in range(25)}))["blocks"]
    assert [len(block["fields"]) for block in blocks if "fields" in block] == [10, 10, 5]


def test_a_bar_in_a_link_begins_no_words(slack_alerter: SlackAlerter, slack: Endpoint) -> None:
    blocks = body_of(slack_alerter, slack, Alert("the text", link="https://example.org/?a=1&b=x|click"))["blocks"]
    assert blocks[-1]["text"]["text"] == "<https://example.org/?a=1&amp;b=x%7Cclick>"


def test_what_slack_answers_is_told(webhook_url: str) -> None:
    gone = SlackAlerter(webhook_url=Secret(webhook_url + "gone"))
    with pytest.raises(AlertError, match=r"answered 404 \(no_service\). If the webhook was deleted or mistyped, make a new one"):
        gone.post("the text")
