"""Alerters over webhooks keep the contract, and the contract finds what is wrong with others."""

from __future__ import annotations

import ast
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from dovetail.components import Alert, Secret, WebhookAlerter
from dovetail.components.webhook import Answer, cut
from dovetail.errors import AlertError
from dovetail.testing import AlerterContract, webhook_endpoint
from dovetail.testing.webhook import Endpoint, Reply

WRONG = Path(__file__).with_name("wrong_alerters.py")
SECRET = "x9Yz8wVutSrqPonMlKjihGfe"


class JsonWebhook(WebhookAlerter):
    """Posts an alert as it is."""

    def message(self, alert: Alert) -> Any:
        fields = {cut(name, 5_000): cut(value, 5_000) for name, value in alert.fields.items()}
        return {"text": cut(alert.text, 5_000), "title": cut(alert.title, 500), "level": alert.level.value, "fields": fields, "link": alert.link}

    def probe(self) -> Answer:
        return self.request("GET")


class TestJsonWebhook(AlerterContract):
    @pytest.fixture
    def alerter(self, webhook_url: str) -> JsonWebhook:
        return JsonWebhook(webhook_url=Secret(webhook_url))


def answering(*replies: Reply) -> Any:
    """An endpoint that gives these replies, one after the other, and then the last one."""
    left = list(replies)
    return webhook_endpoint(lambda request: left.pop(0) if len(left) > 1 else left[0])


def alerter_at(endpoint: Endpoint, **fields: Any) -> JsonWebhook:
    made = JsonWebhook(webhook_url=Secret(f"{endpoint.url}/hooks/{SECRET}"), **fields)
    made.called("ops", "json")
    return made


def test_an_alert_refused_as_one_too_many_is_posted_again_when_its_time_has_come() -> None:
    with answering(Reply(429, headers={"Retry-After": "0.3"}), Reply(200)) as endpoint:
        began = time.monotonic()
        alerter_at(endpoint).post("The text.")
        assert time.monotonic() - began >= 0.3
        assert (len(endpoint.requests), len(endpoint.taken)) == (2, 1)


def test_an_endpoint_that_stays_busy_longer_than_the_timeout_is_not_waited_for() -> None:
    with answering(Reply(429, headers={"Retry-After": "60"})) as endpoint:
        with pytest.raises(AlertError, match="too many alerts at once"):
            alerter_at(endpoint, timeout=1.0).post("The text.")
        assert len(endpoint.requests) == 1


@pytest.mark.parametrize("status", [500, 503])
def test_a_fault_of_the_tool_is_not_answered_by_posting_again(status: int) -> None:
    """It may have been delivered before it failed."""
    with answering(Reply(status, headers={"Retry-After": "0"})) as endpoint:
        with pytest.raises(AlertError, match=f"{status}.*Try again later"):
            alerter_at(endpoint).post("The text.")
        assert len(endpoint.requests) == 1


def test_a_redirect_is_not_followed() -> None:
    with answering(Reply(200)) as elsewhere, answering(Reply(307, headers={"Location": elsewhere.url})) as endpoint:
        with pytest.raises(AlertError, match="redirect, which is not followed"):
            alerter_at(endpoint).post("The text.")
        assert elsewhere.requests == []


def test_what_the_endpoint_repeats_of_the_address_is_hidden() -> None:
    with answering(Reply(404, f"no webhook at /hooks/{SECRET}, token {SECRET}")) as endpoint:
        with pytest.raises(AlertError) as caught:
            alerter_at(endpoint).post("The text.")
    assert SECRET not in str(caught.value)
    assert "404 (no webhook at ********, token ********)" in str(caught.value)
    assert "dovetail alerter update ops --webhook-url=…" in str(caught.value)


def test_an_endpoint_that_does_not_answer_in_time_may_have_taken_it_and_says_so() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent_alerter = JsonWebhook(webhook_url=Secret(f"http://127.0.0.1:{silent.getsockname()[1]}/{SECRET}"), timeout=0.3)
        with pytest.raises(AlertError, match=r"nothing within 0.3 s, so whether it took the alert is not known"):
            silent_alerter.post("The text.")


@pytest.mark.parametrize(
    "url", ["", SECRET, f"ftp://host/{SECRET}", f"https://[half/{SECRET}", f"https:///{SECRET}", f"https://host/{SECRET} {SECRET}", f"https://host:port/{SECRET}"]
)
def test_what_is_no_url_is_found_by_the_check_and_told_without_it(url: str) -> None:
    wrong = JsonWebhook(webhook_url=Secret(url))
    (problem,) = wrong.check()
    with pytest.raises(AlertError, match="is no URL that begins with https://") as caught:
        wrong.post("The text.")
    assert SECRET not in problem + str(caught.value)


def test_an_address_is_not_sent_unencrypted_beyond_this_machine() -> None:
    (problem,) = JsonWebhook(webhook_url=Secret(f"http://example.org/{SECRET}")).check()
    assert "would cross the network to example.org unencrypted. Let it begin with https://" in problem
    assert SECRET not in problem


def test_blanks_around_the_address_do_no_harm() -> None:
    """Files and clipboards end in line breaks."""
    with answering(Reply(200)) as endpoint:
        JsonWebhook(webhook_url=Secret(f" {endpoint.url}/{SECRET}\n")).post("The text.")
        assert [request.path for request in endpoint.taken] == [f"/{SECRET}"]


def test_a_proxy_is_not_asked_for_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    with answering(Reply(200)) as endpoint:
        alerter_at(endpoint).post("The text.")
        assert len(endpoint.taken) == 1


@pytest.mark.parametrize("most", [1, 2, 10, 40, 100])
def test_what_is_cut_is_no_longer_than_asked_and_says_that_it_was_cut(most: int) -> None:
    shown = cut("x" * 101, most)
    assert len(shown) <= most
    assert "…" in shown
    assert cut("x" * most, most) == "x" * most


def wrong_ones() -> dict[str, str]:
    """The promise that has to find each class of `wrong_alerters.py`, read without importing it."""
    classes = [node for node in ast.parse(WRONG.read_text(encoding="utf-8")).body if isinstance(node, ast.ClassDef)]
    return {
        node.name: ast.literal_eval(line.value.elts[1])
        for node in classes
        for line in node.body
        if isinstance(line, ast.Assign) and isinstance(line.value, ast.Tuple)
    }


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, ElementTree.Element]:
    folder = tmp_path_factory.mktemp("teeth")
    report = folder / "report.xml"
    asked = [f"{WRONG}::{name}::{promise}" for name, promise in wrong_ones().items()]
    options = ["-q", "-p", "no:cacheprovider", f"--basetemp={folder / 'tests'}", f"--junitxml={report}"]
    done = subprocess.run([sys.executable, "-m", "pytest", *asked, *options], cwd=WRONG.parents[3], capture_output=True, text=True, timeout=120)
    assert done.returncode == 1, done.stdout + done.stderr
    return {case.get("classname", "").rpartition(".")[2]: case for case in ElementTree.parse(report).iter("testcase")}


@pytest.mark.parametrize("name", wrong_ones())
def test_each_wrong_alerter_is_caught_by_the_promise_it_breaks(name: str, outcomes: Mapping[str, Any]) -> None:
    assert [child.tag for child in outcomes[name] if child.tag in ("failure", "error", "skipped")] == ["failure"]
