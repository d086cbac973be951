"""What can go wrong that the user can do something about; every message is one line that says what to do."""


class UserError(Exception):
    """A mistake in the settings, the data or the surroundings that the user can correct. The message is one line."""


class Diverged(UserError):
    """The loss is NaN or infinite: the same training would fail again in the same way."""
