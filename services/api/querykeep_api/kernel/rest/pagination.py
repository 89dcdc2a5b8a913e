"""Pages: ``{"results": [...], "next": url|null, "previous": url|null}`` with cursors."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from rest_framework.pagination import CursorPagination
from rest_framework.request import Request
from rest_framework.response import Response

from querykeep_api.kernel.errors import InvalidInput


class KeysetPagination(CursorPagination):
    """Cursor paging that is steady while rows come and go; ties are broken by id."""

    page_size = 50
    max_page_size = 1000
    page_size_query_param = "limit"
    cursor_query_param = "cursor"
    page_size_query_description = "Entries on a page, at most 1000 (50 where it is left out)."
    cursor_query_description = "Where the page begins: taken from `next` or `previous`."
    ordering = ("-id",)

    def get_ordering(self, request: Request, queryset: QuerySet[Any], view: Any) -> tuple[str, ...]:
        """Return the view's ordering with the id as the last key."""
        ordering = tuple(super().get_ordering(request, queryset, view))
        if not any(name.lstrip("-") in ("id", "pk") for name in ordering):
            last = ordering[-1] if ordering else ""
            ordering = (*ordering, "-id" if last.startswith("-") else "id")
        return ordering

    def paginate_queryset(
        self, queryset: Any, request: Request, view: Any = None
    ) -> list[Any] | None:
        """Return the page; a cursor whose place is no value of the ordering is an error."""
        try:
            return super().paginate_queryset(queryset, request, view)
        except (ValidationError, ValueError, OverflowError) as error:
            raise InvalidInput(
                "cursor: not a cursor of this list", fields={"cursor": ["not of this list"]}
            ) from error

    def get_paginated_response(self, data: Any) -> Response:
        """Return the page."""
        return Response(
            OrderedDict(results=data, next=self.get_next_link(), previous=self.get_previous_link())
        )

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        """Return the OpenAPI shape of a page."""
        link = {"type": ["string", "null"], "format": "uri"}
        return {
            "type": "object",
            "required": ["results", "next", "previous"],
            "properties": {
                "results": schema,
                "next": link,
                "previous": link,
            },
        }
