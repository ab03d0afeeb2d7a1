"""Cloud Storage on loopback for all tests of a session."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from storage_fixtures import gcs, guarded, make_store, project, store, watched

__all__ = ["gcs", "guarded", "make_store", "project", "store", "watched"]
