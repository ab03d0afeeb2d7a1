"""The two axes: what runs steps, and what keeps artifacts and records. A further backend is one more declaration here."""

from __future__ import annotations

import contextlib
import importlib.util
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[3]
Configure = Callable[[Path], Mapping[str, Any]]  # from the folder of a trial to a component's configuration, as in a stack file


class Unavailable(Exception):
    """Why a service cannot be had on this machine."""


@contextlib.contextmanager
def nothing_started() -> Iterator[Configure]:
    yield lambda folder: {}


@dataclass(frozen=True)
class Axis:
    """One orchestrator or artifact store. `service` starts what it needs, once for all tests of a session.

    `plugin`: the module that must be installed. `fields`: configuration that is always the same. `variables`: set while a
    pipeline runs on it, for `${…}` in the configuration. `identity`: likewise, by which a client of the store signs in, and which workers
    of an engine with credentials of its own have by that engine: `identity_field` names its field for it. `tried_on`: what stands for it here. `refuses`: what it cannot
    honour, by words of the checks before a run that tell it from all else; a refusal of anything else is a difference.
    """

    title: str
    flavor: str
    tried_on: str
    service: Callable[[], AbstractContextManager[Configure]] = nothing_started
    plugin: str = "dovetail"
    fields: Mapping[str, Any] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)
    refuses: Mapping[str, str] = field(default_factory=dict)
    identity: Mapping[str, str] = field(default_factory=dict)
    identity_field: str = ""

    @property
    def component(self) -> str:
        """The component's name in the stack."""
        return "-".join(self.title.lower().split())


@dataclass(frozen=True)
class Backend:
    orchestrator: Axis
    store: Axis

    @property
    def title(self) -> str:
        return f"{self.orchestrator.title} × {self.store.title}"

    @property
    def refuses(self) -> Mapping[str, str]:
        return {**self.orchestrator.refuses, **self.store.refuses}

    def is_installed(self) -> bool:
        return all(importlib.util.find_spec(axis.plugin) is not None for axis in (self.orchestrator, self.store))


@contextlib.contextmanager
def docker_engine() -> Iterator[Configure]:
    """An image of this Python, into which this environment and the sources are mounted: nothing is built."""
    from dovetail_docker.testing import DockerEngine, mounted_sources, python_image

    mounted = mounted_sources()
    with DockerEngine() as engine:
        image = python_image(engine)
        yield lambda folder: {
            "host": engine.host, "image": image, "python": f"{sys.prefix}/bin/python", "network": "host", "volumes": mounted, "workers": 4
        }  # fmt: skip


def of_a_plugins_tests(plugin: str, file: str) -> Any:
    """The module by which a plugin's own tests start what they work with."""
    place = ROOT / "plugins" / plugin / "tests" / file
    spec = importlib.util.spec_from_file_location(f"portability_{plugin}_{place.stem}", place)
    assert spec is not None and spec.loader is not None
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@contextlib.contextmanager
def s3_server() -> Iterator[Configure]:
    with of_a_plugins_tests("aws", "emulator.py").emulator() as server:
        yield lambda folder: {"path": f"s3://trial/{uuid.uuid4().hex}", "endpoint_url": server.url}


@contextlib.contextmanager
def gcs_server() -> Iterator[Configure]:
    with of_a_plugins_tests("gcp", "storage/storage_emulator.py").emulator() as server:
        yield lambda folder: {"path": f"gs://trial/{uuid.uuid4().hex}", "endpoint_url": server.url}


@contextlib.contextmanager
def azure_server() -> Iterator[Configure]:
    azurite = of_a_plugins_tests("azure", "azurite.py")
    if azurite.program() is None:
        raise Unavailable("azurite is not installed, which `python3 tasks.py test` does where there is npm")
    with tempfile.TemporaryDirectory() as folder, azurite.azurite(Path(folder)) as server:
        yield lambda _: {"path": f"az://trial/{uuid.uuid4().hex}", "endpoint_url": server.url}


@contextlib.contextmanager
def vertex_pipelines() -> Iterator[Configure]:
    if importlib.util.find_spec("kfp") is None:
        raise Unavailable("kfp is not installed, which `python3 tasks.py test` does")
    with of_a_plugins_tests("gcp", "vertex_engine.py").vertex_engine() as configuration:
        yield lambda folder: configuration


@contextlib.contextmanager
def sagemaker_pipelines() -> Iterator[Configure]:
    """SageMaker signs in as its role, so who asks it has credentials too."""
    with of_a_plugins_tests("aws", "sagemaker_engine.py").sagemaker_engine() as engine:
        yield lambda folder: engine.configuration


@contextlib.contextmanager
def folder_of_the_trial() -> Iterator[Configure]:
    yield lambda folder: {"path": str(folder / "store")}


_NO_GPU = {"sets resources.gpu": "`Resources(gpu=…)`, as it hands out none"}
_MORE_THAN_THERE_IS = {"asks for cpu": "`Resources(cpu=…)` of more than its machine has"}
_NOT_IMPORTABLE = {"cannot be imported there": "steps that another process cannot import"}

THREADS = Axis("local threads", "local", "this machine", refuses={**_NO_GPU, **_MORE_THAN_THERE_IS})
PROCESSES = Axis("local processes", "local", "this machine", fields={"processes": True}, refuses={**THREADS.refuses, **_NOT_IMPORTABLE})
DOCKER = Axis("docker", "docker", "a Docker engine, a container for each step", docker_engine, plugin="dovetail_docker", refuses={**_MORE_THAN_THERE_IS, **_NOT_IMPORTABLE})

_AWS_KEYS = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing-secret-8f3a"}
_NO_FOLDER = {"a folder of this machine, which workers of": "a store in a folder of the submitter's machine"}
_TOO_LARGE = {"Ask for less": "`Resources(cpu=…)` of more than any of its machines has"}
VERTEX = Axis(
    "Vertex AI", "vertex", "the pipelines that its API receives, carried out by Kubeflow's local runner in containers", vertex_pipelines, plugin="dovetail_gcp",
    refuses={**_NO_FOLDER, **_TOO_LARGE, **_NOT_IMPORTABLE}, identity_field="variables",
)  # fmt: skip
SAGEMAKER = Axis(
    "SageMaker", "sagemaker", "the pipelines that its API receives, carried out in containers", sagemaker_pipelines, plugin="dovetail_aws",
    refuses={**_NO_FOLDER, **_TOO_LARGE, **_NOT_IMPORTABLE}, identity_field="variables", variables=_AWS_KEYS,
)  # fmt: skip

FOLDER = Axis("local folder", "local", "this machine", folder_of_the_trial)
S3 = Axis(
    "S3", "s3", "an emulator, moto, whose conditional writes are made atomic", s3_server, plugin="dovetail_aws", fields={"trusted": True, "region": "eu-central-1"},
    identity=_AWS_KEYS,
)  # fmt: skip
GCS = Axis("GCS", "gcs", "an emulator, gcp-storage-emulator, with conditional writes before it", gcs_server, plugin="dovetail_gcp", fields={"trusted": True})
AZURE = Axis(
    "Azure Blob", "azure", "an emulator, Azurite", azure_server, plugin="dovetail_azure", fields={"account": "devstoreaccount1", "trusted": True},
    identity={"AZURE_STORAGE_KEY": "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="},
)  # fmt: skip

ORCHESTRATORS = (THREADS, PROCESSES, DOCKER, VERTEX, SAGEMAKER)
STORES = (FOLDER, S3, GCS, AZURE)
REFERENCE = Backend(THREADS, FOLDER)
BACKENDS = tuple(Backend(orchestrator, store) for store in STORES for orchestrator in ORCHESTRATORS)
