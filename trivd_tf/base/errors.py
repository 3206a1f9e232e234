"""The two kinds of errors that the command line distinguishes."""


class InputError(Exception):
    """Invalid user input: a file, a flag, a configuration or a tensor.

    The message is one line that names the input, what was received and what to use instead. The
    command prints it on stderr and exits with status 2.
    """


class RunError(Exception):
    """The run failed despite valid input: full disk, lost server, diverged training.

    The command prints the one-line message on stderr and exits with status 1.
    """
