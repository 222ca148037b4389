"""`python -m services.gatekeeper` serves until told to end."""

import sys

from libs.contracts.words import Service
from libs.runtime.shell import serve
from services.gatekeeper.app import build

sys.exit(serve(Service.GATEKEEPER, build))
