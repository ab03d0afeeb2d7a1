"""A tool on loopback that takes alerts as they are, for the contract of alerters."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import pytest

from dovetail.testing import Delivered, webhook_endpoint
from dovetail.testing.webhook import Endpoint, Reply, Request

PATH = "/hooks/T0123/abcdefghijklmnop?key=qrstuvwxyz"


def _answer(request: Request) -> Reply:
    if request.path != PATH:
        return Reply(404, f"there is no webhook {request.path}")  # such tools do repeat what they were given
    return Reply(200 if request.method == "GET" or request.body else 400)


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    with webhook_endpoint(_answer) as made:
        yield made


@pytest.fixture
def webhook_url(endpoint: Endpoint) -> str:
    return endpoint.url + PATH


@pytest.fixture
def delivered(endpoint: Endpoint) -> Callable[[], Sequence[Delivered]]:
    return lambda: [Delivered(**request.body) for request in endpoint.taken if request.method == "POST"]
