"""One virtual environment per peer, made when it is missing or when what it holds has changed."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

CORE = Path(__file__).resolve().parent.parent / "core"
FRAME = ("pandas>=2.2", "pyarrow>=15")


@dataclass(frozen=True)
class Peer:
    """Something that is measured: what to install, and the import line with which its users begin a pipeline."""

    name: str
    title: str
    requirements: tuple[str, ...]
    begin: str
    distribution: str

    @property
    def plain_import(self) -> str:
        return f"import {self.begin.split()[1].split('.')[0]}"


# Lower bounds everywhere: without them a resolver may go back to a release of years ago and never say so.
PEERS = (
    Peer("dovetail", "Dovetail", (str(CORE),), "from dovetail import step, pipeline", "dovetail"),
    Peer("zenml", "ZenML", ("zenml[local]>=0.90",), "from zenml import step, pipeline", "zenml"),
    Peer("luigi", "Luigi", ("luigi>=3.5",), "import luigi", "luigi"),
    # Its pandas support needs packaging and does not say so.
    Peer("hamilton", "Hamilton", ("sf-hamilton>=1.80", "packaging>=23"), "from hamilton import driver", "sf-hamilton"),
    Peer("flytekit", "Flytekit", ("flytekit>=1.13",), "from flytekit import task, workflow", "flytekit"),
    Peer(
        "kedro",
        "Kedro",
        ("kedro>=0.19", "kedro-datasets>=4"),
        "from kedro.pipeline import Pipeline, node; from kedro.io import DataCatalog; "
        "from kedro.runner import SequentialRunner; from kedro_datasets.json import JSONDataset",
        "kedro",
    ),
    Peer("pyarrow", "pyarrow", (), "import pyarrow", "pyarrow"),
)


@dataclass(frozen=True)
class Environment:
    peer: Peer
    folder: Path

    @property
    def python(self) -> Path:
        return self.folder / "bin" / "python"

    def command(self, name: str) -> Path:
        return self.folder / "bin" / name

    def version(self) -> str:
        ask = f"import importlib.metadata as m; print(m.version({self.peer.distribution!r}))"
        return subprocess.run([self.python, "-c", ask], check=True, capture_output=True, text=True).stdout.strip()


def ready(peer: Peer, root: Path) -> Environment:
    """The peer's environment under `root`, installed anew unless its stamp says that nothing has changed."""
    environment = Environment(peer, root / peer.name)
    stamp, wanted = environment.folder / "stamp", [_requirements_mark(peer), _source_mark(peer)]
    found = stamp.read_text(encoding="utf-8").split() if stamp.is_file() else []
    if found != wanted:
        print(f"preparing {peer.title} in {environment.folder}", file=sys.stderr)
        if found[:1] != wanted[:1]:
            _make(environment)
        _install(environment)
        stamp.write_text("\n".join(wanted), encoding="utf-8")
    return environment


def _requirements_mark(peer: Peer) -> str:
    return hashlib.sha256(repr((sys.version, peer.requirements, FRAME)).encode()).hexdigest()


def _source_mark(peer: Peer) -> str:
    """What changes with Dovetail's source; for a peer from the registry, nothing."""
    digest = hashlib.sha256()
    if str(CORE) in peer.requirements:
        for path in sorted([CORE / "pyproject.toml", *(CORE / "src").rglob("*.py")]):
            digest.update(path.read_bytes())
    return digest.hexdigest()


def _make(environment: Environment) -> None:
    shutil.rmtree(environment.folder, ignore_errors=True)
    uv = _uv()
    if uv:
        _run([*uv, "venv", "--quiet", "--python", sys.executable, str(environment.folder)])
    else:
        _run([sys.executable, "-m", "venv", str(environment.folder)])


def _install(environment: Environment) -> None:
    requirements, uv = [*environment.peer.requirements, *FRAME], _uv()
    if uv:
        # A path's wheel is kept by version alone, and the core changes under one version.
        fresh = ["--reinstall-package", "dovetail", "--refresh-package", "dovetail"]
        _run([*uv, "pip", "install", "--quiet", "--python", str(environment.python), *fresh, *requirements])
        return
    pip = [str(environment.python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    _run([*pip, *requirements])
    if str(CORE) in requirements:
        _run([*pip, "--force-reinstall", "--no-deps", str(CORE)])


def _uv() -> list[str]:
    found = shutil.which("uv", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]))
    return [found] if found else []


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed with exit code {done.returncode}:\n{done.stdout}{done.stderr}")
