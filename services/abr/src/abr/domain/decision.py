"""Decide for one viewer: a policy's choice, held to the ladder and the viewer's cap."""

from __future__ import annotations

from abr.domain.view import Choice, Policy, View


def decide(policy: Policy, view: View) -> Choice:
    """Ask a policy; whatever it answers, never leave the ladder or pass the viewer's cap."""
    choice = policy.choose(view)
    allowed = min(max(choice.rung, 0), view.cap, len(view.ladder) - 1)
    if allowed == choice.rung:
        return choice
    return Choice(rung=allowed, reason=f"{choice.reason}; held to what this viewer may be given")
