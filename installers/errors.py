"""What a person is told when the set-up cannot go on."""


class SetupError(Exception):
    """One or two sentences: what is wrong, and what to do. Printed as they are."""
