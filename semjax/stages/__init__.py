"""The steps of the workflow: each reads files, calls pure functions and writes files.

Each module has `run(config, work)`, which returns a summary (plain numbers) for its done-mark.
Stages never import one another; they meet only through the work folder.
"""
