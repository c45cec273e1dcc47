"""Every error a person may see: what happened, where, and what to do about it."""


class EngineError(Exception):
    """A failure told in one sentence, with a hint of what to do.

    `message` names the file or thing and what is wrong with it; `hint` says what to do and may
    be empty. `details` is for the log and the Details button only.
    """

    def __init__(self, message: str, hint: str = "", details: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.details = details


class MediaError(EngineError):
    """A picture, video or sound file cannot be read."""


class OutputError(EngineError):
    """A result cannot be written."""


class ProjectError(EngineError):
    """A project file cannot be read, or is not valid."""


class EditError(EngineError):
    """An edit cannot be done as asked; the sequence is unchanged."""


class EffectError(EngineError):
    """An effect, engine or parameter does not exist or is out of range."""


class WeightsError(EngineError):
    """A weights file is missing, damaged or of another model."""


class OutOfMemory(EngineError):
    """Not enough memory for the job under its present plan."""


class WorkerError(EngineError):
    """A background process could not be started, or ended without an answer."""


class Cancelled(Exception):
    """The person cancelled the job."""
