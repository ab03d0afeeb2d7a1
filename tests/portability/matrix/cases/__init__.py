"""The cases: each runs pipelines of `project/` on a site, and says what a user relies on.

A further case is one more function with `@case("its title")` in one of these modules. On every backend it must pass, and
the records of all that it ran must be those of the local reference.
"""

from __future__ import annotations

from matrix.cases import graphs, failures, caching, values, records, settings  # in the order of the table
from matrix.cases.registered import CASES, Case

__all__ = ["CASES", "Case", "caching", "failures", "graphs", "records", "settings", "values"]
