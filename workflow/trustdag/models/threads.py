"""Number of threads of PyTorch. Imports torch only when it is called."""

import os


def use_threads() -> int:
    """Makes PyTorch use OMP_NUM_THREADS threads if that is set. Returns the number of threads.

    By default PyTorch uses at most as many threads as MKL finds cores, and results would depend on the machine.
    """
    import torch

    wanted = os.environ.get("OMP_NUM_THREADS", "")
    if wanted.isdecimal() and int(wanted) > 0 and int(wanted) != torch.get_num_threads():
        torch.set_num_threads(int(wanted))
    return torch.get_num_threads()
