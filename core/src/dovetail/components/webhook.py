"""Alerters of tools that take a message as JSON, posted to a URL that is itself the secret."""

from __future__ import annotations

import contextlib
import json
import time
from abc import abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, unquote, urlsplit

from dovetail.components.alerter import Alert, Alerter
from dovetail.components.component import Secret
from dovetail.errors import AlertError
from dovetail.values.encoding import Json

if TYPE_CHECKING:
    from urllib.request import OpenerDirector

_BUSY = 429
_SHORT = 6  # characters; what is shorter than that in a URL is a word of the tool, such as `api`
_HIDDEN = "********"


@dataclass(frozen=True, slots=True)
class Answer:
    """What the endpoint said: `text` holds at most its first 10,000 characters; `retry_after` is in seconds."""

    status: int
    text: str = ""
    retry_after: float | None = None

    @property
    def is_success(self) -> bool:
        return 200 <= self.status < 300


class WebhookAlerter(Alerter):
    """Subclass it and write `message`; `probe` too, where the tool can be asked without a message appearing.

    An alert is posted once: again only after an answer that refused it for being one too many (429), once the time that
    the answer names has passed. A redirect is not followed. No error holds the URL or a part of it that could be secret.
    """

    webhook_url: Secret = field(metadata={"help": "The address that the tool made for the channel; who has it can post there."})
    timeout: float = field(default=10.0, metadata={"help": "Seconds that an alert may take, the wait for a busy endpoint included."})

    @abstractmethod
    def message(self, alert: Alert) -> Json:
        """The body that the tool takes for an alert."""

    def address(self) -> str:
        """Where messages are posted to. Override it where that is not the URL as it is given."""
        return self.webhook_url.reveal().strip()

    def probe(self) -> Answer | None:
        """The endpoint's answer to a question that delivers nothing, a success if it would take alerts; None where there is no such question."""
        return None

    def send(self, alert: Alert) -> None:
        problem = _problem(self.address())
        if problem is not None:
            raise AlertError(f"{self._subject()} cannot deliver: {problem}")
        answer = self.request("POST", self.message(alert))
        if not answer.is_success:
            raise AlertError(f"{self._subject()} could not deliver an alert: {self._refusal(answer)}")

    def check(self) -> list[str]:
        problem = _problem(self.address())
        if problem is not None:
            return [f"{self._subject()} cannot be used: {problem}"]
        try:
            answer = self.probe()
        except AlertError as error:
            return [str(error)]
        if answer is None or answer.is_success:
            return []
        return [f"{self._subject()} cannot be used: {self._refusal(answer)}"]

    def request(self, method: str, body: Json = None) -> Answer:
        """Ask the endpoint, waiting as long as it is busy and there is time. Raises AlertError where it gives no answer."""
        until = time.monotonic() + self.timeout
        while True:
            answer = self._ask(method, body, max(until - time.monotonic(), 0.1))
            wait = answer.retry_after if answer.status == _BUSY else None
            if wait is None or time.monotonic() + wait > until:
                return answer
            time.sleep(wait)

    def _ask(self, method: str, body: Json, seconds: float) -> Answer:
        from http.client import HTTPException
        from urllib.request import Request

        url = self.address()
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json", "User-Agent": "dovetail"}
        try:
            asked = Request(url, data, headers, method=method)  # noqa: S310  # the opener knows http and https alone
            with _opener(urlsplit(url)).open(asked, timeout=seconds) as response:
                text = b""
                with contextlib.suppress(OSError, HTTPException):  # its status counts, even if the rest is lost
                    text = response.read(10_000)
                return Answer(response.status, text.decode("utf-8", "replace"), _seconds(response.headers.get("Retry-After")))
        except TimeoutError:
            failure = f"nothing within {self.timeout:g} s, so whether it took the alert is not known"
        except (OSError, ValueError, HTTPException) as error:
            failure = _reason(error)
        # Raised here and not above, where it would hold on to an error that may hold the URL.
        raise AlertError(
            f"{self._subject()} got no answer from {urlsplit(url).hostname}: {self._hide(failure)}. Check the network, the "
            "proxy's settings, and the host in its webhook_url."
        )

    def _refusal(self, answer: Answer) -> str:
        said = " ".join(self._hide(answer.text).split())[:200]
        host = urlsplit(self.address()).hostname
        sentence = f"{host} answered {answer.status}" + (f" ({said})" if said else "")
        if 300 <= answer.status < 400:
            return f"{sentence}, a redirect, which is not followed because the address is a secret. Set webhook_url to the final address."
        if answer.status == _BUSY:
            return f"{sentence}: too many alerts at once. Send fewer, or give it a longer timeout than {self.timeout:g} s."
        if answer.status >= 500:
            return f"{sentence}: the tool has a fault of its own. Try again later."
        return f"{sentence}. If the webhook was deleted or mistyped, make a new one in the tool and set it: {self._cure()}"

    def _cure(self) -> str:
        return f"`dovetail alerter update {self.name or 'NAME'} --webhook-url=…`, or the secret that its stack file names."

    def _subject(self) -> str:
        return f"Alerter '{self.name or self.flavor or type(self).__name__}'"

    def _hide(self, text: str) -> str:
        """The text without the URL and its parts, which an endpoint or a library may repeat."""
        for part in sorted(_parts(self.address()), key=len, reverse=True):
            text = text.replace(part, _HIDDEN)
        return text


def cut(text: str, most: int) -> str:
    """The text whole, or its beginning with a mark that says how much is left out; half characters of UTF-16 become `?`."""
    text = text.encode("utf-8", "replace").decode("utf-8")
    if len(text) <= most:
        return text
    mark = f" … ({len(text):,} characters in all)"
    return text[: most - len(mark)] + mark if len(mark) < most else text[: max(most - 1, 0)] + "…"


def _problem(url: str) -> str | None:
    """Why no alert should be posted there, with the cure; it repeats nothing of the URL but its host."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host, parts = None, SplitResult("", "", "", "", "")
    if parts.scheme not in ("http", "https") or not host or any(character.isspace() or not character.isprintable() for character in url):
        return "its webhook_url is no URL that begins with https://. Copy it from the tool whole, with nothing before or after it."
    if parts.scheme == "http" and not _is_loopback(host):
        return f"its webhook_url would cross the network to {host} unencrypted. Let it begin with https://."
    return None


def _is_loopback(host: str) -> bool:
    import ipaddress

    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _parts(url: str) -> set[str]:
    try:
        parts = urlsplit(url)
    except ValueError:
        return {url}
    pieces = [url, parts.path, f"{parts.path}?{parts.query}", parts.query, parts.username or "", parts.password or ""]
    pieces += parts.path.split("/") + [value for pair in parts.query.split("&") for value in pair.split("=", 1)]
    return {form for piece in pieces for form in (piece, unquote(piece), repr(piece)[1:-1]) if len(form) >= _SHORT}


def _opener(url: SplitResult) -> OpenerDirector:
    """Asks proxies as the environment says, checks certificates, and gives every answer as it is: no redirects, no exceptions."""
    from urllib import request

    opener = request.OpenerDirector()
    proxies: dict[str, str] | None = {} if _is_loopback(url.hostname or "") else None
    for handler in (request.ProxyHandler(proxies), request.HTTPHandler(), request.HTTPSHandler()):
        opener.add_handler(handler)
    return opener


def _reason(error: Exception) -> str:
    inner = getattr(error, "reason", error)
    return str(getattr(inner, "strerror", None) or inner) or type(error).__name__


def _seconds(said: str | None) -> float | None:
    try:
        return max(float(said), 0.0) if said is not None else None
    except ValueError:
        return None
