"""What the shell completes on Tab: modes and flags, settings and their values. Needs, once per shell,

eval "$(activate-global-python-argcomplete --dest=-)"
"""

import argparse
from typing import Any

import argcomplete

from lab.settings import PRESETS, described, names, type_of

# named here because what defines them takes seconds to import; a test compares
NETWORKS = ["lenet5", "vgg16", "resnet50", "densenet121"]
METRICS = ["agreement", "confidence", "forgetting", "instances", "box_area", "search_difficulty", "scale", "label_entropy", "c_score", "label_noise", "file:"]  # fmt: skip


def complete(parser: argparse.ArgumentParser) -> None:
    """Answer the shell that asks for completions, and exit; it tells so by the environment."""
    for action in parser._actions:
        if action.dest == "settings":
            action.completer = settings  # type: ignore[attr-defined]
        if action.dest == "metric":
            action.completer = lambda prefix, **_: listed("", "metric", prefix)  # type: ignore[attr-defined]
    argcomplete.autocomplete(parser)


def settings(prefix: str, parsed_args: argparse.Namespace, **_: Any) -> list[str]:
    """The `key=value` words that begin so, or the keys."""
    from lab.browse import KNOWN

    key, equals, value = prefix.partition("=")
    if equals:
        return listed(f"{key}=", key.removeprefix("sweep."), value)
    return [f"{name}=" for name in KNOWN.get(parsed_args.mode, names())]


def listed(before: str, key: str, value: str) -> list[str]:
    """Words for every value that a setting can have in the place of the last one of a list, or of a sum."""
    start = max(value.rfind(mark) for mark in "[,+") + 1
    return [before + value[:start] + known for known in values_of(key)]


def values_of(key: str) -> list[str]:
    """The values of a setting that have names; none of those that are numbers or paths."""
    match key:
        case "data":
            return sorted(path.stem for path in PRESETS.glob("*.yaml"))
        case "network":
            return NETWORKS
        case "statistics" | "metric":
            from metrics import STATISTICS

            return [*STATISTICS, *(METRICS if key == "metric" else [])]
        case "pacing" | "arms":
            from curricula import ARMS, PACING

            return list(PACING if key == "pacing" else ARMS)
    if key not in names():
        return []
    return list(described(key).metadata["choices"]) or ["true", "false"] * (type_of(key) == "bool")
