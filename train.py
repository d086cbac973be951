# PYTHON_ARGCOMPLETE_OK
"""The program: `python train.py --help` says what it does. `train.main([...])` runs it from Python."""

from lab.command import main as main
from lab.command import program

if __name__ == "__main__":
    program()
