# PYTHON_ARGCOMPLETE_OK
"""Which examples do networks learn first, do networks agree on it, what in the images explains it, and does training in that order help?

python train.py --mode measure                       5 small networks on 5,000 real digits, about a minute
python train.py --mode measure data=cifar10          the paper's measurement; every setting: --help
python train.py --mode measure sweep.batch_size=[32,512]  several measurements in one picture, of any key
python train.py --mode curriculum --metric entropy   does training in order of an image statistic help?
python train.py --mode list                          what has been measured and compared
python train.py --mode show run=ID                   one of them in full, the newest without run=
python train.py --mode export run=ID to=DIR          its tables and report page as files
python train.py --mode ui                            all of them in MLflow's UI (port=5000)
torchrun --nproc-per-node=4 train.py --mode measure  each network on four GPUs, or processes, at once
"""

import argparse
import errno
import json
import os
import signal
import sys
import warnings
from typing import Any, NoReturn

from lab.errors import UserError
from lab.processes import ranks_of_torchrun
from lab.settings import compose, compose_sweep

PHASES = ("measure", "curriculum")
BROWSING = ("list", "show", "export", "ui")
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
        self.exit(2, f"train.py: {message} (--help shows what there is)\n")


def main(arguments: list[str] | None = None) -> int:
    parser = Parser(
        "train.py",
        description=__doc__,
        add_help=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        usage="python train.py --mode {measure,curriculum,list,show,export,ui} [key=value ...]",
    )
    parser.add_argument("--mode", choices=(*PHASES, *BROWSING), default="measure", help="what to do")
    parser.add_argument("--metric", help="short for metric=, what a curriculum orders the examples by")
    parser.add_argument("--show-pacing", action="store_true", help="draw the pacing functions and stop")
    parser.add_argument(
        "--help", "-h", action="store_true", help="show every setting with its meaning, type and default"
    )
    parser.add_argument("--print-config", action="store_true", help="show the composed configuration and stop")
    parser.add_argument("--quiet", action="store_true", help="print nothing but errors")
    parser.add_argument("--json", action="store_true", help="print what was found as JSON, and nothing else")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    parser.add_argument(
        "settings", nargs="*", metavar="key=value", help="settings that differ from the preset lab/presets/<data>.yaml"
    )
    if "_ARGCOMPLETE" in os.environ:  # a shell asks what could come next
        from lab.completion import complete

        complete(parser)
    options = parser.parse_intermixed_args(arguments)
    from rich.console import Console

    warnings.filterwarnings("ignore", module=r"PIL\.")  # what is wrong with an image is told in one line
    warnings.filterwarnings("ignore", message="Glyph .* missing")  # of a class's name: the figure shows a box
    console = Console(quiet=options.quiet or options.json)
    if options.help:
        from lab.help import print_help

        print_help(console, parser)
        return 0
    try:
        if options.mode in BROWSING:
            from lab.browse import browse

            browse(options.mode, options.settings, console, options.json)
            return 0
        words = [*([f"metric={options.metric}"] if options.metric is not None else []), *options.settings]
        if any(word.startswith("sweep.") for word in words):
            if options.mode != "measure" or options.print_config or options.show_pacing:
                raise UserError("sweep.key=[...]: only --mode measure sweeps; give one value for the rest")
            configs = compose_sweep(words)
            from lab.sweep import run_sweep

            found = run_sweep(configs, console)
            return print_json(found) if options.json else 0
        config = compose(words, "curriculum" if options.show_pacing else options.mode)
        if options.print_config:
            from omegaconf import OmegaConf

            print(OmegaConf.to_yaml(config), end="")
            return 0
        found = run(options, config, console)
        if options.json and found:
            print_json(found)
    except KeyboardInterrupt as interruption:
        if options.debug:
            raise
        by = interruption.args[0] if isinstance(interruption, Stopped) else signal.SIGINT
        what = "\ninterrupted" if by == signal.SIGINT else f"stopped by {by.name}"
        print(f"{what}; the same command continues where this one stopped", file=sys.stderr)
        return 128 + by
    except Exception as error:
        if options.debug or not expected(error):
            raise
        line = str(error)
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            line += " (make space, then give the same command again)"
        # names of files may hold line breaks and what steers a terminal
        print(f"train.py: {''.join(c if c.isprintable() else ' ' for c in line)}", file=sys.stderr)
        return 2
    return 0


def run(options: argparse.Namespace, config: Any, console: Any) -> str | None:
    """Run the configured phase. Returns the id of its run in MLflow, if it made one."""
    if options.show_pacing:
        from lab.report import show_pacing

        show_pacing(console, config.a, config.b)
        return None
    if options.mode == "curriculum":
        from lab.compare import run_comparison

        return run_comparison(config, console)
    from lab.measure import measure

    return measure(config, console)


def print_json(run: str) -> int:
    from lab.browse import described
    from lab.tracking import open_store

    print(json.dumps(described(open_store().get_run(run))))
    return 0


def expected(error: Exception) -> bool:
    """Whether an error is one the user can do something about, told in one line."""
    return isinstance(error, UserError | OSError)


if __name__ == "__main__":
    for each in STOPPING:
        if signal.getsignal(each) in (signal.SIG_DFL, signal.default_int_handler):  # nohup ignores one
            signal.signal(each, stop)
    if ranks_of_torchrun() > 1:
        from lab.ranks import led

        status = led(main)
    else:
        status = main()
    sys.stdout.flush()
    # stopped, it does not wait for threads that are still at work
    os._exit(status) if status > 128 else sys.exit(status)
