"""Breaks a worker process as the harness asks; any other process that comes by here is left alone."""

import os
import sys

if os.environ.get("FAULT") and {"--serve", "--attempt"} & set(sys.orig_argv):
    sys.path.insert(0, os.environ["FAULTS"])
    from faults import install_from

    install_from()
