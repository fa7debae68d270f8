"""What the libraries print is kept to what a person needs."""


def hide_library_messages() -> None:
    """No progress bars of the libraries' own (we print lines that also read well in a log file), errors only."""
    import warnings

    from datasets.utils.logging import disable_progress_bar
    from transformers.utils import logging

    disable_progress_bar()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    for library in ("transformers", "trl", "peft"):  # what they deprecate between themselves is not the user's to mend
        warnings.filterwarnings("ignore", category=FutureWarning, module=library)
