"""Errors that a person or a script sees, each with a code that does not change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


class ApiError(Exception):
    """Base: becomes RFC 9457 problem+json. ``detail`` says what, where, why and what next."""

    status = 400
    code = "invalid"
    title = "The request cannot be carried out"

    def __init__(
        self,
        detail: str,
        *,
        code: str | None = None,
        fields: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        if code is not None:
            self.code = code
        self.fields = {name: list(texts) for name, texts in (fields or {}).items()}


class InvalidInput(ApiError):
    """Fields of the body or query are wrong; ``fields`` says which and why."""

    title = "Some of the input is not valid"


class NotSignedIn(ApiError):
    """No credentials, or credentials that do not hold."""

    status = 401
    code = "not_signed_in"
    title = "Sign in first"


class Forbidden(ApiError):
    """A role or scope is lacking, or a rule of Querykeep itself says no."""

    status = 403
    code = "forbidden"
    title = "Not allowed"


class NotFound(ApiError):
    """No such object, or out of reach: the two are not told apart."""

    status = 404
    code = "not_found"
    title = "Not found"


class Conflict(ApiError):
    """The object's state does not allow it."""

    status = 409
    code = "conflict"
    title = "Conflict with the present state"


class PreconditionFailed(ApiError):
    """``If-Match`` does not name the present revision: someone changed it meanwhile."""

    status = 412
    code = "changed_meanwhile"
    title = "Changed by someone else meanwhile"


class LengthNeeded(ApiError):
    """A body in chunks: the server's interface does not tell where it ends."""

    status = 411
    code = "length_needed"
    title = "The length of the body is missing"


class TooLarge(ApiError):
    """The body is longer than is read; nothing of it was."""

    status = 413
    code = "too_large"
    title = "The body is too large"


class TooManyTries(ApiError):
    """Rate limit; ``detail`` says when to try again."""

    status = 429
    code = "too_many_tries"
    title = "Too many tries"


class Unavailable(ApiError):
    """A part that is needed does not answer."""

    status = 503
    code = "unavailable"
    title = "A part is not available"
