"""The gates' questions, each a small pure function of the evidence; `gates.py` lists them."""
