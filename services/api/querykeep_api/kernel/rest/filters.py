"""``?search=``, ``?ordering=``, filters by id or name; an unknown parameter is an error."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from django.db.models import Q, QuerySet
from django.utils.dateparse import parse_datetime
from rest_framework.filters import BaseFilterBackend, OrderingFilter, SearchFilter
from rest_framework.request import Request

from querykeep_api.kernel.errors import InvalidInput

Condition = Callable[[str], Q]
SEARCH_WORDS = 30
FILTER_VALUES = 100
"""Each is a condition of the query: what databases take is bounded, and so is their patience."""
PAGE_PARAMETERS = frozenset({"search", "ordering", "cursor", "limit", "format"})


def by(*lookups: str) -> Condition:
    """Match any of the lookups, such as ``by("connection_id", "connection__name")``."""

    def condition(value: str) -> Q:
        found = Q()
        for lookup in lookups:
            found |= Q(**{lookup: value})
        return found

    return condition


def flag(lookup: str) -> Condition:
    """Match a boolean field by ``true`` or ``false``."""

    def condition(value: str) -> Q:
        if value.lower() not in ("true", "false"):
            raise ValueError("true or false")
        return Q(**{lookup: value.lower() == "true"})

    return condition


def moment(lookup: str) -> Condition:
    """Match a time field by RFC 3339 text, with a lookup such as ``at__gte``."""
    return lambda value: Q(**{lookup: read_moment(value)})


def read_moment(value: str) -> datetime:
    """Parse RFC 3339 text with a zone (a ``+`` may have become a space on the way)."""
    try:
        parsed = parse_datetime(value.replace(" ", "+") if "T" in value else value)
    except ValueError:  # of the right form, such as the 31st of February
        parsed = None
    if parsed is None or parsed.tzinfo is None:
        raise ValueError("a time as RFC 3339 text with its zone, such as 2026-01-31T09:00:00Z")
    try:
        return parsed.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("a time between the years 1 and 9999 UTC") from error


class FieldFilter(BaseFilterBackend):
    """Applies the view's ``filter_conditions``. A parameter that nobody reads would widen a list
    silently, so it is refused; views name further ones in ``extra_parameters``."""

    def filter_queryset(
        self, request: Request, queryset: QuerySet[Any], view: Any
    ) -> QuerySet[Any]:
        """Return the rows that match every given filter."""
        conditions: Mapping[str, Condition] = getattr(view, "filter_conditions", {})
        extra: Sequence[str] = getattr(view, "extra_parameters", ())
        for name in request.query_params:
            if name in conditions:
                values = request.query_params.getlist(name)
                queryset = queryset.filter(_any(name, conditions[name], values))
            elif name not in PAGE_PARAMETERS and name not in extra:
                known = ", ".join(sorted({*conditions, *extra, "search", "ordering", "limit"}))
                raise InvalidInput(
                    f"unknown parameter {name!r}; known are: {known}",
                    fields={name: ["unknown parameter"]},
                )
        return queryset

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        """Describe the filters in the schema."""
        names = [*getattr(view, "filter_conditions", {})]
        return [
            {"name": name, "in": "query", "required": False, "schema": {"type": "string"}}
            for name in names
        ]


def _any(name: str, condition: Condition, values: list[str]) -> Q:
    if len(values) > FILTER_VALUES:
        text = f"given at most {FILTER_VALUES} times"
        raise InvalidInput(f"{name}: {text}", fields={name: [text]})
    found = Q()
    for value in values:
        try:
            found |= condition(value)
        except ValueError as error:
            raise InvalidInput(
                f"{name}: expected {error}", fields={name: [f"expected {error}"]}
            ) from error
    return found


class TextSearch(SearchFilter):
    """``?search=`` over the view's ``search_fields``, without regard to case."""

    search_description = (
        f"At most {SEARCH_WORDS} words, which must all stand in the entry's texts, in any case."
    )

    def get_search_terms(self, request: Request) -> list[str]:
        """Return the words; raises InvalidInput for too many."""
        words: list[str] = list(super().get_search_terms(request))
        if len(words) > SEARCH_WORDS:
            raise InvalidInput(
                f"search: at most {SEARCH_WORDS} words",
                fields={"search": [f"at most {SEARCH_WORDS} words"]},
            )
        return words


class Ordering(OrderingFilter):
    """``?ordering=`` over the view's ``ordering_fields``; any other name is an error."""

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        """Describe the parameter in the schema."""
        offered = ", ".join(sorted(getattr(view, "ordering_fields", ()) or ()))
        description = f"One of {offered}, with `-` before it for descending; several with commas."
        return [
            {
                "name": "ordering",
                "in": "query",
                "required": False,
                "description": description,
                "schema": {"type": "string"},
            }
        ]

    def remove_invalid_fields(
        self, queryset: QuerySet[Any], fields: Iterable[str], view: Any, request: Request
    ) -> list[str]:
        """Return the fields, or raise for one that the view does not offer."""
        offered = set(getattr(view, "ordering_fields", ()) or ())
        names: Mapping[str, str] = getattr(view, "ordering_names", {})
        chosen: list[str] = []
        for field in fields:
            name = field.strip().lstrip("-")
            if name not in offered:
                raise InvalidInput(
                    f"ordering: {name!r} is none of {', '.join(sorted(offered)) or '(nothing)'}",
                    fields={"ordering": [f"unknown field {name!r}"]},
                )
            if any(names.get(name, name) == other.lstrip("-") for other in chosen):
                raise InvalidInput(
                    f"ordering: {name!r} is named twice", fields={"ordering": ["named twice"]}
                )
            sign = "-" if field.strip().startswith("-") else ""
            chosen.append(sign + names.get(name, name))
        return chosen
