"""Runs notebooks and keeps their pictures, without logs and times.

SEMJAX_WORK=$PWD/runs/phantom python notebooks/refresh.py [1 3 …]

Of the phantom only: pictures of other materials do not belong into the repository.
"""

import sys
from pathlib import Path

import jupytext
import nbclient
import nbformat

KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}


def refresh(script: Path) -> None:
    """Makes the notebook of a script anew."""
    notebook = jupytext.read(script)
    options = {"resources": {"metadata": {"path": str(script.parent)}}, "kernel_name": "python3"}
    nbclient.NotebookClient(notebook, timeout=None, **options).execute()
    for i, cell in enumerate(notebook.cells):
        cell.id = f"{script.stem[0]}-{i:02d}"  # the same each time
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":
            cell.outputs = [out for out in cell.outputs if out.output_type != "stream"]
    notebook.metadata = {
        "jupytext": {"formats": "ipynb,py:percent"},
        "kernelspec": KERNEL,
        "language_info": {"name": "python"},
    }
    nbformat.write(notebook, script.with_suffix(".ipynb"))


if __name__ == "__main__":
    for path in sorted(Path(__file__).parent.glob("[0-9]_*.py")):
        if not sys.argv[1:] or path.stem[0] in sys.argv[1:]:
            refresh(path)
            print(path.with_suffix(".ipynb").name)
