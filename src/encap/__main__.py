"""`python -m encap`: the same as the command `encap`."""

import sys

from encap.cli import main

if __name__ == "__main__":
    sys.exit(main())
