"""The command line: `main.py` and a file per verb, each a parser and one call."""
