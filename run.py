#!/usr/bin/env python
"""Start the hub: the same as `manage.py serve`."""

import sys

from manage import main

if __name__ == "__main__":
    sys.argv.insert(1, "serve")
    main()
