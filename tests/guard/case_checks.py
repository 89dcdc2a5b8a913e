"""A policy case on real servers: twins see the same, and the case is not vacuous.

Allowed: the governed answer is the same in both databases, and the same as without the guard.
Masked: the same in both databases, though without the guard they differ.
Refused: refused in both with the same text, and let through it would differ (or the case says why
it cannot).
"""

from __future__ import annotations

from tests.guard.policy_cases import PolicyCase
from tests.guard.twin_runner import Twins, World, bare_difference, governed_answers, observe

_UNREAD = ("syntax", "read with certainty")
"""A text that cannot be cut or parsed gets the engine's own code for that."""


def check_on_server(case: PolicyCase, twins: Twins) -> str:
    """Return what is wrong with a case on real servers; empty when it holds."""
    program = (*case.before, case.statement)
    road = twins.roads[0]
    told, answers = governed_answers(twins, program, road)
    if told:
        return f"the twins are told apart: {told[0]}"
    seen = answers[-1]
    if case.verdict == "refused":
        is_unread = any(word in case.because for word in _UNREAD)
        if seen.verdict != "refused" and not is_unread:
            return f"the session answered {seen.verdict}, not refused: {seen.data[:300]!r}"
        if case.because.lower().encode() not in seen.data.lower():
            return f"refused with another text: {seen.data[:600]!r}"
    elif case.fails:
        if seen.verdict != "failed" or case.fails.encode() not in seen.data:
            return f"it should fail with the server's own text: {seen.verdict} {seen.data[:600]!r}"
    elif seen.verdict != "ok":
        return f"it should run, but was {seen.verdict}: {seen.data[:600]!r}"
    if case.verdict == "allowed":
        bare = observe(twins, World.HERE, road, program, governed=False)[-1]
        if case.fails and case.fails.encode() not in bare.data:
            return ""  # The guard's own words in place of the server's.
        if not seen.as_let_through().same_as(bare.as_let_through(), program):
            return f"the guard changed an answer with nothing to hide: {seen.data!r} {bare.data!r}"
        there = observe(twins, World.THERE, road, program, governed=False)[-1]
        alike = bare.as_let_through().same_as(there.as_let_through(), program)
        if not case.relax and not alike:
            return "it shows what is hidden, and was allowed"
        return ""
    if case.unsteady:
        return ""
    shown = bare_difference(twins, (*program, *case.shown_by), road)
    if shown and case.alike:
        return f"it does differ, though the case says that it cannot: {case.alike}"
    if not shown and not case.alike:
        return "vacuous: let through, it does not tell the databases apart"
    return ""
