"""`python -m services.builder` serves until told to end."""

import sys

from libs.contracts.words import Service
from libs.runtime.shell import serve
from services.builder.app import build

sys.exit(serve(Service.BUILDER, build))
