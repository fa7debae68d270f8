"""The number of threads that PyTorch computes with. Imports torch only when it is called."""

import os


def use_threads() -> int:
    """Makes PyTorch compute with OMP_NUM_THREADS threads, where it is set; returns how many it computes with.

    PyTorch itself takes no more threads than MKL finds cores, and then results would depend on the machine.
    """
    import torch

    wanted = os.environ.get("OMP_NUM_THREADS", "")
    if wanted.isdecimal() and int(wanted) > 0 and int(wanted) != torch.get_num_threads():
        torch.set_num_threads(int(wanted))
    return torch.get_num_threads()
