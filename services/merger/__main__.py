"""`python -m services.merger` serves until told to end."""

import sys

from libs.contracts.words import Service
from libs.runtime.shell import serve
from services.merger.app import build

sys.exit(serve(Service.MERGER, build))
