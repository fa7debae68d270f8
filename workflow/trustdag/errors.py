"""What a user did or met that they can mend: shown in one or two lines, without a traceback."""


class UserError(Exception):
    """An error with a message that names the file, key or line, the value, and the mend.

    The command line prints it as it is and exits with 2. Anything else that is raised is a bug and keeps its
    traceback.
    """


def first_line(error: BaseException) -> str:
    """The first line of an error's message, at most 200 characters; the error's type where it has no message."""
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__
