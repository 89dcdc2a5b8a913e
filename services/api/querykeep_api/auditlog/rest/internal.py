"""``POST /internal/v1/audit/records``: where enforcement points hand in their spools."""

from __future__ import annotations

from typing import ClassVar

from rest_framework.parsers import JSONParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from querykeep_api.auditlog.ingest import RefusedRecordError, ingest
from querykeep_api.kernel import clock
from querykeep_api.kernel.errors import InvalidInput, TooLarge
from querykeep_api.kernel.service_auth import IsService, Service, ServiceAuthentication
from querykeep_guard.contracts.audit import SpoolRecord
from querykeep_guard.contracts.codec import ContractError, from_json

LIMIT_BYTES = 512 * 1024 * 1024
"""Largest body: two records of the largest frame. The sender keeps batches far smaller, but one
statement of 64 MB, escaped, must pass: an event is never dropped for its size."""
LIMIT_RECORDS = 5000


class RecordsView(APIView):
    """Takes batches of records; answers how far each spool may trim."""

    authentication_classes = (ServiceAuthentication,)
    parser_classes = (JSONParser,)  # texts of clients, whatever they hold
    permission_classes = (IsService,)
    services: ClassVar[tuple[str, ...]] = ("proxy", "middleware")

    def post(self, request: Request) -> Response:
        """Store a batch. Sending it again changes nothing."""
        length = int(request.META.get("CONTENT_LENGTH") or 0)
        if length > LIMIT_BYTES:
            raise TooLarge(f"{length} bytes; a batch has at most {LIMIT_BYTES}")
        data = request.data
        if not isinstance(data, dict) or not isinstance(data.get("records"), list):
            raise InvalidInput("expected {ep, records: [...]}", fields={"records": ["a list"]})
        ep = data.get("ep")
        if not isinstance(ep, str) or not ep:
            raise InvalidInput("ep: which process sends this", fields={"ep": ["text"]})
        if len(data["records"]) > LIMIT_RECORDS:
            raise TooLarge(f"{len(data['records'])} records; at most {LIMIT_RECORDS}")
        try:
            records = [from_json(SpoolRecord, item) for item in data["records"]]
        except ContractError as error:
            raise InvalidInput(f"records: {error}", fields={"records": [str(error)]}) from error
        service = request.auth
        assert isinstance(service, Service)
        try:
            done = ingest(records, service=service.name, ep=ep, now=clock.now())
        except RefusedRecordError as error:
            raise InvalidInput(f"records: {error}", fields={"records": [str(error)]}) from error
        return Response({"acknowledged": done})
