# ruff: noqa: A005
"""Measures the statistics on invented studies and prints tables: see `statistics_tables.py`.

    PYTHONPATH=workflow python benchmarks/statistics.py [--quick] [--studies N]

Other scripts of this folder, and libraries that they load, import Python's own `statistics`, and find this file first:
to them it is Python's.
"""

import sys

if __name__ == "__main__":
    from statistics_tables import main

    main()
else:
    import importlib.util
    import sysconfig
    from pathlib import Path

    own = importlib.util.spec_from_file_location(__name__, Path(sysconfig.get_path("stdlib")) / "statistics.py")
    assert own is not None
    assert own.loader is not None
    sys.modules[__name__] = importlib.util.module_from_spec(own)
    own.loader.exec_module(sys.modules[__name__])
