"""The two kinds of failure that the command line distinguishes."""


class InputError(Exception):
    """What the user gave is at fault: a file, a flag, a configuration, a tensor.

    The message is one line that names the input, says what was received and what to use instead.
    The command prints it on stderr and exits with status 2.
    """


class RunError(Exception):
    """The run failed although its input was fine: full disk, lost server, diverged training.

    The command prints the message, one line, on stderr and exits with status 1.
    """
