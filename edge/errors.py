"""Every error that Wheatear raises on purpose.

WheatearError
├── ConfigError       a configuration, card or option says something impossible
│   ├── SpecError     a front-end spec that cannot be computed
│   └── CardError     a model folder that cannot be trusted or run
├── SourceError       no sound can be had from where it was asked for
├── EngineError       an inference runtime is missing, or refused a graph
├── JournalError      the journal cannot be opened, read or written
├── ClipError         a clip cannot be kept
├── ServiceError      the system's service cannot be installed, started or removed
├── StoppedError      nothing is left to run
└── WireError         a socket cannot be bound, reached or understood

A message says what was expected, what came, where, and what to do. The CLI prints it as one line and exits with
``exit_code``: 2 for bad input, 1 for a failure in operation.
"""

from __future__ import annotations


class WheatearError(Exception):
    """Base of all errors that a user can do something about."""

    exit_code = 2


class ConfigError(WheatearError):
    """A configuration, card or option says something impossible."""


class SpecError(ConfigError):
    """A front-end spec that cannot be computed."""


class CardError(ConfigError):
    """A model folder that cannot be trusted or run."""


class SourceError(WheatearError):
    """No sound can be had from where it was asked for."""


class EngineError(WheatearError):
    """An inference runtime is missing, or refused a graph."""


class JournalError(WheatearError):
    """The journal cannot be opened, read or written."""


class ClipError(WheatearError):
    """A clip cannot be kept."""


class ServiceError(WheatearError):
    """The system's service cannot be installed, started or removed."""

    exit_code = 1


class WireError(WheatearError):
    """A socket cannot be bound, reached or understood."""


class StoppedError(WheatearError):
    """Nothing is left to run: a stream failed again and again, or several ended with errors."""

    exit_code = 1
