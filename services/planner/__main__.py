"""`python -m services.planner` serves until told to end."""

import sys

from libs.contracts.words import Service
from libs.runtime.shell import serve
from services.planner.app import build

sys.exit(serve(Service.PLANNER, build))
