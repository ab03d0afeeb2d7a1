from __future__ import annotations

import no_such_sdk  # noqa: F401

from dovetail.components import ExperimentTracker


class EagerTracker(ExperimentTracker):
    pass
