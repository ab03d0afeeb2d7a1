from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

settings.register_profile("core", database=None, deadline=None, max_examples=int(os.environ.get("DOVETAIL_EXAMPLES", "60")), suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("core")
