"""`python -m dovetail.execution`: the worker's command line, and the process that drives a detached run."""

from __future__ import annotations

import argparse
import json
import os
import sys

from dovetail.errors import DovetailError
from dovetail.stack.handing import take
from dovetail.worker import ARGUMENTS


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m dovetail.execution", description="Run one step of a run, or drive a recorded run.")
    parser.add_argument("address", nargs="?", help="the run's address")
    parser.add_argument("invocation", nargs="?", help="the step to run; without it the whole run is driven from here")
    parser.add_argument("--attempt", type=int, default=1)
    parser.add_argument("--in-graph", action="store_true", help="run the step as a job of an engine's graph: see what it takes, and whether it has to run")
    parser.add_argument("--scheduled", action="store_true", help="make a run of the schedule at this address")
    parser.add_argument("--tick", type=int, metavar="SECONDS", help="make the run of this claimed tick of the schedule at this address")
    parser.add_argument("--serve", type=int, metavar="DESCRIPTOR", help="run steps named on standard input and answer on this descriptor")
    parser.add_argument("--resume", metavar="STACK", help="resume the ended run on the stack of this JSON")
    chosen = parser.parse_args()
    take()
    if ARGUMENTS in os.environ:
        sys.argv = json.loads(os.environ.pop(ARGUMENTS))
    if chosen.serve is not None:
        from dovetail.execution.worker import serve

        serve(chosen.serve)
        return 0
    if chosen.address is None:
        parser.error("an address is needed")
    if chosen.resume is not None:
        from dovetail.execution.driving import resume_recorded

        return resume_recorded(chosen.address, chosen.resume)
    if chosen.scheduled:
        from dovetail.execution.scheduled import run_scheduled

        return int(run_scheduled(chosen.address))
    if chosen.tick is not None:
        from dovetail.execution.scheduled import run_tick

        return int(run_tick(chosen.address, chosen.tick))
    if chosen.invocation is None:
        from dovetail.execution.driving import drive_recorded

        return drive_recorded(chosen.address)
    if chosen.in_graph:
        from dovetail.execution.graph_worker import run_node

        return int(run_node(chosen.address, chosen.invocation))
    from dovetail.execution.worker_elsewhere import run_step

    return int(run_step(chosen.address, chosen.invocation, chosen.attempt))


if __name__ == "__main__":
    try:
        sys.exit(main())
    except DovetailError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)
