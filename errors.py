"""The errors that livem raises on purpose.

Each message names the object, the value, the limit and the next step. ``exit_code`` is what the
command line ends with when the error reaches it.
"""

from __future__ import annotations


class LivemError(Exception):
    """Base of every error raised on purpose: a run that failed."""

    exit_code = 1


class UsageError(LivemError):
    """A wrong option, file, address or parameter: the user can mend it."""

    exit_code = 2


class PipelineError(UsageError):
    """A pipeline file or a consumer's parameters that make no sense."""


class ModelError(PipelineError):
    """A model that is not in the store, is refused, does not fit the series, or failed."""


class SourceError(UsageError):
    """A SOURCE that cannot be understood, opened or bound."""


class MissingDependencyError(UsageError):
    """An optional package or a system library that is not there; the message says how to get it."""


class SessionError(LivemError):
    """A session that could not start or go on."""


class NoAnswerError(SessionError):
    """Nobody answered in time: a session that is gone, or one that is slow."""


class RingError(LivemError):
    """The shared-memory ring was used against its contract, or cannot be made."""


class LeaseExpiredError(RingError):
    """A slot was used after its lease had ended."""


class UnauthorisedBindError(UsageError):
    """A bind beyond this machine without keys, and without the explicit ``--insecure-bind``."""


class ResultError(LivemError):
    """A result that its consumer made against the contract, so that the bus cannot carry it."""


class DeviceFaultError(LivemError):
    """A GPU failed and is of no use to this process any more: the process ends, and a new one goes on."""
