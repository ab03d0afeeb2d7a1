"""From a graph and a stack to a plan: what would run, what is cached, and why."""
