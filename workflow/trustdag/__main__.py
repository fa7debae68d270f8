"""`python -m trustdag`: the `trustdag` command, for environments where it is not installed."""

import sys

from trustdag.cli import main

sys.exit(main())
