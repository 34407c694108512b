"""Every error that tilewise raises on purpose.

TilewiseError
├── ConfigError      a setting that cannot hold
├── SourceError      a file, URL or picture that cannot be read as pages
├── PromptError      a question or conversation that cannot be put to a reader
├── DataError        samples for training that cannot be read, or too many bad ones
├── WeightsError     a checkpoint that is missing, damaged or of another kind
├── TrainingError    a training run that cannot start or go on
└── MissingExtraError  an optional part that is not installed

A message is one sentence or two: what is wrong, the value, what is allowed, what to do.
"""


class TilewiseError(Exception):
    """Root of all errors raised on purpose; its text is fit to show to a user."""


class ConfigError(TilewiseError):
    """A setting that cannot hold."""


class SourceError(TilewiseError):
    """A source that cannot be read as pages."""


class PromptError(TilewiseError):
    """A question that cannot be put to a reader."""


class DataError(TilewiseError):
    """Samples for training that cannot be read, or too many bad ones among them."""


class WeightsError(TilewiseError):
    """Weights that are missing, damaged or of another kind."""


class TrainingError(TilewiseError):
    """A training run that cannot start or go on."""


class MissingExtraError(TilewiseError):
    """An optional part that is not installed; the text names what to install."""
