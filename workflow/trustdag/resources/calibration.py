"""Speed of this machine's cores, relative to those on which the constants of `duration` were measured.

Run as a script, it prints the processor time of the calculation.
"""

import os
import subprocess
import sys
import time

SIZE, TIMES, ROUNDS = 512, 20, 3
REFERENCE = 0.047
"""Processor seconds of the calculation on the machine of docs/performance.md (AMD EPYC, Zen 5)."""
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


def slowness() -> float:
    """The factor by which a core of this machine is slower than one of the reference machine.

    A separate process measures it, because a loaded library does not change its number of threads.
    """
    command = [sys.executable, __file__]
    done = subprocess.run(command, env=os.environ | ONE_THREAD, capture_output=True, text=True, check=True)
    return float(done.stdout) / REFERENCE


def processor_seconds() -> float:
    """The least processor time, over a few rounds, of products of matrices in fp32."""
    import numpy as np

    matrix = np.random.default_rng(0).standard_normal((SIZE, SIZE), dtype=np.float32)
    matrix /= np.sqrt(SIZE)
    used = []
    for _ in range(ROUNDS):
        begin, product = time.process_time(), matrix
        for _ in range(TIMES):
            product = product @ matrix
        used.append(time.process_time() - begin)
    return min(used)


if __name__ == "__main__":
    print(processor_seconds())
