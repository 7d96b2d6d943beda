"""What goes wrong in a run, by what the caller can do about it."""


class UserError(Exception):
    """The command, the workflow or an input file is wrong: exit code 2."""


class RunError(Exception):
    """A node failed, or an output could not be written: exit code 1."""
