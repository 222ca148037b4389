"""x."""
from .inputs import Inputs
def document(inputs: Inputs) -> None:
    """x."""
