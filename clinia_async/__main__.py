"""`python -m clinia_async` is the command line."""

import sys

from clinia_async.cli import main

sys.exit(main())
