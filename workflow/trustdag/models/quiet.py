"""What the libraries print is kept to what a person needs."""


def quiet() -> None:
    """No progress bars of the libraries' own (we print lines that also read well in a log file), errors only."""
    from datasets.utils.logging import disable_progress_bar
    from transformers.utils import logging

    disable_progress_bar()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
