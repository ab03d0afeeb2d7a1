"""The year as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matplotlib.figure import Figure

_COLOURS = {"first model": "#4c566a", "kept": "#8fbc8f", "replaced": "#2e6f9e", "not replaced": "#d08770"}
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def figure_of_year(months: Sequence[dict[str, Any]], most_drift: float) -> Figure:
    """Above, the share of features that drifted; in the middle, how well the model in service told late from punctual, and where one was
    trained to replace it, both on the days that were held back; below, what was decided and which version served afterwards."""
    figure = Figure(figsize=(9, 7), layout="constrained")
    above, middle, below = figure.subplots(3, 1, sharex=True, height_ratios=(2, 3, 1))
    places = [told["month"] for told in months]
    _draw_drift(above, months, most_drift)
    _draw_scores(middle, months)
    _draw_decisions(below, months)
    below.set_xticks(places, [_MONTHS[place - 1] for place in places])
    below.set_xlim(0.4, max(places) + 0.6)
    figure.suptitle("A year of flights from New York: drift, score and decisions", x=0.01, ha="left", fontweight="bold")
    return figure


def _draw_drift(axes: Any, months: Sequence[dict[str, Any]], most: float) -> None:
    watched = [told for told in months if told.get("drifted_share") is not None]
    colours = ["#bf616a" if told["drifted_share"] >= most else "#a3b8cc" for told in watched]
    axes.bar([told["month"] for told in watched], [100 * told["drifted_share"] for told in watched], color=colours, width=0.6)
    axes.axhline(100 * most, color="#bf616a", linewidth=1, linestyle="--")
    axes.annotate("limit", (0.45, 100 * most), color="#bf616a", va="bottom", fontsize=8)
    axes.set_ylabel("features\nthat drifted (%)")
    axes.set_ylim(0, max(100 * most * 1.3, *(105 * told["drifted_share"] for told in watched), 1))


def _draw_scores(axes: Any, months: Sequence[dict[str, Any]]) -> None:
    for key, label, style in (
        ("auc", "in service, on the month's flights", {"color": "#2e3440", "marker": "o"}),
        ("candidate_auc", "new one, on the month's last days", {"color": "#2e6f9e", "marker": "D", "linestyle": ""}),
        ("auc_to_beat", "in service, on the same last days", {"color": "#2e6f9e", "marker": "D", "linestyle": "", "markerfacecolor": "white"}),
    ):
        known = [(told["month"], told[key]) for told in months if told.get(key) is not None]
        if known:
            axes.plot(*zip(*known, strict=True), label=label, **style)
    axes.set_ylabel("AUC")
    axes.grid(axis="y", alpha=0.3)
    axes.legend(loc="best", frameon=False, fontsize=9)


def _draw_decisions(axes: Any, months: Sequence[dict[str, Any]]) -> None:
    for told in months:
        axes.bar(told["month"], 1, width=0.92, color=_COLOURS[told["decision"]])
        axes.annotate(f"{told['decision']}\nv{told['version']}", (told["month"], 0.5), ha="center", va="center", color="white", fontsize=8)
    axes.set_yticks([])
    axes.set_ylabel("decision,\nin service")
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
