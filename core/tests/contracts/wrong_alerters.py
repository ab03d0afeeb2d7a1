"""Alerters that break one promise each, as real ones do, and the promise that has to find it."""

from __future__ import annotations

import dataclasses
import threading
from typing import Any, ClassVar

import pytest

from dovetail.components import Alert, Level, Secret, WebhookAlerter
from dovetail.components.webhook import Answer
from dovetail.errors import AlertError
from dovetail.testing import AlerterContract


class Right(WebhookAlerter):
    """What the others get wrong."""

    def message(self, alert: Alert) -> Any:
        fields = {_sendable(name): _sendable(value) for name, value in alert.fields.items()}
        return {"text": _sendable(alert.text), "title": _sendable(alert.title), "level": alert.level.value, "fields": fields, "link": alert.link}

    def probe(self) -> Answer:
        return self.request("GET")


def _sendable(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


class Altering(Right):
    """Sends something else than it was given."""

    def altered(self, alert: Alert) -> Alert:
        raise NotImplementedError

    def message(self, alert: Alert) -> Any:
        return super().message(self.altered(alert))


class SaysNothing(Altering):
    def altered(self, alert: Alert) -> Alert:
        return dataclasses.replace(alert, text="An alert arrived.")


class DropsTitles(Altering):
    def altered(self, alert: Alert) -> Alert:
        return dataclasses.replace(alert, title="")


class DropsLinks(Altering):
    def altered(self, alert: Alert) -> Alert:
        return dataclasses.replace(alert, link=None)


class KnowsOneLevel(Altering):
    def altered(self, alert: Alert) -> Alert:
        return dataclasses.replace(alert, level=Level.INFO)


class SortsFields(Altering):
    def altered(self, alert: Alert) -> Alert:
        return dataclasses.replace(alert, fields=dict(sorted(alert.fields.items())))


class LeavesMarkupToTheTool(Altering):
    """What is markup to the tool vanishes from what people read."""

    def altered(self, alert: Alert) -> Alert:
        return dataclasses.replace(alert, text=alert.text.replace("*", "").replace("&amp;", "&"))


class FormatsTitles(Altering):
    def altered(self, alert: Alert) -> Alert:
        return dataclasses.replace(alert, title=alert.title.replace("_", ""))


class CutsInSilence(Altering):
    def altered(self, alert: Alert) -> Alert:
        return dataclasses.replace(alert, text=alert.text[:2_000])


class CutsTitlesInSilence(Altering):
    def altered(self, alert: Alert) -> Alert:
        return dataclasses.replace(alert, title=alert.title[:100])


class ShowsTenFields(Altering):
    def altered(self, alert: Alert) -> Alert:
        return dataclasses.replace(alert, fields=dict(list(alert.fields.items())[:10]))


class SwallowsFailures(Right):
    def send(self, alert: Alert) -> None:
        try:
            super().send(alert)
        except AlertError:
            pass


class SaysItTwice(Right):
    """Posts again because it did not like the first answer."""

    def send(self, alert: Alert) -> None:
        super().send(alert)
        super().send(alert)


class RemembersWhatItSaid(Right):
    def __post_init__(self) -> None:
        self._said: set[str] = set()

    def send(self, alert: Alert) -> None:
        if alert.text not in self._said:
            self._said.add(alert.text)
            super().send(alert)


class DropsWhenBusy(Right):
    def __post_init__(self) -> None:
        self._busy = threading.Lock()

    def send(self, alert: Alert) -> None:
        if self._busy.acquire(blocking=False):
            try:
                super().send(alert)
            finally:
                self._busy.release()


class SkipsTheEmpty(Right):
    def send(self, alert: Alert) -> None:
        if alert.text.strip():
            super().send(alert)


class TellsTheAddress(Right):
    def send(self, alert: Alert) -> None:
        try:
            super().send(alert)
        except AlertError as error:
            raise AlertError(f"{error} The address was {self.webhook_url.reveal()}.") from None


class HangsTheAddressOnItsError(Right):
    """The sentence is clean, and the error behind it, which error trackers show too, is not."""

    def send(self, alert: Alert) -> None:
        try:
            super().send(alert)
        except AlertError as error:
            raise AlertError(str(error)) from OSError(2, "no answer", self.webhook_url.reveal())


class NamesNoCure(Right):
    def send(self, alert: Alert) -> None:
        try:
            super().send(alert)
        except AlertError:
            raise AlertError(f"Alerter '{self.name}' failed.") from None


class RaisesWhatItsLibraryRaises(Right):
    def send(self, alert: Alert) -> None:
        try:
            super().send(alert)
        except AlertError:
            raise ConnectionError("refused") from None


class ShowsItsSecret(Right):
    def __repr__(self) -> str:
        return f"ShowsItsSecret({self.webhook_url.reveal()})"


class GreetsWhenChecked(Right):
    def probe(self) -> Answer:
        return self.request("POST", {"text": "Dovetail was here."})


class ChecksNothing(Right):
    def check(self) -> list[str]:
        return []


class SaysNothingInAStack(Right):
    """Works in its author's tests, where nobody has given it a name."""

    def send(self, alert: Alert) -> None:
        if not self.name:
            super().send(alert)


class OnLoopback(AlerterContract):
    flavor: ClassVar[type[Right]]

    @pytest.fixture
    def alerter(self, webhook_url: str) -> Right:
        return self.flavor(webhook_url=Secret(webhook_url))


class TestSaysNothing(OnLoopback):
    flavor, caught_by = SaysNothing, "test_text_arrives"


class TestDropsTitles(OnLoopback):
    flavor, caught_by = DropsTitles, "test_the_title_arrives"


class TestDropsLinks(OnLoopback):
    flavor, caught_by = DropsLinks, "test_the_link_arrives"


class TestKnowsOneLevel(OnLoopback):
    flavor, caught_by = KnowsOneLevel, "test_each_level_arrives"


class TestSortsFields(OnLoopback):
    flavor, caught_by = SortsFields, "test_fields_arrive_in_their_order"


class TestLeavesMarkupToTheTool(OnLoopback):
    flavor, caught_by = LeavesMarkupToTheTool, "test_odd_text_arrives_as_it_was_written"


class TestFormatsTitles(OnLoopback):
    flavor, caught_by = FormatsTitles, "test_odd_titles_and_fields_arrive_as_they_were_written"


class TestCutsInSilence(OnLoopback):
    flavor, caught_by = CutsInSilence, "test_long_text_arrives_whole_or_is_cut_with_a_mark"


class TestCutsTitlesInSilence(OnLoopback):
    flavor, caught_by = CutsTitlesInSilence, "test_long_titles_and_fields_arrive_whole_or_are_cut_with_a_mark"


class TestShowsTenFields(OnLoopback):
    flavor, caught_by = ShowsTenFields, "test_fields_beyond_what_the_tool_shows_are_told_by_a_mark"


class TestSwallowsFailures(OnLoopback):
    flavor, caught_by = SwallowsFailures, "test_an_alert_that_is_refused_raises_and_is_not_delivered"


class TestSaysItTwice(OnLoopback):
    flavor, caught_by = SaysItTwice, "test_each_alert_is_delivered_once"


class TestRemembersWhatItSaid(OnLoopback):
    flavor, caught_by = RemembersWhatItSaid, "test_each_alert_is_delivered_once"


class TestDropsWhenBusy(OnLoopback):
    flavor, caught_by = DropsWhenBusy, "test_alerts_at_once_all_arrive"


class TestSkipsTheEmpty(OnLoopback):
    flavor, caught_by = SkipsTheEmpty, "test_what_is_empty_hinders_nothing"


class TestTellsTheAddress(OnLoopback):
    flavor, caught_by = TellsTheAddress, "test_an_error_is_a_sentence_with_a_cure_and_without_a_secret"


class TestHangsTheAddressOnItsError(OnLoopback):
    flavor, caught_by = HangsTheAddressOnItsError, "test_an_error_is_a_sentence_with_a_cure_and_without_a_secret"


class TestNamesNoCure(OnLoopback):
    flavor, caught_by = NamesNoCure, "test_an_error_is_a_sentence_with_a_cure_and_without_a_secret"


class TestRaisesWhatItsLibraryRaises(OnLoopback):
    flavor, caught_by = RaisesWhatItsLibraryRaises, "test_an_endpoint_that_is_not_there_raises_soon"


class TestShowsItsSecret(OnLoopback):
    flavor, caught_by = ShowsItsSecret, "test_it_shows_its_secrets_to_nobody"


class TestGreetsWhenChecked(OnLoopback):
    flavor, caught_by = GreetsWhenChecked, "test_its_own_check_finds_nothing_wrong_and_says_nothing"


class TestChecksNothing(OnLoopback):
    flavor, caught_by = ChecksNothing, "test_its_own_check_finds_what_is_refused"


class TestSaysNothingInAStack(OnLoopback):
    flavor, caught_by = SaysNothingInAStack, "test_a_stack_makes_it_of_its_references"
