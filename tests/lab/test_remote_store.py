"""A real MLflow server that is not there, does not answer, or dies and comes back."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

import train
from lab.errors import UserError
from lab.store import open_store
from lab.tracking import Tracked


@pytest.fixture
def port(monkeypatch) -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{port}")
    return port


class Server:
    """`mlflow server` on a store in a folder."""

    def __init__(self, folder: Path, port: int):
        self.folder, self.port = folder, port
        self.process: subprocess.Popen | None = None

    def start(self) -> None:
        environment = {key: value for key, value in os.environ.items() if not key.startswith("MLFLOW")}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(self.port), "--workers", "1",
             "--backend-store-uri", f"sqlite:///{self.folder}/mlruns/mlflow.db",
             "--artifacts-destination", self.folder / "artifacts"],
            cwd=self.folder, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            env={**environment, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
        )  # fmt: skip
        end = time.monotonic() + 200
        while time.monotonic() < end:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health", timeout=5).close()
                return
            except OSError:
                assert self.process.poll() is None
                time.sleep(0.2)
        raise AssertionError("the server does not start")

    def kill(self) -> None:
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None


@pytest.fixture
def server(place, port):
    server = Server(place, port)
    yield server
    server.kill()


def told(action) -> str:
    with pytest.raises(UserError) as raised:
        action()
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_a_server_that_is_not_there_is_told_at_once(port):
    began = time.monotonic()
    message = told(open_store)
    assert message.startswith(f"MLflow store http://127.0.0.1:{port}: [Errno 111] Connection refused (check that")
    assert time.monotonic() - began < 10
    assert os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] == "4"  # more patience once work has begun


@pytest.mark.slow
def test_a_server_that_does_not_answer_is_told_soon(port):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", port))
        silent.listen()
        began = time.monotonic()
        assert "timed out" in told(open_store)
        assert time.monotonic() - began < 30


@pytest.mark.slow
def test_metrics_wait_for_a_server_that_dies_and_comes_back(server, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    server.start()
    client, lines = open_store(), tmp_path / "epochs.jsonl"
    made = Tracked(client, tmp_path, "tests", [("all", {}, {}), ("a run", {}, {})], [lines])
    for step in range(1, 9):
        if step == 4:
            server.kill()
        with lines.open("a") as file:
            file.write(json.dumps({"epoch": step, "a": step / 2, "b": -step, "time": 1e9 + step}) + "\n")
        made.next = 0
        made.follow()  # which never raises
    message = told(lambda: made.send(ended=True))
    assert message.endswith("; 12 metrics could not be sent; run the same command to send them")
    with pytest.raises(ZeroDivisionError), made:  # the error is told, not that of the server
        raise ZeroDivisionError
    server.start()
    made.send(ended=True)
    for key, factor in (("a", 0.5), ("b", -1)):
        history = client.get_metric_history(made.children[0], key)
        assert [(at.step, at.value) for at in history] == [(step, factor * step) for step in range(1, 9)]


@pytest.mark.slow
def test_what_a_server_gets_twice_it_holds_once(server, tmp_path):
    server.start()
    client, lines = open_store(), tmp_path / "epochs.jsonl"
    lines.write_text("".join(f'{{"epoch": {step}, "a": 1, "time": 1e9}}\n' for step in range(1, 9)))
    for _ in range(2):
        made = Tracked(client, tmp_path, "tests", [("all", {}, {}), ("a run", {}, {})], [lines])
        made.send(ended=True)
    assert len(client.get_metric_history(made.children[0], "a")) == 8


@pytest.mark.slow
def test_runs_on_a_server_are_compared(server, port, capsys):
    server.start()
    client = open_store()
    experiment = client.create_experiment("tuning")
    for arm, base in (("sgd", 0.8), ("adam", 0.9)):
        for seed in range(6):
            run = client.create_run(experiment).info.run_id
            for key, value in (("optimizer", arm), ("seed", seed)):
                client.log_param(run, key, value)
            client.log_metric(run, "accuracy", base + 0.01 * seed)
            client.set_terminated(run)
    words = ["experiment=tuning", "arm=optimizer", "metric=accuracy", "baseline=sgd"]
    assert train.main(["--mode", "compare-runs", *words]) == 0
    assert "adam was 0.1" in capsys.readouterr().out
    own = client.search_runs([experiment], "tags.phase = 'compare-runs'")
    assert [file.path for file in client.list_artifacts(own[0].info.run_id) if file.path == "report.html"]
