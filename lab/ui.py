"""MLflow's UI, as long as the program runs."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from typing import Any

from lab import views
from lab.errors import UserError
from lab.settings import PROGRAM
from lab.store import open_store, store_errors, tracking_uri

# MLflow's command line, and the end of it and its workers when the program that began it is gone, however that ended
SERVER = """
import os, runpy, signal, sys, threading

def end():
    sys.stdin.buffer.raw.read()
    os.killpg(0, signal.SIGKILL)

threading.Thread(target=end, daemon=True).start()
sys.argv[0] = "mlflow"
runpy.run_module("mlflow", run_name="__main__")
"""


def ui(port: str, console: Any) -> None:
    """MLflow's UI on this machine alone, until Ctrl-C; of a store that is a server, only where it is."""
    if not port.isdecimal() or not 0 < int(port) < 65536:
        raise UserError(f"port={port}: expected a whole number from 1 to 65535")
    client, store = open_store(make=False), tracking_uri()
    if client is None:
        raise UserError(f"--mode ui: there is no store yet; {PROGRAM} --mode measure makes one")
    if store.startswith(("http://", "https://")):
        console.print(f"The store is a server with a UI of its own, {store}", highlight=False)
        return print_tables(client, store, console)
    if is_open(int(port)):
        raise UserError(f"port={port}: something answers there already; give another, such as port={int(port) + 1}")
    address = f"http://127.0.0.1:{port}"
    console.print(f"MLflow's UI comes up at {address} in some seconds; Ctrl-C ends it.", highlight=False)
    print_tables(client, address, console)
    words = ["ui", "--backend-store-uri", store, "--host", "127.0.0.1", "--port", port, "--workers", "1"]  # fmt: skip
    with tempfile.TemporaryFile("w+") as told:
        # a session of its own: it ends as a whole, with its workers, when this program does
        server = subprocess.Popen(
            [sys.executable, "-c", SERVER, *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=told,
            start_new_session=True,
            env={"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", **os.environ},  # eight processes that nothing here uses
        )
        try:
            answers = False
            while server.poll() is None:  # not one long wait: a signal is seen between two short ones
                time.sleep(0.2)
                if not answers and (answers := is_open(int(port))):
                    console.print(f"It answers now: {address}", highlight=False)
            if server.returncode:
                told.seek(0)
                last = (told.read().strip().splitlines() or [f"status {server.returncode}"])[-1]
                raise UserError(f"MLflow's UI ended: {last}")
        except KeyboardInterrupt:
            pass
        finally:
            with suppress(ProcessLookupError):
                os.killpg(server.pid, signal.SIGTERM)
                try:
                    server.wait(5)
                except subprocess.TimeoutExpired:  # it waits for browsers that hold a connection
                    os.killpg(server.pid, signal.SIGKILL)
            server.wait(10)


def is_open(port: int) -> bool:
    """Whether something listens there on this machine."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def print_tables(client: Any, address: str, console: Any) -> None:
    """Where the UI at `address` has the tables of measurements and comparisons, with the columns that matter."""
    with store_errors():
        found = [each for each in client.search_experiments() if views.shared(views.TABLE) in each.tags]
    for each in found:
        where = f"{address}/{views.table_address(each.experiment_id)}"
        console.print(f"  {each.name}: {where}", highlight=False, markup=False, soft_wrap=True)
