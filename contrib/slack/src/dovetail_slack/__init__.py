"""Declares the alerter flavor `slack`."""

from __future__ import annotations

from collections.abc import Sequence

from dovetail.plugin import FlavorSpec, hookimpl


@hookimpl
def dovetail_alerters() -> Sequence[FlavorSpec]:
    return [FlavorSpec("slack", "dovetail_slack.alerter:SlackAlerter", help="Posts to a Slack channel by an incoming webhook.")]
