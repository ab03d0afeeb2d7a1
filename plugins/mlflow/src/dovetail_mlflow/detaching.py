"""Starts a command that outlives whoever started it: `python -m dovetail_mlflow.detaching COMMAND …` prints its process id.

It gets a session of its own, and is nobody's child: neither a signal to the terminal nor the end of its parent reaches it.
"""

from __future__ import annotations

import os
import sys


def main() -> None:
    told, tell = os.pipe()
    child = os.fork()
    if child:
        os.close(tell)
        with os.fdopen(told) as ready:
            ready.read()  # closed by exec, or with the child
        sys.stdout.write(f"{child}\n")
        sys.stdout.flush()
        os._exit(0)
    os.setsid()
    os.dup2(2, 1)
    os.execvp(sys.argv[1], sys.argv[1:])  # noqa: S606  # the command is the deployer's own


if __name__ == "__main__":
    main()
