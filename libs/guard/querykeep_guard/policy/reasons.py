"""Why a statement may not run, as a code with arguments: the one catalogue of both.

The text of a refusal is English, on the wire and in the audit log. Whoever speaks another language
(the web UI) takes code and arguments and words them himself. ``REASONS`` names every code with its
arguments and what it means; arguments are names of objects, rules and clauses, never values. Codes
and arguments are only ever added.
"""

from __future__ import annotations

from collections.abc import Mapping

from querykeep_guard.contracts.audit import Reason
from querykeep_guard.contracts.policy import AccessRule, MaskingRule, StatementRule

__all__ = ["REASONS", "Reason", "rule_arguments"]

_RULE = ("rule", "rule_code")

REASONS: Mapping[str, tuple[tuple[str, ...], str]] = {
    # --- what the analyzer could not prove
    "syntax": (("detail",), "the text cannot be parsed; detail says where and what"),
    "schema_not_known": (("connection", "detail"), "no current catalog is at hand"),
    "statement_unknown": ((), "this kind of statement is not understood"),
    "unknown_relation": (("object", "detail"), "the catalog has no such table or view"),
    "unknown_column": (("object", "detail"), "the catalog has no such column"),
    "unknown_function": (("object", "detail"), "a function that is not known to be harmless"),
    "unsupported": (("object", "detail"), "something that is not analysed, and so refused"),
    "ambiguous": (("object", "detail"), "a name that may mean several things"),
    "too_complex": (("object", "detail"), "too large or too deeply nested to judge"),
    "unsafe": (("object", "detail"), "something that reaches around what rules can see"),
    "stale_catalog": (("object", "detail"), "the schema moved and was not read again yet"),
    # --- grants
    "no_grant_now": (("connection",), "no grant on the connection holds now"),
    "kind_not_granted": (("kind", "privileges", "object"), "the privileges held lack this kind"),
    "object_not_granted": (("kind", "object"), "no grant covers this object"),
    "needs_whole_grant": (("detail",), "only a grant over everything allows this"),
    # --- rules
    "table_refused": (("object", *_RULE), "an access rule refuses the table"),
    "column_refused": (("object", *_RULE), "an access rule refuses the column"),
    "column_use_refused": (
        ("object", "clause", "view", *_RULE),
        "a masked column may not stand in this clause; view is where it comes through, or empty",
    ),
    "column_copy_refused": (("object", *_RULE), "a masked column may not be copied by a write"),
    "column_expression_refused": (
        ("object", *_RULE),
        "a masked column may be shown only as it is, not inside this expression",
    ),
    "column_not_maskable": (("object", "detail", *_RULE), "the rule's masker does not fit"),
    "kind_refused_on_masked": (
        ("kind", "object", "detail", *_RULE),
        "this kind of statement is refused on a table with masked columns",
    ),
    "placeholder_written": (("object", *_RULE), "the value written looks like the mask itself"),
    "statement_refused": (("detail", "object", *_RULE), "a statement rule refuses it"),
    "approval_needed": (("detail", *_RULE), "a statement rule asks for an approval first"),
    "reason_needed": (("detail", *_RULE), "a statement rule asks for a reason first"),
    "refused": (("detail",), "refused for a reason that has no code of its own"),
}


def rule_arguments(rule: MaskingRule | AccessRule | StatementRule) -> dict[str, str]:
    """Return the arguments that name a rule."""
    return {"rule": rule.name, "rule_code": rule.code}
