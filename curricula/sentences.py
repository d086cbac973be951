"""What a comparison found, in sentences that claim no more than tests and intervals allow."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from curricula.comparison import Comparison, orders_of, others_of
from curricula.significance import seeds_needed, smallest_p

if TYPE_CHECKING:
    import pandas as pd


def verdict(comparison: Comparison, unit: str = "points", scale: float = 100.0, higher_is_better: bool = True) -> str:
    """One sentence that claims no more than test and interval allow.

    `scale` turns the numbers into `unit`: 100 for accuracies as percentage points. Only where the corrected test
    rejects *and* the interval leaves out 0 is an arm called better or worse; otherwise the sentence says how large a
    difference remains possible and how large a one these seeds would have found. Where a smallest difference that matters
    was named, a smaller one is called negligible, and an interval that leaves out all larger ones practically none.
    """
    c = comparison
    percent = f"{100 * (1 - c.level):g} %"
    correction = f" after correction for {c.comparisons} comparisons" if c.comparisons > 1 else ""
    drawn = f"{c.seeds} seeds" + (f" and {c.examples:,} test examples" if c.examples else "")
    nothing = f"{c.arm}: no difference from {c.baseline} could be shown"
    if c.shown:
        better = (c.difference > 0) == higher_is_better
        size, *ends = (abs(x) * scale for x in (c.difference, c.low, c.high))
        digits = _digits((c.high - c.low) * scale / 2, min(ends))
        sentence = (
            f"{c.arm} was {size:.{digits}f} {unit} {'better' if better else 'worse'} than {c.baseline} "
            f"({percent} interval {min(ends):.{digits}f} to {max(ends):.{digits}f}, {_p(c.corrected_p)}{correction}, {drawn})."
        )
        return f"{sentence[:-1]}: negligible, less than {c.matters * scale:g} {unit}." if c.negligible else sentence
    if c.low == c.high == 0:
        return f"{nothing}: with each of {c.seeds} seeds both gave the same number."
    low, high = (scale * end for end in (within_bounds(c) if unit == "points" else (c.low, c.high)))
    digits = _digits((high - low) / 2, math.inf)
    between = f"between {_signed(low, digits)} and {_signed(high, digits)} {unit}"
    if c.practically_none:
        within = f"the interval lies within ±{c.matters * scale:g} {unit}"
        return (
            f"{c.arm}: practically no difference from {c.baseline}: {between} ({percent} interval, {drawn}); {within}."
        )
    nothing = f"{nothing}: {between} ({percent} interval, {_p(c.corrected_p)}{correction}); with {drawn}"
    if math.isinf(c.detectable):
        return (
            f"{nothing} none could have been, for p cannot go below {min(c.comparisons * smallest_p(c.seeds), 1):.2g}"
            f"{correction}: it takes at least {seeds_needed(c.comparisons, c.level)} seeds."
        )
    found = f"{c.detectable * scale:.{_digits(c.detectable * scale, math.inf)}f}"
    return f"{nothing} a difference of {found} {unit} would have been found with 80 % probability."


def within_bounds(c: Comparison) -> tuple[float, float]:
    """The interval of a difference of accuracies: of two seeds, Student's goes beyond what accuracies can differ by."""
    return max(c.low, -1.0), min(c.high, 1.0)


def answer(comparisons: Mapping[str, Comparison], table: "pd.DataFrame", guess: float, cost: str = "") -> str:
    """Whether the order helps, in a few sentences, claiming no more than the corrected tests and the intervals allow.

    What the order does is the difference from a random order under the same pacing; what training gains is the
    difference from shuffled. table: see `table_of`. guess: the test accuracy of always naming the commonest class.
    cost: a sentence on what the order cost, see `price`.
    """
    gains = {c.arm: c for c in comparisons.values() if c.baseline == "shuffled"}
    orders, others = orders_of(gains), others_of(gains)
    if not orders and not others:
        return ""
    claimed = any(comparison.shown for comparison in comparisons.values())
    if claimed and table.loc["shuffled", "test_at_best_low"] <= guess:
        return f"These trainings cannot tell: shuffled is not shown to beat naming the commonest class, {guess:.1%}."
    against = {c.arm: c for c in comparisons.values() if c.baseline.startswith("random")}
    if all(math.isinf(gains[arm].detectable) and not gains[arm].practically_none for arm in [*orders, *others]):
        sentence, others = _too_few([gains[arm] for arm in [*orders, *others]]), []
    elif not orders:
        sentence = ""
    elif len(orders) > 1:
        sentence = _of_several({arm: (gains[arm], against.get(arm)) for arm in orders})
    else:
        sentence = _of_one(gains[orders[0]], against.get(orders[0]))
    better = [c for arm, c in gains.items() if arm.partition(" ")[0] == "anti" and _sign(c) == 1]
    for anti in better:
        which = anti.arm.partition(" ")[2]
        sentence += f" Hard first{' by ' + which if which else ''} was {_points(anti)}."
    by_gain = sorted((gains[arm] for arm in others), key=lambda c: -c.difference)
    sentence = " ".join(part for part in (sentence, cost, _of_others(by_gain)) if part)
    return sentence[0].upper() + sentence[1:]


def price(passes: float, training: float, longer: float, comparisons: Iterable[Comparison]) -> str:
    """What an order cost beside what a training costs, and what as many more steps would have bought, in a sentence or two.

    passes, training: over the train set, for the scores and for one training. longer: those that `shuffled_longer` had more.
    comparisons: with shuffled_longer, one for each order that cost them.
    """
    paid = f"The order cost {passes:,.4g} passes over the data; a training has {training:,.4g}."
    found = [c for c in comparisons if c.baseline == "shuffled_longer"]
    if not found:
        return paid
    extra = f"{longer:,.4g} of them" if longer < passes else "them"
    parts = [f"{c.arm if len(found) > 1 else 'it'} {_against_longer(c)}" for c in found]
    return f"{paid} Beside shuffled training that is longer by {extra}, {'; '.join(parts)}."


def _against_longer(c: Comparison) -> str:
    if _sign(c):
        return f"was {100 * abs(c.difference):.2f} points {'better' if c.difference > 0 else 'worse'}"
    if c.negligible or c.practically_none:
        return "was practically the same"
    return "is not shown to differ"


def _too_few(gains: Sequence[Comparison]) -> str:
    """What came out where the test cannot reject whatever comes out."""
    came = [
        f"{c.arm} came out {100 * abs(c.difference):.1f} points {'higher' if c.difference > 0 else 'lower'} than"
        if c.difference
        else f"{c.arm} came out equal to"
        for c in gains
    ]
    return f"Too few seeds ({gains[0].seeds}) to tell; {' shuffled training, '.join(came)} shuffled training."


def _of_one(gain: Comparison, order: Comparison | None) -> str:
    """The sentence of each pattern: what training gains, and what the order does."""
    better, without = _points(gain), _no_difference(gain)
    by_order, no_order = (_points(order), _no_difference(order)) if order else ("", "")
    plain = without.startswith("no difference")
    nothing = "No difference is shown, neither from shuffled training nor from a random order under the same pacing."
    if not (plain and no_order.startswith("no difference")):
        nothing = f"No: {without}; {no_order}."
    return {
        (1, 1): f"Yes: {better}, and {by_order} under the same pacing.",
        (1, 0): f"Not the order: {better}, but {no_order}.",
        (1, -1): f"Not the order: {better}, but {by_order} under the same pacing.",
        (1, None): f"It was {better}; whether the order or the pacing did it, the arm random would show.",
        (0, 1): f"The order helps: {by_order} under the same pacing. "
        f"But {'no gain over shuffled training is shown' if plain else without}.",
        (0, 0): nothing,
        (0, -1): f"No: {by_order} under the same pacing.",
        (0, None): "These seeds show no difference from shuffled training." if plain else f"No: {without}.",
        (-1, 1): f"No: {better}. The pacing costs more than the order gains: {by_order} under it.",
        (-1, 0): f"No: {better}; {no_order}.",
        (-1, -1): f"No: {better}, and {by_order} under the same pacing.",
        (-1, None): f"No: {better}.",
    }[_sign(gain), _sign(order) if order else None]


def _of_several(found: Mapping[str, tuple[Comparison, Comparison | None]]) -> str:
    """Which orders help, which do not, largest gain first; in brackets the differences that are shown."""
    kinds: dict[str, list[str]] = {}
    for arm, (gain, order) in sorted(found.items(), key=lambda item: -item[1][0].difference):
        signs = _sign(gain), _sign(order) if order else None
        match signs:
            case (1, 1):
                kind = "Better than shuffled training and than a random order under the same pacing"
            case (1, None):
                kind = "Better than shuffled training, by the order or by the pacing"
            case (1, _):
                kind = "Better than shuffled training, but not than a random order under the same pacing"
            case (0, 1):
                kind = "Better than a random order under the same pacing, with no gain over shuffled training shown"
            case (-1, 1):
                kind = "Better than a random order under the same pacing, but worse than shuffled training"
            case (0, 0 | None):
                small = all(c.negligible or c.practically_none for c in (gain, order) if c)
                kind = "No difference that matters" if small else "No difference is shown"
            case _:
                kind = "Worse than shuffled training or than a random order under the same pacing"
        shown = [f"{100 * c.difference:+.2f}" for c in (gain, order) if c and _sign(c)]
        kinds.setdefault(kind, []).append(f"{arm} ({' and '.join(shown)})" if shown else arm)
    gained = [order for gain, order in found.values() if _sign(gain) == 1]
    helped = any(order is not None and _sign(order) == 1 for order in gained)
    # whether order or pacing did it, the arm random would show
    begin = "Yes. " if helped else "" if None in gained else "No. "
    if any(order is not None and _sign(order) == 1 for _, order in found.values()) and not helped:
        begin = "Not beyond shuffled training. "
    return begin + " ".join(f"{kind}: {', '.join(arms)}." for kind, arms in kinds.items())


def _of_others(gains: Sequence[Comparison]) -> str:
    """Which arms that decide while training or leave examples out gain something; in brackets the differences that are shown."""
    kinds: dict[str, list[str]] = {}
    for c in gains:
        none = "no difference that matters" if c.negligible or c.practically_none else "no difference shown"
        kind = {1: "better than shuffled training", 0: none, -1: "worse"}[_sign(c)]
        kinds.setdefault(kind, []).append(f"{c.arm} ({100 * c.difference:+.2f})" if _sign(c) else c.arm)
    said = "; ".join(f"{kind}: {', '.join(arms)}" for kind, arms in kinds.items())
    return f"At equal cost {said}." if said else ""


def costs_until(table: "pd.DataFrame") -> list[str]:
    """What it cost each arm to be as good as the baseline in the end, in one sentence, where some decide while training or
    leave examples out.

    table: see `table_of`. The baseline is among them: it may be as good before its end. The interval is one-sided where
    some seed never gets there.
    """
    rows = table.dropna(subset="cost_until")
    if rows.empty or not others_of(table.index):
        return []
    parts = [f"{arm} {_until(row)}" for arm, row in rows.iterrows() if row["seeds_until"] > 0]
    if never := [str(arm) for arm, row in rows.iterrows() if row["seeds_until"] == 0]:
        parts.append(f"never: {', '.join(never)}")
    return [
        "Share of the cost of a training until the validation accuracy is that with which shuffled of the same seed ends (median "
        f"over seeds; 95 % interval): {'; '.join(parts)}."
    ]


def _until(row: "pd.Series") -> str:
    middle, low, high = (100 * row[f"cost_until{end}"] for end in ("", "_low", "_high"))
    at = f"only with {row['seeds_until']:.0%} of the seeds" if math.isinf(middle) else f"{middle:.0f} %"
    if math.isinf(low):
        return at
    if math.isnan(low):
        return f"{at} (too few seeds for an interval)"
    return f"{at} ({low:.0f} % or more)" if math.isinf(high) else f"{at} ({low:.0f} to {high:.0f} %)"


def _sign(comparison: Comparison) -> int:
    """1 or -1 where a difference is shown that is not negligible, else 0."""
    if not comparison.shown or comparison.negligible:
        return 0
    return 1 if comparison.difference > 0 else -1


def _points(c: Comparison) -> str:
    return f"{100 * abs(c.difference):.2f} points {'better' if c.difference > 0 else 'worse'} than {_other(c)}"


def _no_difference(c: Comparison) -> str:
    under = " under the same pacing" if c.baseline.startswith("random") else ""
    if c.negligible:
        return f"negligible: {_points(c)}{under}"
    if c.practically_none:
        return f"practically no difference from {_other(c)}{under}"
    return f"no difference from {_other(c)}{under} is shown"


def _other(c: Comparison) -> str:
    return "a random order" if c.baseline.startswith("random") else f"{c.baseline} training"


def _digits(width: float, bound: float) -> int:
    """Decimals that show two significant digits of a width, and that a bound is not 0."""
    digits = max(0, 1 - math.floor(math.log10(width))) if width > 1e-9 else 2  # else nothing but rounding
    while digits < 9 and round(bound, digits) == 0:
        digits += 1
    return digits


def _signed(number: float, digits: int) -> str:
    text = f"{abs(number):.{digits}f}"
    return text if float(text) == 0 else ("+" if number > 0 else "−") + text


def _p(p: float) -> str:
    return "p < 0.001" if p < 0.001 else f"p = {p:.2g}"
