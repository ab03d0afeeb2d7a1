"""`python -m dovetail_bentoml.build_program SERVICE FOLDER`: builds the Bento whose options come as JSON by standard input.

Its times are taken out, so that the same content gives the same files.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import yaml

_TIME = "1980-01-01T00:00:00+00:00"


def main() -> None:
    import bentoml

    service, folder = sys.argv[1:]
    bento = bentoml.bentos.build(service, build_ctx=folder, **json.load(sys.stdin))
    file = Path(bento.path) / "bento.yaml"
    about = yaml.safe_load(file.read_text(encoding="utf-8"))
    file.write_text(yaml.safe_dump({**about, "creation_time": _TIME}, sort_keys=False), encoding="utf-8")


if __name__ == "__main__":
    main()
