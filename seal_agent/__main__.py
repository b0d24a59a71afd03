"""`python -m seal_agent` is `seal-agent`."""

import sys

from seal_agent.cli import main

if __name__ == "__main__":
    sys.exit(main())
