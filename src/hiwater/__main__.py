"""``python -m hiwater``."""

import sys

from hiwater.cli import main

sys.exit(main())
