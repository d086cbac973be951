"""What can go wrong that the user can do something about; every message is one line that says what.

Here without torch, which takes seconds to import, so that the program's first process need not: only those that train do.
"""


class DataError(ValueError):
    """Something about the data that stops the run."""


class NetworkError(ValueError):
    """A network that does not exist or does not fit the images."""


class TrainingError(RuntimeError):
    """Training that cannot go on."""


class TaskError(RuntimeError):
    """A task that failed or whose process died."""


class RankError(ValueError):
    """A training that cannot be shared by so many processes."""
