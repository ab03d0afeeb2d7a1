"""How AWS is reached: what every component of this plugin is configured with alike, and its clients."""

from __future__ import annotations

import dataclasses
import functools
import os
import re
import threading
from collections.abc import Callable
from dataclasses import field
from typing import TYPE_CHECKING, Any

from dovetail.components import Secret
from dovetail.components.component import Component
from dovetail.errors import ConfigurationError

if TYPE_CHECKING:
    from typing_extensions import Self  # in typing from Python 3.11 on

_ADDRESS = re.compile(r"https?://[\w.\-\[\]:]+(/|$)", re.ASCII)


class AwsConnection(Component):
    """Without `key` and `profile` credentials come from the surroundings, as for every AWS tool, and are renewed before they expire."""

    credential_variables = (
        "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_REGION", "AWS_DEFAULT_REGION",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_AUTHORIZATION_TOKEN",
    )  # fmt: skip

    region: str | None = field(default=None, metadata={"help": "The region; by default what the profile or AWS_REGION says."})
    endpoint_url: str | None = field(
        default=None, metadata={"help": "Address of a service that is not Amazon's own, as http://minio:9000."}
    )
    profile: str | None = field(default=None, metadata={"help": "A profile of ~/.aws/config on the machine that runs the step."})
    key: Secret | None = field(default=None, metadata={"help": "Access key id; without it the default chain of credentials."})
    secret: Secret | None = field(default=None, metadata={"help": "The key's secret."})
    token: Secret | None = field(default=None, metadata={"help": "Session token, where the key is a temporary one."})
    connect_timeout: float = field(default=5.0, metadata={"help": "Seconds to wait for a connection."})
    read_timeout: float = field(default=30.0, metadata={"help": "Seconds to wait for more of an answer."})
    attempts: int = field(default=4, metadata={"help": "How often a request is made before its failure counts."})

    def __post_init__(self) -> None:
        self._clients: dict[tuple[int, str], Any] = {}
        self._locks: dict[int, threading.Lock] = {}
        if self.attempts < 1:
            raise ConfigurationError("`attempts` is the number of times that a request is made. Set it to 1 or more.")
        if self.endpoint_url is not None and not _ADDRESS.match(self.endpoint_url):
            raise ConfigurationError(f"`endpoint_url` is {shown(self.endpoint_url)}. Write it as http://host:port or https://host.")
        if bool(self.key) != bool(self.secret):
            raise ConfigurationError("`key` and `secret` go together. Set both, or neither for the default chain of credentials.")
        if self.token and not self.key:
            raise ConfigurationError("`token` belongs to a temporary `key` with its `secret`. Set these too.")
        if self.key and self.profile:
            raise ConfigurationError("`key` and `profile` are two ways to say who asks. Set one of them.")

    def named_region(self) -> str | None:
        """As configured, or by a variable that the client library itself does not read."""
        return self.region or os.environ.get("AWS_REGION")

    def region_name(self) -> str | None:
        """The region that clients of this component speak to."""
        from botocore.session import Session

        return self.named_region() or Session(profile=self.profile).get_config_variable("region")

    def service(self, name: str) -> Any:
        """A client whose answers nobody else listens to."""
        return self.client(name, _unheard)

    def quickly(self) -> Self:
        """This one for a check, which has to end before it is given up."""
        made = dataclasses.replace(self, attempts=1, connect_timeout=min(3.0, self.connect_timeout), read_timeout=min(4.0, self.read_timeout))
        made.called(self.name, self.flavor)
        return made

    def client(self, service: str, heard: Callable[..., None], **config: Any) -> Any:
        """This process's client of a service, which its threads share. `heard` is called with each answer; `config`: more of botocore's."""
        made = self._clients.get((os.getpid(), service))  # a forked process must not speak through its parent's connections
        if made is None:
            with self._locks.setdefault(os.getpid(), threading.Lock()):
                made = self._clients.get((os.getpid(), service))
                if made is None:
                    made = self._clients[os.getpid(), service] = self._made(service, heard, config)
        return made

    def _made(self, service: str, heard: Callable[..., None], config: dict[str, Any]) -> Any:
        from botocore.config import Config
        from botocore.session import Session

        session = Session(profile=self.profile)
        session.register_component("data_loader", _service_models(session.get_config_variable("data_path")))
        if self.key and self.secret:
            session.set_credentials(self.key.reveal(), self.secret.reveal(), self.token.reveal() if self.token else None)
        chosen: Any = Config(
            connect_timeout=self.connect_timeout,
            read_timeout=self.read_timeout,
            retries={"mode": "standard", "total_max_attempts": self.attempts},
            tcp_keepalive=True,
            user_agent_extra="dovetail-aws",
            **config,
        )
        made = session.create_client(service, region_name=self.named_region(), endpoint_url=self.endpoint_url, config=chosen)
        made.meta.events.register("after-call", heard)
        made.meta.events.register_last("before-call", _sent_at_once)
        return made


@functools.lru_cache(maxsize=4)
def _service_models(folders: str | None) -> Any:
    """What the client library knows of services, megabytes of JSON: read once per process, and not for each client."""
    from botocore.loaders import create_loader

    return create_loader(folders)


def _unheard(**_: Any) -> None:
    pass


def shown(address: str) -> str:
    """For a message: an address in which somebody wrote credentials is not repeated."""
    return repr(address) if "@" not in address else "an address with credentials in it, which belong into `key` and `secret`"


def _sent_at_once(params: dict[str, Any], **_: Any) -> None:
    """Without asking first whether the content may come, which would be a round trip more for each object."""
    params["headers"].pop("Expect", None)
