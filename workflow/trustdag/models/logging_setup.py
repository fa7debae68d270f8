"""Reduces the output of the libraries to what a user needs."""


def hide_library_messages() -> None:
    """Turns off the libraries' progress bars and all their messages but errors."""
    import warnings

    from datasets.utils.logging import disable_progress_bar
    from transformers.utils import logging

    disable_progress_bar()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    for library in ("transformers", "trl", "peft"):  # FutureWarnings that these libraries raise about each other
        warnings.filterwarnings("ignore", category=FutureWarning, module=library)
