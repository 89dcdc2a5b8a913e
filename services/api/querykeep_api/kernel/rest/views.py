"""The one viewset that resources are made of."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from django.db import transaction
from django.db.models import Model, QuerySet
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer
from rest_framework.viewsets import GenericViewSet

from querykeep_api.kernel.errors import NotFound, PreconditionFailed
from querykeep_api.kernel.ids import ID_LENGTH
from querykeep_api.kernel.models import Record
from querykeep_api.kernel.permissions import Declared
from querykeep_api.kernel.principal import Principal, principal_of
from querykeep_api.kernel.rest.filters import Condition


class ResourceView(GenericViewSet[Any]):
    """List, read, create, change and delete one kind of record.

    A resource says which rows are in reach (``get_queryset``), which permission each action needs
    (``permissions``), and does its writes through ``do_*`` in ``on_create``, ``on_update`` and
    ``on_delete``. PUT, PATCH and DELETE take ``If-Match``; the row is locked from that check to the
    write, so that nobody's change is lost.
    """

    permissions: ClassVar[Declared] = {}
    filter_conditions: ClassVar[Mapping[str, Condition]] = {}
    extra_parameters: ClassVar[tuple[str, ...]] = ()
    ordering_fields: ClassVar[tuple[str, ...]] = ("created_at",)
    search_fields: ClassVar[tuple[str, ...]] = ()
    http_method_names = ["get", "post", "put", "patch", "delete", "head"]  # noqa: RUF012 - Django's own form
    # Any text: who has no credentials is told that, also for what cannot be an id.
    lookup_value_regex = "[^/]+"
    id_pattern: ClassVar[re.Pattern[str]] = re.compile(f"[0-9a-z]{{{ID_LENGTH}}}")

    @property
    def principal(self) -> Principal:
        """Who asks."""
        return principal_of(self.request)

    def list(self, request: Request) -> Response:
        """Return a page."""
        page = self.paginate_queryset(self.filter_queryset(self.get_queryset()))
        serializer = self.get_serializer(page, many=True)
        return self.get_paginated_response(serializer.data)

    def retrieve(self, request: Request, pk: str) -> Response:
        """Return one entry with its entity tag."""
        return self.entry(self.access(pk))

    def create(self, request: Request) -> Response:
        """Make an entry."""
        serializer = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        with transaction.atomic():
            made = self.on_create(serializer.validated_data)
        return self.entry(self.access(made.pk), status.HTTP_201_CREATED, extra=self.once(made))

    def update(self, request: Request, pk: str) -> Response:
        """Replace what may be written of an entry."""
        return self._change(request, pk, partial=False)

    def partial_update(self, request: Request, pk: str) -> Response:
        """Change some fields of an entry."""
        return self._change(request, pk, partial=True)

    def destroy(self, request: Request, pk: str) -> Response:
        """Delete an entry."""
        with transaction.atomic():
            record = self.access(pk, lock=True)
            check_match(request, record)
            self.on_delete(record)
        return Response(status=status.HTTP_204_NO_CONTENT)

    def access(self, pk: str, *, lock: bool = False) -> Any:
        """Return the entry of an id that is in reach, locked if asked; raises NotFound."""
        queryset: QuerySet[Any] = self.get_queryset()
        if not self.id_pattern.fullmatch(pk):
            raise NotFound("There is no such entry, or it is out of your reach.")
        if lock:
            lock_row(queryset.model, pk)
        found = queryset.filter(pk=pk).first()
        if found is None:
            raise NotFound("There is no such entry, or it is out of your reach.")
        return found

    def act(self, request: Request, pk: str, action: Callable[[Any], Any]) -> Any:
        """Run ``action(record)`` on a locked entry in one transaction and return its result."""
        with transaction.atomic():
            record = self.access(pk, lock=True)
            check_match(request, record)
            return action(record)

    def entry(
        self, record: Any, code: int = status.HTTP_200_OK, extra: Mapping[str, Any] | None = None
    ) -> Response:
        """Return the answer that shows one entry."""
        data = {**self.get_serializer(record).data, **(extra or {})}
        headers = {"ETag": f'"{record.etag}"'} if isinstance(record, Record) else {}
        return Response(data, status=code, headers=headers)

    def once(self, made: Any) -> Mapping[str, Any]:
        """Return what only the answer to POST shows (a new secret)."""
        return {}

    def on_create(self, data: Mapping[str, Any]) -> Model:
        """Make the entry; inside a transaction."""
        raise NotImplementedError

    def on_update(self, record: Any, data: Mapping[str, Any]) -> None:
        """Change the entry; inside a transaction, the row locked."""
        raise NotImplementedError

    def on_delete(self, record: Any) -> None:
        """Delete the entry; inside a transaction, the row locked."""
        raise NotImplementedError

    def _change(self, request: Request, pk: str, *, partial: bool) -> Response:
        with transaction.atomic():
            record = self.access(pk, lock=True)
            check_match(request, record)
            serializer: BaseSerializer[Any] = self.get_serializer(
                record, data=request.data, partial=partial
            )
            serializer.is_valid(raise_exception=True)
            self.on_update(record, serializer.validated_data)
        return self.entry(self.access(pk))


def lock_row(model: type[Model], pk: str) -> None:
    """Lock one row until the transaction ends (SQLite: the transaction holds the write lock)."""
    model._base_manager.select_for_update().filter(pk=pk).values_list("pk").first()


def check_match(request: Request, record: Any) -> None:
    """Raise PreconditionFailed when ``If-Match`` names another revision than the present one."""
    given = request.META.get("HTTP_IF_MATCH", "")
    if not given:
        return
    tags = {tag.strip().removeprefix("W/").strip('"') for tag in given.split(",")}
    if "*" not in tags and record.etag not in tags:
        raise PreconditionFailed(
            "The entry was changed since you read it. Read it again, then repeat your change."
        )
