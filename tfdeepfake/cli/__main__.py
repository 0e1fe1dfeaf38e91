"""`python -m tfdeepfake.cli`, where the command `tfdeepfake` is not installed."""

import sys

from tfdeepfake.cli.main import main

sys.exit(main())
