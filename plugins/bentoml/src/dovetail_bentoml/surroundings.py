"""The environment in which BentoML runs: its files in the project, nothing told to anybody, nothing of this user's own set-up."""

from __future__ import annotations

import os
import sys
from pathlib import Path

_SAID_HERE = ("BENTOML_HOME", "BENTOML_CONFIG", "BENTOML_CONFIG_OPTIONS", "BENTOML_DEBUG", "BENTOML_QUIET", "PROMETHEUS_MULTIPROC_DIR")


def home() -> Path:
    """BENTOML_HOME of a project: `bentoml list` finds there what `build_bento` built."""
    from dovetail.values.project import find_project

    return find_project().config / "bentoml"


def variables(bentoml_home: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in _SAID_HERE}
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])  # where uv is installed with this plugin
    return {**kept, "BENTOML_HOME": str(bentoml_home), "BENTOML_DO_NOT_TRACK": "True", "PATH": path, "PYTHONUNBUFFERED": "1"}
