"""Which examples do networks learn first, do networks agree on it, what in the images explains it, and does training in that order help?

python train.py --mode measure                       5 small networks on 5,000 real digits, about a minute
python train.py --mode measure data=cifar10          the paper's measurement; every setting: --help
python train.py --mode measure sweep.batch_size=32,512  several measurements in one picture, of any key
python train.py --mode curriculum --metric entropy   does training in order of an image statistic help?
python train.py --mode scores                        which scores there are to order by, and what each is worth
python train.py --mode report record=DIR             the same page and tables for the record of a loop of your own
python train.py --mode list                          what has been measured and compared
python train.py --mode show run=ID                   one of them in full, the newest without run=
python train.py --mode export run=ID to=DIR          its tables and report page as files; suspects=200: the labels to doubt first
python train.py --mode compare-runs experiment=NAME arm=params.lr metric=accuracy   arms of your own runs, paired by seed
python train.py --mode ui                            all of them in MLflow's UI (port=5000)
torchrun --nproc-per-node=4 train.py --mode measure  each network on four GPUs, or processes, at once
"""

import argparse
import errno
import io
import json
import logging
import os
import signal
import sys
import warnings
from contextlib import redirect_stderr
from pathlib import Path
from typing import Any, NoReturn

from lab.compose import as_yaml, compose, compose_sweep
from lab.errors import UserError, printable
from lab.help import BROWSING
from lab.own import import_own
from lab.processes import ranks_of_torchrun
from lab.settings import MODES

IMPORTING = "importing PyTorch"
STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stopped(KeyboardInterrupt):
    """A signal that asks the program to end; its argument is the signal."""


def stop(number: int, frame: Any) -> NoReturn:
    """Raise Stopped, once; a second Ctrl-C ends the clearing up as well."""
    for each in STOPPING:
        signal.signal(each, signal.default_int_handler if each == signal.SIGINT else signal.SIG_IGN)
    # a server that does not answer must not hold up the end
    os.environ.update(MLFLOW_HTTP_REQUEST_MAX_RETRIES="0", MLFLOW_HTTP_REQUEST_TIMEOUT="2")
    raise Stopped(signal.Signals(number))


class Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        if message.startswith("unrecognized arguments"):
            message += "; settings are given as key=value, without dashes"
        self.exit(2, f"{self.prog}: {message} (--help shows what there is)\n")


def parser() -> Parser:
    modes = (*MODES, *BROWSING)
    made = Parser(
        "train.py",
        description=__doc__,
        add_help=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        usage=f"python train.py --mode {{{','.join(modes)}}} [key=value ...]",
    )
    made.add_argument("--mode", choices=modes, default="measure", help="what to do")
    made.add_argument("--metric", help="short for metric=, what a curriculum orders the examples by")
    made.add_argument("--config", metavar="FILE", type=Path, help="settings of your own, YAML as in lab/presets")
    made.add_argument("--import", metavar="FILE", dest="imports", action="append", default=[], help="a module of your own that adds data sets, networks or statistics")  # fmt: skip
    made.add_argument("--show-pacing", action="store_true", help="draw the pacing functions and stop")
    made.add_argument("--help", "-h", action="store_true", help="show every setting with its meaning, type and default")
    made.add_argument("--print-config", action="store_true", help="show the composed settings and stop")
    made.add_argument("--quiet", action="store_true", help="print nothing but errors")
    made.add_argument("--json", action="store_true", help="print what was found as JSON, and nothing else")
    made.add_argument("--open", action="store_true", help="open the report page in the browser at the end")
    made.add_argument("--debug", action="store_true", help="show the traceback of an error")
    made.add_argument("settings", nargs="*", metavar="key=value", help="settings that differ from the preset")
    return made


def main(arguments: list[str] | None = None) -> int:
    """Run the program with these words, those of the command line by default. Returns the exit status."""
    words = parser()
    if "_ARGCOMPLETE" in os.environ:  # a shell asks what could come next
        from lab.help import complete

        complete(words)
    options = words.parse_intermixed_args(arguments)
    from rich.console import Console

    warnings.filterwarnings("ignore", module=r"PIL\.")  # what is wrong with an image is said in one line
    logging.getLogger("PIL").setLevel(logging.CRITICAL)
    quiet, terminal = options.quiet or options.json, sys.stdout.isatty()
    # FORCE_COLOR and COLUMNS, which kernels and job systems set, would fill a file with moving bars, or cut its tables
    console = Console(quiet=quiet, force_jupyter=False, force_terminal=terminal, width=None if terminal else 80)
    try:
        if options.help:
            from lab.help import print_help

            print_help(console, words)
        else:
            run(options, console)
        sys.stdout.flush()
    except BrokenPipeError:  # `| head` has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt as interruption:
        if options.debug:
            raise
        by = interruption.args[0] if isinstance(interruption, Stopped) else signal.SIGINT
        what = "\ninterrupted" if by == signal.SIGINT else f"stopped by {by.name}"
        print(f"{what}; the same command continues where this one stopped", file=sys.stderr)
        return 128 + by
    except (UserError, OSError, MemoryError) as error:
        if options.debug:
            raise
        line = str(error) or "there is not enough memory"
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            line += " (make space, then give the same command again)"
        print(f"train.py: {printable(line)}".replace("\n", " "), file=sys.stderr)  # names of files may hold line breaks
        return 2
    return 0


def run(options: argparse.Namespace, console: Any) -> None:
    """Do what the options ask for."""
    import_own(options.imports)
    if options.mode in BROWSING:
        for name in ("config", "metric"):
            if getattr(options, name) is not None:
                raise UserError(f"--{name}: --mode {options.mode} does not read it; leave it out")
        from lab.browse import browse

        return browse(options.mode, options.settings, console, options.json, options.open)
    for word in options.settings:
        if word in (*MODES, *BROWSING):
            raise UserError(f"{word} is a mode: give --mode {word}")
    words = [*([f"metric={options.metric}"] if options.metric is not None else []), *options.settings]
    if options.imports:
        words.append(
            f"imports={json.dumps([str(Path(each).absolute()) if each.endswith('.py') else each for each in options.imports])}"
        )
    if any(word.startswith("sweep.") for word in words):
        if options.mode != "measure" or options.show_pacing:
            raise UserError("sweep.key=: only --mode measure sweeps; give one value for the rest")
        sweep = compose_sweep(words, options.config)
        if options.print_config:
            return print("".join(f"--- # {name}\n{as_yaml(settings)}" for name, settings in sweep.items()), end="")
        with console.status(IMPORTING):
            from lab.sweep import run_sweep

        found = run_sweep(sweep, console)
    else:
        settings = compose(words, "curriculum" if options.show_pacing else options.mode, options.config)
        if options.print_config:
            return print(as_yaml(settings), end="")
        if options.show_pacing:
            from lab.report import show_pacing

            return show_pacing(console, settings.a, settings.b)
        if options.mode == "curriculum":
            with console.status(IMPORTING):
                from lab.compare import compare

            found = compare(settings, console)
        elif options.mode == "scores":
            with console.status(IMPORTING):
                from lab.scores import scores

            found = scores(settings, console)
        else:
            with console.status(IMPORTING):
                from lab.measure import measure

            found = measure(settings, console)
    if options.json:
        from lab.browse import described
        from lab.store import open_store

        print(json.dumps(described(open_store().get_run(found))))
    from lab.browse import show_page

    show_page(found, console, options.open)


def trains() -> bool:
    """Whether the words of the command line ask for something that trains networks."""
    with redirect_stderr(io.StringIO()):
        try:
            options = parser().parse_intermixed_args()
        except SystemExit:
            return False
    return options.mode in ("measure", "curriculum") and not (
        options.help or options.print_config or options.show_pacing
    )


def program() -> NoReturn:
    """The program as a command: signals stop it, and its exit status is that of `main`."""
    for stream in (sys.stdout, sys.stderr):  # of a terminal or file that lacks a letter
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    for each in STOPPING:
        if signal.getsignal(each) in (signal.SIG_DFL, signal.default_int_handler):  # nohup ignores one
            signal.signal(each, stop)
    if ranks_of_torchrun() > 1 and trains():
        from lab.ranks import led

        status = led(main)
    elif ranks_of_torchrun() > 1 and os.environ["RANK"] != "0":
        status = 0  # rank 0 answers
    else:
        status = main()
    sys.stdout.flush()
    # stopped, it does not wait for threads that are still at work
    if status > 128:
        os._exit(status)
    sys.exit(status)
