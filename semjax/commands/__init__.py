"""The verbs of the command line, one file each.

A verb's file holds `USAGE` (what `--help` prints), `parse(argv)` (flags, or `UsageError`; a flag
`verbosity` is among them) and `act(values)` (does it and returns the exit code). Nothing heavy is
imported before `act`.
"""

# Verb: its arguments and what it does, in the order of a day's work.
VERBS = {
    "doctor": ("", "what is installed and usable here, and how long a run would take"),
    "inspect": ("IMAGES …", "what the images are, and what would spoil the result"),
    "new": ("NAME IMAGES OUTLINES", "a config file for a new material"),
    "run": ("--config=FILE.py …", "the workflow: from images and outlines to sizes"),
    "segment": ("MODEL IMAGES …", "a trained model measures further images"),
    "report": ("FOLDER … --out=FILE.html", "one file with everything about the sizes measured"),
    "export": ("MODEL --out=DIR …", "a model for Fiji, ilastik, napari, ONNX Runtime or JAX"),
    "audit": ("WORKDIR …", "how many of the measured particles a person accepts"),
}


class UsageError(Exception):
    """A command that cannot be understood."""
