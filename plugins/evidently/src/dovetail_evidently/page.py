"""Evidently's page, in which the data are text and nothing else."""

from __future__ import annotations


def inert(page: str) -> str:
    """Names and values of the data lie in its first script as JSON, unescaped, where `</script>` in one of them would begin a script of its own.

    "" for a page that is not made so, which is not to be shown then.
    """
    head, begin, rest = page.partition("<script>")
    data, end, tail = rest.partition("\n</script>")  # JSON has no line breaks in its texts
    if not (end and data.lstrip().startswith("var metric_")):
        return ""
    return head + begin + data.replace("<", "\\u003c") + end + tail
