# PYTHON_ARGCOMPLETE_OK
"""The program: `python train.py --help` says what it does. `train.main([...])` runs it from Python."""

from lab.start import main as main
from lab.start import program

if __name__ == "__main__":
    program()
