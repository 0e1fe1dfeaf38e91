"""The error for what a user gave: which file or argument, what was wrong, what to do."""

import re

# A file of a stranger may have names of a million letters.
MOST_LETTERS = 2000


def remedy_where_missing(path: object, remedy: str) -> str:
    """The next step where a path does not exist: `remedy`, or of the address of a page or file to download it."""
    is_address = re.match(r"[a-z]+:/", str(path), re.IGNORECASE)
    return "It is an address: download the file first." if is_address else remedy


class InputError(ValueError):
    """Something the user gave cannot be used: says which file, what was wrong and what to do.

    Args:
      subject: the file, folder or argument.
      problem: what was wrong with it.
      remedy: the next step for the user.
    """

    def __init__(self, subject, problem, remedy=""):
        problem = str(problem)
        if len(problem) > MOST_LETTERS + 50:  # what is cut stays as it is when it is made again by `__reduce__`
            problem = f"{problem[:MOST_LETTERS]} ... ({len(problem) - MOST_LETTERS} more letters)"
        self.subject, self.problem, self.remedy = str(subject), problem, remedy
        super().__init__(f"{subject}: {problem}" + (f" {remedy}" if remedy else ""))

    def __reduce__(self):
        # Exceptions cross process boundaries by their args; ours has three.
        return type(self), (self.subject, self.problem, self.remedy)
