"""`python -m services.monitor` serves until told to end."""

import sys

from libs.contracts.words import Service
from libs.runtime.shell import serve
from services.monitor.app import build

sys.exit(serve(Service.MONITOR, build))
