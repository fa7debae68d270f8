"""What a user did or met that they can mend: shown in one or two lines, without a traceback."""


class UserError(Exception):
    """An error with a message that names the file, key or line, the value, and the mend.

    The command line prints it as it is and exits with 2. Anything else that is raised is a bug and keeps its
    traceback.
    """
