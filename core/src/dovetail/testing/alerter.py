"""What every alerter keeps: people read what was said, once, as it was said, and no secret of the channel with it."""

from __future__ import annotations

import socket
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import pytest

from dovetail.components import Alert, Alerter, Level, Secret
from dovetail.errors import AlertError
from dovetail.testing.contract import Contract
from dovetail.testing.given import alike
from dovetail.testing.trial import TrialProject

_MARK = "…"
_ODD = (
    "a < b && c > d &amp; &lt;",
    "*bold* _italic_ ~struck~ `code` ||hidden|| ```\nblock\n```",
    "# no heading\n- no list\n> no quote\n1. one",
    "<!channel> <@U024BE7LH> @everyone @here <https://example.org|click>",
    "[click](https://example.org) C:\\new\\table \\* %s {0} ${HOME} $(id)",
    "größe 数据 שלום \U0001f600 e\u0301",
    "\"quoted\" 'twice' \t tab",
    'Traceback (most recent call last):\n  File "train.py", line 3, in <module>\nValueError: x != y',
    "half a pair: \ud83d",
)


@dataclass(frozen=True)
class Delivered:
    """What a person reads of one alert: the tool's markup resolved, as it is shown.

    A tool that has no place for a title, a level, fields or a link leaves that empty, and shows it within the text.
    """

    text: str
    title: str = ""
    level: str | None = None
    fields: Mapping[str, str] = field(default_factory=dict)
    link: str | None = None

    def says(self, words: str) -> bool:
        shown = [self.text, self.title, self.level or "", self.link or "", *self.fields, *self.fields.values()]
        return any(words in each for each in shown)


Arrived = Callable[[], Sequence[Delivered]]


class AlerterContract(Contract):
    """Fixtures: `alerter`, the one to try, and `delivered`, a function that gives what arrived so far, oldest first, as `Delivered`.

    `refused` and `unreachable` are alerters like it with secrets that its tool does not accept, and at an address where
    nobody listens. They are made from its fields that are secrets and URLs; give them where that does not fit.
    """

    @pytest.fixture
    def refused(self, alerter: Alerter) -> Alerter:
        secrets = {name: value for name, value in alerter.configuration().items() if isinstance(value, Secret)}
        assert secrets, "It has no field of type Secret, so give the fixture `refused`."
        return alike(alerter, **{name: Secret(value.reveal()[:-6] + "spoilt") for name, value in secrets.items()})

    @pytest.fixture
    def unreachable(self, alerter: Alerter) -> Iterator[Alerter]:
        urls = {name: text for name, value in alerter.configuration().items() if "://" in (text := _plain(value))}
        assert urls, "It has no field that holds a URL, so give the fixture `unreachable`."
        with socket.socket() as taken:  # bound, so that nobody else listens there meanwhile
            taken.bind(("127.0.0.1", 0))
            there = f"127.0.0.1:{taken.getsockname()[1]}"
            moved = {name: Secret(urlsplit(url)._replace(scheme="http", netloc=there).geturl()) for name, url in urls.items()}
            yield alike(alerter, **moved)

    def test_text_arrives(self, alerter: Alerter, delivered: Arrived) -> None:
        alerter.send(Alert("Drift found in column 'delay'.\nSee the report."))
        (arrived,) = delivered()
        assert arrived.text.strip() == "Drift found in column 'delay'.\nSee the report."

    def test_the_title_arrives(self, alerter: Alerter, delivered: Arrived) -> None:
        alerter.send(Alert("The text.", title="Nightly training"))
        (arrived,) = delivered()
        assert "The text." in arrived.text
        assert arrived.says("Nightly training")

    def test_each_level_arrives(self, alerter: Alerter, delivered: Arrived) -> None:
        for level in Level:
            alerter.send(Alert("The text.", level=level))
        assert [_level(arrived) for arrived in delivered()] == ["info", "warning", "error"]

    def test_fields_arrive_in_their_order(self, alerter: Alerter, delivered: Arrived) -> None:
        fields = {"run": "train-7", "accuracy": "0.93", "a longer name": "two\nlines", "zero": "0"}
        alerter.send(Alert("The text.", fields=fields))
        (arrived,) = delivered()
        assert arrived.fields == fields or all(f"{name}: {value}" in arrived.text for name, value in fields.items())
        assert list(arrived.fields) in ([], list(fields))

    def test_the_link_arrives(self, alerter: Alerter, delivered: Arrived) -> None:
        link = "http://127.0.0.1:5000/runs/_a_*b*~c~?id=7&tab=(x)#größe"
        alerter.send(Alert("The text.", link=link))
        (arrived,) = delivered()
        assert arrived.link == link or link in arrived.text

    def test_odd_text_arrives_as_it_was_written(self, alerter: Alerter, delivered: Arrived) -> None:
        """No markup of the tool's is taken from it, and nobody is called by it."""
        for text in _ODD:
            alerter.send(Alert(text))
        assert [arrived.text.strip() for arrived in delivered()] == list(map(_whole, _ODD))

    def test_odd_titles_and_fields_arrive_as_they_were_written(self, alerter: Alerter, delivered: Arrived) -> None:
        lines = [" ".join(text.split()) for text in _ODD]
        for line in lines:
            alerter.send(Alert("The text.", title=line, fields={line: line}))
        for arrived, line in zip(delivered(), map(_whole, lines), strict=True):
            assert line in (arrived.title, *arrived.text.splitlines())
            assert arrived.fields == {line: line} or f"{line}: {line}" in arrived.text

    def test_long_text_arrives_whole_or_is_cut_with_a_mark(self, alerter: Alerter, delivered: Arrived) -> None:
        texts = [_numbered(size) for size in (1_990, 2_010, 2_995, 3_005, 4_090, 4_110, 50_000)] + ["<&*>" * 1_400, "\U0001f600" * 4_000]
        for text in texts:
            alerter.send(Alert(text))
        for arrived, text in zip(delivered(), texts, strict=True):
            assert _is_whole_or_marked(arrived.text, text)

    def test_long_titles_and_fields_arrive_whole_or_are_cut_with_a_mark(self, alerter: Alerter, delivered: Arrived) -> None:
        long = _numbered(5_000).replace("\n", " ").strip()
        alerter.send(Alert("The text.", title=long))
        alerter.send(Alert("The text.", fields={"long": long, long: "value"}))
        titled, tabled = delivered()
        assert _is_whole_or_marked(titled.title or titled.text, long)
        assert tabled.fields == {"long": long, long: "value"} or tabled.says(_MARK)

    def test_fields_beyond_what_the_tool_shows_are_told_by_a_mark(self, alerter: Alerter, delivered: Arrived) -> None:
        fields = {f"field-{number}": f"value-{number}" for number in range(120)}
        alerter.send(Alert("The text.", fields=fields))
        (arrived,) = delivered()
        assert arrived.says("value-0")
        assert all(arrived.says(value) for value in fields.values()) or arrived.says(_MARK)

    def test_much_of_everything_arrives_too(self, alerter: Alerter, delivered: Arrived) -> None:
        fields = {f"{number}-{'n' * 300}": "v" * 1_500 for number in range(30)}
        alerter.send(Alert("t" * 9_000, title="h" * 900, level=Level.ERROR, fields=fields, link="http://127.0.0.1/" + "p" * 500))
        (arrived,) = delivered()
        assert arrived.says("t" * 100)
        assert arrived.says(_MARK) or all(arrived.says(part) for part in ("t" * 9_000, "h" * 900, *fields))

    def test_what_is_empty_hinders_nothing(self, alerter: Alerter, delivered: Arrived) -> None:
        for alert in (Alert(""), Alert("", title="Only a title"), Alert("The text.", fields={"empty": "", "": "nameless"}), Alert(" \n ")):
            alerter.send(alert)
        arrived = delivered()
        assert len(arrived) == 4
        assert arrived[1].says("Only a title")
        assert arrived[2].says("nameless")

    def test_each_alert_is_delivered_once(self, alerter: Alerter, delivered: Arrived) -> None:
        for number in range(3):
            alerter.send(Alert(f"number {number}"))
        alerter.send(Alert("number 2"))  # said again on purpose
        assert [arrived.text.strip() for arrived in delivered()] == ["number 0", "number 1", "number 2", "number 2"]

    def test_alerts_at_once_all_arrive(self, alerter: Alerter, delivered: Arrived) -> None:
        with ThreadPoolExecutor(8) as threads:
            list(threads.map(lambda number: alerter.send(Alert(f"number {number}")), range(16)))
        assert sorted(arrived.text.strip() for arrived in delivered()) == sorted(f"number {number}" for number in range(16))

    def test_what_people_post_arrives(self, alerter: Alerter, delivered: Arrived) -> None:
        alerter.post("Drift found", title="Flights", level="warning", fields={"share": 0.25, "rows": 7})
        (arrived,) = delivered()
        assert (arrived.text.strip(), _level(arrived)) == ("Drift found", "warning") or arrived.says("Drift found")
        assert arrived.says("0.25")

    def test_a_level_that_is_none_is_refused_and_nothing_is_said(self, alerter: Alerter, delivered: Arrived) -> None:
        with pytest.raises(ValueError, match="loud"):
            alerter.post("Drift found", level="loud")
        assert list(delivered()) == []

    def test_another_instance_with_its_configuration_delivers_too(self, alerter: Alerter, delivered: Arrived) -> None:
        alike(alerter).post("from elsewhere")
        assert [arrived.text.strip() for arrived in delivered()] == ["from elsewhere"]

    def test_an_alert_that_is_refused_raises_and_is_not_delivered(self, refused: Alerter, delivered: Arrived) -> None:
        refused.called("ops-channel", "contract")
        with pytest.raises(AlertError, match="ops-channel"):
            refused.send(Alert("The text."))
        assert list(delivered()) == []

    def test_an_endpoint_that_is_not_there_raises_soon(self, unreachable: Alerter) -> None:
        unreachable.called("ops-channel", "contract")
        began = time.monotonic()
        with pytest.raises(AlertError, match="ops-channel"):
            unreachable.send(Alert("The text."))
        assert time.monotonic() - began < 30

    def test_an_error_is_a_sentence_with_a_cure_and_without_a_secret(self, refused: Alerter, unreachable: Alerter) -> None:
        for broken in (refused, unreachable):
            with pytest.raises(AlertError) as caught:
                broken.send(Alert("The text."))
            said = str(caught.value)
            assert said.rstrip("`").endswith(".")
            assert len(said.split(". ")) > 1, f"it says what is wrong and no cure: {said}"
            shown = "".join(traceback.format_exception(caught.value)) + _all_that_hangs_on(caught.value)
            assert [part for part in _secret_parts(broken) if part in shown] == []

    def test_it_shows_its_secrets_to_nobody(self, alerter: Alerter) -> None:
        shown = f"{alerter!r} {alerter} {alerter.configuration()}"
        assert [part for part in _secret_parts(alerter) if part in shown] == []

    def test_its_own_check_finds_nothing_wrong_and_says_nothing(self, alerter: Alerter, delivered: Arrived) -> None:
        assert alerter.check() == []
        assert list(delivered()) == []

    def test_its_own_check_finds_what_is_refused(self, refused: Alerter) -> None:
        _check_finds(refused)

    def test_its_own_check_finds_that_nobody_is_there(self, unreachable: Alerter) -> None:
        _check_finds(unreachable)

    def test_a_stack_makes_it_of_its_references(self, alerter: Alerter, delivered: Arrived, project: TrialProject) -> None:
        made: Any = project.stack_of(alerter).build("alerter")
        assert isinstance(made, Alerter)
        made.post("from a stack")
        assert [arrived.text.strip() for arrived in delivered()] == ["from a stack"]


def _check_finds(broken: Alerter) -> None:
    problems = broken.check()
    assert problems, "it would be found out when the first alert is lost"
    assert [part for part in _secret_parts(broken) if part in " ".join(problems)] == []


def _level(arrived: Delivered) -> str | None:
    return arrived.level or next((level.value for level in Level if level.value in arrived.text), None)


def _plain(value: object) -> str:
    return value.reveal() if isinstance(value, Secret) else str(value)


def _secret_parts(alerter: Alerter) -> list[str]:
    """Its secrets, and of a URL what follows the host and what stands last."""
    values = [value.reveal() for value in alerter.configuration().values() if isinstance(value, Secret)]
    urls = [urlsplit(value) for value in values if "://" in value]
    return [part for part in (*values, *(url.path for url in urls), *(url.path.rpartition("/")[2] for url in urls)) if part.strip("/")]


def _all_that_hangs_on(error: BaseException | None) -> str:
    """What a debugger or an error tracker would show of it and of the errors behind it."""
    shown = []
    while error is not None:
        shown.append(f"{error!r} {error.args!r} {vars(error)!r}")
        error = error.__cause__ or error.__context__
    return " ".join(shown)


def _whole(text: str) -> str:
    """As text that can be sent: half of a pair of surrogates is no character."""
    return text.encode("utf-8", "replace").decode("utf-8").strip()


def _numbered(size: int) -> str:
    lines = "".join(f"line {number}\n" for number in range(size // 6))
    return lines[: size - 1] + "."


def _is_whole_or_marked(arrived: str, text: str) -> bool:
    if text in arrived:
        return True
    beginning = arrived.find(text[:100])
    return beginning >= 0 and _MARK in arrived[beginning + 100 :]
