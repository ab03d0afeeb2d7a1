"""Where MLflow is and how it is reached: what tracker and registry are configured with alike."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from dovetail.components import Secret
from dovetail.components.component import Component

if TYPE_CHECKING:
    from mlflow import MlflowClient

_MANNERS = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3",  # some 15 seconds until a server counts as lost
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",  # `runs show` has the link; what a step prints is its own
}


class MlflowConnection(Component):
    """Fields that lead to an MLflow server, or to a store of the project's own where no address is given."""

    tracking_uri: str | None = field(
        default=None, metadata={"help": "Address of the MLflow server, as http://host:5000; when not set, a store in `folder`."}
    )
    folder: Path = field(
        default=Path(".dovetail/mlflow"),
        metadata={"help": "Where runs are kept when `tracking_uri` is not set; a relative one starts at the project root."},
    )
    username: Secret | None = field(default=None, metadata={"help": "User name, for a server that asks for one."})
    password: Secret | None = field(default=None, metadata={"help": "Password of that user."})
    token: Secret | None = field(default=None, metadata={"help": "Token, for a server that takes one in place of user and password."})
    server_certificate: Path | None = field(default=None, metadata={"help": "File of the authorities to trust for https."})
    insecure_tls: bool = field(default=False, metadata={"help": "Do not verify the server's certificate."})
    on_unreachable: Literal["fail", "continue"] = field(
        default="fail", metadata={"help": "What becomes of a run when MLflow cannot be reached: fail before it starts, or continue without."}
    )

    @property
    def uri(self) -> str:
        return self.tracking_uri.rstrip("/") if self.tracking_uri else f"sqlite:///{self.folder.absolute() / 'mlflow.db'}"

    @property
    def is_server(self) -> bool:
        return self.uri.startswith(("http://", "https://"))

    @property
    def artifact_location(self) -> str | None:
        """Where a new experiment keeps files; None where the server decides."""
        return None if self.tracking_uri else (self.folder.absolute() / "artifacts").as_uri()

    def variables(self) -> dict[str, str]:
        """The environment by which MLflow's client finds this place, and nothing else."""
        given = {
            "MLFLOW_TRACKING_USERNAME": self.username and self.username.reveal(),
            "MLFLOW_TRACKING_PASSWORD": self.password and self.password.reveal(),
            "MLFLOW_TRACKING_TOKEN": self.token and self.token.reveal(),
            "MLFLOW_TRACKING_SERVER_CERT_PATH": self.server_certificate and str(self.server_certificate),
            "MLFLOW_TRACKING_INSECURE_TLS": "true" if self.insecure_tls else None,
        }
        return {"MLFLOW_TRACKING_URI": self.uri, **_MANNERS, **{name: value for name, value in given.items() if value}}

    def connected(self) -> MlflowClient:
        """A client; only where `variables` are set, as in `reached`, does it show its credentials."""
        from dovetail_mlflow.vendor import client

        if self.tracking_uri:
            return client(self.uri)
        self.folder.mkdir(parents=True, exist_ok=True)
        astray = Path("mlruns")
        was_there = astray.exists()
        made = client(self.uri)
        if not was_there:
            with suppress(OSError):  # not there, or in use
                astray.rmdir()  # earlier versions make an empty one in the working folder for any store
        return made

    @contextmanager
    def reached(self) -> Iterator[MlflowClient]:
        """A client with its credentials, for a few calls."""
        from dovetail_mlflow.surroundings import borrowed
        from dovetail_mlflow.vendor import addressed

        with borrowed(self.variables()), addressed(self.uri):
            yield self.connected()
