"""The verbs of the command line, one file each.

A verb's file holds `USAGE` (what `--help` prints), `parse(argv)` (flags, or `UsageError`; a flag
`verbosity` is among them) and `act(values)` (does it and returns the exit code). Nothing heavy is
imported before `act`.
"""

# Verb: its arguments and what it does, in the order of a day's work.
VERBS = {
    "outline": ("IMAGES …", "draw the outlines of single particles"),
    "run": ("--config=FILE.py …", "the workflow: from images and outlines to sizes"),
    "review": ("FOLDER", "split, merge, delete and draw particles by hand"),
    "audit": ("WORKDIR …", "how many of the measured particles a person accepts"),
}


class UsageError(Exception):
    """A command that cannot be understood."""
