"""python -m tests.truth --seeds N"""

import sys

from tests.truth.campaign import main

sys.exit(main())
