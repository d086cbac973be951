"""The report page: what it is made of, and what a real browser makes of it."""

import base64
import io
import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from agreement import analyse, examples_table
from agreement.learning_order import shared_mistakes
from agreement.record import LearningRecord
from agreement.recorder import RecordWriter, begin_record
from agreement.suspicion import suspects
from curricula import Outcome, class_table, compare, table_of
from lab.data import Data, Images, Split
from lab.data.labels import with_corrections
from lab.report import gallery, write_page
from lab.report.about import About
from lab.report.answered import Answered
from lab.report.ends import EACH, ends_of
from lab.report.gallery import SIDE, class_facts, example_facts, image_address, numbers, spread
from lab.report.page import comparison_page, measurement_page
from lab.report.plots import plot_script
from metrics import STATISTICS

NETWORKS, EPOCHS, SPLITS = 3, 8, ("train", "test")
SCRIPT = "<script>alert(1)</script>"
CLASSES = [SCRIPT, '"><img src=x onerror=alert(2)>', "{{ 7 * 7 }} & two"]
IDS = ["</script><script>alert(3)</script>/{}.png", "'\"<b>bold</b>\u2028 {}.png", "plain {}.png"]


def split_of(mnist, size: int, seed: int) -> Split:
    images, labels = mnist
    chosen = np.random.default_rng(seed).permutation(np.flatnonzero(labels < len(CLASSES)))[:size]
    ids = [IDS[n % len(IDS)].format(i) for n, i in enumerate(chosen)]
    kinds = np.where(np.arange(size) % 2, "left", "right")
    return Split(Images.of(images[chosen][..., None]), labels[chosen], ids, images[chosen], {"side": kinds})


def write_record(folder: Path, splits: dict[str, Split], epochs: int, networks: int, seed: int = 0) -> LearningRecord:
    """Networks that learn the examples one after the other, with mistakes; the last five they agree to get wrong."""
    draw = np.random.default_rng(seed)
    labels = {name: split.labels for name, split in splits.items()}
    begin_record(folder, ["lenet5"] * networks, CLASSES, labels, {name: split.ids for name, split in splits.items()})
    begins = {name: draw.uniform(0, epochs, len(split)) for name, split in splits.items()}
    for k in range(networks):
        recorder = RecordWriter(folder / f"network-{k + 1}", {name: len(split) for name, split in splits.items()}, 3)
        for epoch in range(1, epochs + 1):
            for name, split in splits.items():
                right = (begins[name] < epoch) & (draw.random(len(split)) < 0.95)
                right[-5:] = False
                other = (
                    split.labels + 1 + (draw.random(len(split)) < 0.5) * (np.arange(len(split)) < len(split) - 5)
                ) % 3
                probability = np.where(right, draw.uniform(0.5, 1, len(split)), draw.uniform(0, 0.5, len(split)))
                recorder.update(name, np.arange(len(split)), np.where(right, split.labels, other), probability)
            recorder.end_epoch(epoch=epoch, **{f"{name}/loss": 1.0 for name in splits})
    return LearningRecord(folder)


def report(folder: Path, splits: dict[str, Split], statistics: list[str], epochs=EPOCHS, networks=NETWORKS) -> str:
    record = write_record(folder, splits, epochs, networks)
    draw = np.random.default_rng(5)
    tables = {
        name: pd.DataFrame({key: draw.normal(5, 1, len(split)) for key in statistics}, index=pd.Index(split.ids, name="id"))
        for name, split in splits.items()
    }  # fmt: skip
    if statistics:
        tables["train"].iloc[3, 0] = np.nan
        tables["test"]["only <test>"] = draw.normal(size=len(splits["test"]))
    kinds = {name: split.annotations for name, split in splits.items()}
    findings = analyse(record, tables, kinds, list(STATISTICS))
    images = {name: split.images for name, split in splits.items()}
    examples = examples_table(record, tables)
    settings, left_out = {"root": SCRIPT, "epochs": epochs}, ["a.heic", f"{SCRIPT}.heic"]
    about = About(f"lenet5 on {SCRIPT}", settings, "0a" * 16, "2026-11-29 12:24", ["2 files left out"], left_out)
    return measurement_page(findings, record, examples, images, about, "All are wrong.")


@pytest.fixture(scope="module")
def splits(mnist) -> dict[str, Split]:
    return {"train": split_of(mnist, 200, 1), "test": split_of(mnist, 60, 2)}


@pytest.fixture(scope="module")
def measurement(splits, tmp_path_factory) -> str:
    return report(tmp_path_factory.mktemp("record"), splits, ["entropy", SCRIPT])


@pytest.fixture(scope="module")
def comparison(splits) -> str:
    draw, arms, seeds = np.random.default_rng(0), ("shuffled", "curriculum", "anti", "random"), 8
    steps = np.arange(10, 60, 10)
    validation = {arm: np.sort(draw.uniform(0.5, 0.9, (seeds, 5))) for arm in arms}
    paced = draw.dirichlet(np.ones(4), 5)
    drawn = {arm: np.full((5, 4), 0.25) if arm == "shuffled" else paced for arm in arms}
    at_best = {arm: draw.random((seeds, 300)) < 0.8 - 0.1 * (arm == "anti") for arm in arms}
    labels = draw.permutation(np.repeat([0, 1, 2], [10, 90, 200]))
    outcome = Outcome(steps, validation, drawn, at_best, at_best)
    comparisons = compare(at_best)
    pacing = (np.arange(51), {"linear": np.linspace(20, 100, 51)}, 100)
    table, by_class = table_of(outcome, comparisons, labels), class_table(at_best, labels, labels, CLASSES)
    order, train = np.argsort(splits["train"].labels), splits["train"]
    names = [CLASSES[label] for label in train.labels]
    ends = ends_of({SCRIPT: (order, np.arange(len(order)) / 7)}, train.images, names)
    about = About(f"ordered by {SCRIPT}", {"a": 1}, "0b" * 16, "2026-11-29 12:25")
    question = f"Does it help? file:{SCRIPT}"
    found = Answered(outcome, table, comparisons, question, "It was better.", by_class, pacing, ends)
    return comparison_page(found, about)


def data_of(html: str) -> dict:
    """What the page's scripts read: strict JSON."""

    def refuse(name: str):
        raise ValueError(f"{name} is no JSON")

    text = html.split('<script type="application/json" id="data">')[1].split("</script>")[0]
    return json.loads(text, parse_constant=refuse)


# what it is made of


@pytest.mark.parametrize("name", ["measurement", "comparison"])
def test_one_file_that_fetches_nothing(name, request):
    html = request.getfixturevalue(name)
    own = html.replace(plot_script(), "")
    assert "default-src 'none'" in own
    assert (
        not re.search(r"<\w[^<>]* src=(?!\"data:image/webp)", own)
        and own.count("<link") == own.count('href="data:,"') == 1
    )
    assert 0.9e6 < len(html) < 2.5e6


@pytest.mark.parametrize("name", ["measurement", "comparison"])
def test_names_are_escaped(name, request):
    own = request.getfixturevalue(name).replace(plot_script(), "")
    for dangerous in ("<script>alert", "<img src=x", "<b>bold", "</script><script>alert", "only <test>"):
        assert dangerous not in own
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in own
    assert own.count("<script") == own.count("</script>") == (4 if name == "measurement" else 3)


def test_headline_tables_and_settings(measurement, comparison):
    assert "Do the networks learn the same examples?" in measurement and "Spearman-Brown" in measurement
    assert "All test images" in measurement and "only &lt;test&gt; (test)" in measurement
    assert f"Run {'0a' * 16}, begun 2026-11-29 12:24" in measurement and f"Run {'0b' * 16}, begun" in comparison
    assert "2 files left out." in measurement and "<li>a.heic</li>" in measurement and "Notes" not in comparison
    assert "anti was " in comparison and "points worse than shuffled" in comparison and "Holm-corrected" in comparison


def test_the_data_of_the_page(measurement, splits):
    data = data_of(measurement)
    columns = data["examples"]["columns"]
    assert data["classes"] == CLASSES and data["examples"]["sample"] == 200
    assert {len(column) for column in columns.values()} == {len(columns["id"])}
    assert sorted(columns["place"][:200]) == columns["place"][:200]  # first learned to never learned
    times = columns["time"][:200]
    assert times == sorted(times) and times[0] < 0.2 < 0.9 < times[-1] and columns["learned"][199] is None
    for split in ("train", "test"):
        wrong = data["examples"]["mistakes"][split]
        assert {columns["id"][i] for i in wrong["at"]} >= set(splits[split].ids[-5:])
        assert all(columns["label"][i] != other for i, other in zip(wrong["at"], wrong["predicted"], strict=True))
        assert max(wrong["epoch"]) == EPOCHS and min(wrong["epoch"]) > EPOCHS // 2
    assert [statistic["train"] for statistic in data["statistics"]] == [True, True, False]
    assert sum(row[0] is None for row in columns["statistics"][:200]) == 1  # the missing number


def test_labels_to_look_at_are_the_most_suspect(measurement, splits, tmp_path):
    data = data_of(measurement)
    columns, positions = data["examples"]["columns"], data["examples"]["suspects"]
    assert len(positions) == 200 and "Labels to look at" in measurement and "All are wrong." in measurement
    record = write_record(tmp_path, splits, EPOCHS, NETWORKS)
    ranks = suspects(record, "train", {})
    ids = np.array(splits["train"].ids)
    assert [columns["id"][i] for i in positions] == ids[np.argsort(ranks)[:200]].tolist()


def test_who_was_right_when(measurement, splits, tmp_path):
    columns = data_of(measurement)["examples"]["columns"]
    correct = write_record(tmp_path, splits, EPOCHS, NETWORKS).correct("train")
    for i in (0, 50, 199):
        bits = np.unpackbits(np.frombuffer(base64.b64decode(columns["right"][i]), np.uint8))[: NETWORKS * EPOCHS]
        example = splits["train"].ids.index(columns["id"][i])
        np.testing.assert_array_equal(bits.reshape(NETWORKS, EPOCHS), correct[:, :, example])


def test_shared_mistakes():
    """Of the second half of the epochs, the least probability of the label first."""
    labels = np.zeros(6, int)
    one = np.array([[1, 1, 1, 1, 1, 1], [2, 2, 2, 2, 2, 2], [1, 2, 1, 1, 0, 2], [0, 2, 1, 2, 0, 1]])
    other = one.copy()
    other[2:, 5] = 0
    probability = [np.array([[0] * 6, [0] * 6, [30, 20, 10, 30, 0, 0], [30, 20, 10, 20, 0, 0]])] * 2
    chosen, said, epoch = shared_mistakes([one, other], probability, labels)
    assert chosen.tolist() == [2, 1, 3, 0] and said.tolist() == [1, 2, 2, 1] and epoch.tolist() == [4, 4, 4, 3]
    assert shared_mistakes([one, other], probability, labels, most=2)[0].tolist() == [2, 1]
    assert shared_mistakes([one[:1]], [probability[0][:1]], labels)[2].tolist() == [1] * 6
    assert [len(part) for part in shared_mistakes([0 * one] * 2, probability, labels)] == [0, 0, 0]


def test_the_sample_is_spread_over_the_order_of_every_class():
    draw = np.random.default_rng(0)
    labels, place = draw.choice(3, 3000, p=[0.5, 0.3, 0.2]), draw.permutation(3000).astype(float)
    chosen = spread(place, labels, 300)
    assert len(set(chosen)) == 300 and (np.diff(place[chosen]) > 0).all()
    for label in range(3):
        own = np.sort(place[labels == label])
        positions = np.searchsorted(own, place[chosen][labels[chosen] == label])
        assert abs(len(positions) - len(own) / 10) < 2 and np.diff(positions).max() <= 11
    assert spread(place, labels, 5000).tolist() == np.argsort(place).tolist()


@pytest.mark.parametrize("shape", [(28, 28), (32, 32, 1), (32, 32, 3), (300, 500, 3), (1, 200)])
def test_images(shape):
    image = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    head, text = image_address(image).split(",")
    assert head == "data:image/webp;base64"
    with Image.open(io.BytesIO(base64.b64decode(text))) as picture:
        size = picture.size
    assert size == shape[1::-1] if max(shape[:2]) <= SIDE else max(size) == SIDE


def test_numbers():
    assert numbers(np.array([np.nan, np.inf, 0.123456, 12345678, 0])) == [None, None, 0.1235, 12350000, 0]


def record_of(folder: Path, classes: list[str], labels: np.ndarray, predictions: list[np.ndarray], multi_label=False):
    """A record with the same examples in both splits. predictions: K arrays (T, N)."""
    ids = [str(i) for i in range(len(labels))]
    begin_record(folder, ["lenet5"] * len(predictions), classes, {s: labels for s in SPLITS}, {s: ids for s in SPLITS}, multi_label)  # fmt: skip
    for k, network in enumerate(predictions):
        writer = RecordWriter(folder / f"network-{k + 1}", {s: len(labels) for s in SPLITS}, 2 ** len(classes) if multi_label else len(classes))  # fmt: skip
        for epoch, line in enumerate(network, 1):
            for split in SPLITS:
                writer.update(split, np.arange(len(labels)), line, np.full(len(labels), 0.4))
            writer.end_epoch(epoch=epoch)
    return LearningRecord(folder)


class Noise:
    """Endlessly many images of noise: the largest of files."""

    def __init__(self):
        self.images = np.random.default_rng(0).integers(0, 256, (64, 64, 64, 3), dtype=np.uint8)

    def __getitem__(self, i: int) -> np.ndarray:
        return self.images[i % 64]


def facts_of_noise(record: LearningRecord, names: list[str]) -> dict:
    draw = np.random.default_rng(0)
    tables = {split: pd.DataFrame({name: draw.normal(size=len(record.labels(split))) for name in names}, index=range(len(record.labels(split)))) for split in SPLITS}  # fmt: skip
    return example_facts(record, examples_table(record, tables), {split: Noise() for split in SPLITS}, names)


def test_less_than_ten_million_bytes_for_20000_images(monkeypatch, tmp_path):
    draw = np.random.default_rng(0)
    labels = draw.integers(0, 10, 20_000)
    predictions = [np.where(draw.random((60, 20_000)) < 0.5, labels, (labels + 1) % 10)] * 5
    record = record_of(tmp_path / "record", list("0123456789"), labels, predictions)
    monkeypatch.setattr(gallery, "SAMPLE", 2500)  # noise of 64 × 64 pixels, at 4 kB each, is far over the limit
    facts = facts_of_noise(record, list("abcd"))
    assert 500 < facts["sample"] < 2500
    assert len(json.dumps(facts)) + len(plot_script()) < 9e6


def test_sets_of_classes(tmp_path):
    """A label is a set of classes; the names of the page are those of the sets, its filter goes by class."""
    labels = np.array([1 << 40, (1 << 40) | 1, 0b11, 0b11])
    classes = [f"class {c}" for c in range(41)]
    record = record_of(tmp_path / "record", classes, labels, [np.array([[1 << 40, 1 << 40, 0b11, 0]])], True)
    facts = facts_of_noise(record, [])
    named = [facts["labels"][code] for code in facts["columns"]["label"]]
    assert {each["name"] for each in named} == {"class 40", "class 0, class 40", "class 0, class 1"}
    assert [each["name"] for each in facts["labels"] if not each["classes"]] == ["nothing"]
    assert {each["index"]: each["n"] for each in class_facts(record)} == {0: 3, 1: 2, 40: 2}


def test_classes_by_when_they_are_learned(tmp_path):
    labels, predictions = np.array([0, 0, 0, 1, 1]), [np.array([[0, 1, 1, 0, 0], [0, 0, 0, 0, 0]])]
    first, second = class_facts(record_of(tmp_path / "record", ["a", "b", "none"], labels, predictions))
    assert first == {"index": 0, "name": "a", "n": 3, "median": 0.5, "never": 0.0}
    assert second == {"index": 1, "name": "b", "n": 2, "median": 1.0, "never": 1.0}


# what a browser makes of it


@pytest.fixture
def watched(browser: Browser, tmp_path):
    """Opens a page's html as a file; at the end of the test nothing may have gone wrong, nor been asked of the network."""
    faults, contexts = [], []

    def look(html: str, **view) -> Page:
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **view})
        contexts.append(context)
        page = context.new_page()
        page.on(
            "console", lambda message: faults.append(message.text) if message.type in ("error", "warning") else None
        )
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("dialog", lambda dialog: faults.append(dialog.message))
        page.on("request", lambda request: None if request.url.startswith(("file:", "data:", "blob:")) else faults.append(request.url))  # fmt: skip
        write_page(tmp_path, html)
        path = tmp_path / "report.html"
        page.goto(path.as_uri())
        expect(page.locator(".plot:not(:has(svg.marks))")).to_have_count(0)
        return page

    yield look
    for context in contexts:
        context.close()
    assert faults == []


def test_all_is_drawn_and_names_are_shown_as_text(watched, measurement):
    page = watched(measurement)
    assert page.locator(".plot svg.marks").count() == 2 + 3 + 2 + 2
    assert page.title() == f"lenet5 on {SCRIPT}"
    assert page.locator("h1").text_content() == f"lenet5 on {SCRIPT}"
    headings = " ".join(page.locator(".row h3").all_text_contents())
    assert all(name in headings for name in CLASSES)
    options = page.locator("#gallery-class option").all_text_contents()
    assert options == ["all", *CLASSES]
    assert "</script><script>alert(3)</script>/" in page.locator("#gallery-cards").text_content()
    assert SCRIPT in page.locator("#order-statistic").text_content()
    assert page.locator("script").count() == 4


def test_a_comparison_shows_the_first_and_the_last_of_the_order(watched, comparison, splits):
    page = watched(comparison)
    rows = page.locator("section[aria-labelledby=ends] .row")
    expect(rows).to_have_count(2)
    order = np.argsort(splits["train"].labels)
    for row, index in zip(rows.all(), (order[:EACH], order[-EACH:]), strict=True):
        assert row.locator("small").all_inner_texts() == [f"{i / 7:.3g}" for i in index]
        assert all(image.evaluate("image => image.naturalWidth") > 0 for image in row.locator("img").all())


def test_only_what_no_network_ever_had_right_is_called_so(watched, measurement):
    columns = data_of(measurement)["examples"]["columns"]
    never = [part == 0 for part in columns["correctness"]]
    late = [first > EPOCHS and not none for first, none in zip(columns["first"], never, strict=True)]
    assert any(never) and any(late)  # some networks right in the last epoch only, others never
    texts = watched(measurement).evaluate("columns.id.map((_, i) => inWords(i))")
    assert [text == "wrong in all networks and epochs" for text in texts] == never


def test_everything_has_a_name_for_those_who_do_not_see(watched, measurement):
    page = watched(measurement)
    assert page.locator("img").count() > 48
    assert page.locator("img:not([alt]), img[alt='']").count() == 0
    unnamed = "els => els.filter(e => !e.labels?.length && !e.textContent.trim() && !e.ariaLabel).length"
    assert page.eval_on_selector_all("select, input, button", unnamed) == 0
    assert page.locator(".plot:not([aria-label])").count() == 0  # fmt: skip
    strip = page.locator("#gallery-cards .strip").first.get_attribute("aria-label")
    assert strip.startswith(f"epochs right, of {EPOCHS}, by network: ") and strip.count(",") == 1 + NETWORKS


def test_gallery_by_keyboard(watched, measurement):
    page = watched(measurement)
    status, data = page.locator("#gallery-status"), data_of(measurement)["examples"]
    columns, n = data["columns"], data["sample"]

    def cards() -> list[str]:
        return [text.split(" image ", 1)[1] for text in page.locator("#gallery-cards .card > p:last-child").all_text_contents()]  # fmt: skip

    def names(chosen) -> list[str]:
        return [columns["id"][i] for i in chosen]

    assert status.text_content() == "1 to 48 of 200" and cards() == names(range(48))
    page.locator("#gallery-class").focus()
    page.keyboard.press("ArrowDown")
    own = [i for i in range(n) if data["labels"][columns["label"][i]]["name"] == CLASSES[0]]
    assert status.text_content() == f"1 to 48 of {len(own)}" and cards() == names(own[:48])
    page.keyboard.press("Tab")
    page.keyboard.type("learned by n")  # none
    never = [i for i in own if not any(columns["networks"][i])]
    assert page.locator("#gallery-learned").input_value() == "none" and cards() == names(never)
    page.keyboard.press("Home")
    page.keyboard.press("Tab")
    page.keyboard.type("bold</B>")
    bold = [i for i in own if "bold</b>" in columns["id"][i]]
    assert cards() == names(bold[:48])
    page.keyboard.press("Control+A")
    page.keyboard.press("Delete")
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowDown")  # by the first statistic
    value = {i: columns["statistics"][i][0] for i in own}
    ordered = sorted(own, key=lambda i: (value[i] is None, value[i] or 0))
    assert cards() == names(ordered[:48])
    page.keyboard.press("Tab")
    page.keyboard.press("Space")  # last first; one without a number still comes last
    ordered = sorted(own, key=lambda i: (value[i] is None, -(value[i] or 0)))
    assert cards() == names(ordered[:48])
    page.locator("#gallery-next").focus()
    page.keyboard.press("Enter")
    assert status.text_content().startswith("49 to ") and cards() == names(ordered[48:96])
    expect(page.locator("#gallery-last")).to_be_disabled()
    page.locator("#gallery-name").fill("nothing is called so")
    assert status.text_content() == "No image is like that" and cards() == []


def test_points_by_pointer_and_keyboard(watched, measurement):
    page = watched(measurement)
    tip, points = page.locator("#tip"), page.locator("#points-order")
    expect(tip).to_be_hidden()
    points.locator(".mark-symbol path").nth(9).hover(force=True)
    expect(tip.locator("img")).to_be_visible()
    page.mouse.move(0, 0)
    expect(tip).to_be_hidden()
    page.locator("#order-ranks").focus()
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowRight")
    first = tip.locator("img").get_attribute("src")
    page.keyboard.press("ArrowRight")
    expect(points.locator(".ring")).to_be_visible()
    ring = points.locator(".ring").bounding_box()
    middle = np.array([ring["x"] + ring["width"] / 2, ring["y"] + ring["height"] / 2])
    boxes = points.locator(".mark-symbol path").evaluate_all("all => all.map(e => e.getBoundingClientRect().toJSON())")
    centres = np.array([[box["x"] + box["width"] / 2, box["y"] + box["height"] / 2] for box in boxes])
    assert np.abs(centres - middle).max(axis=1).min() < 1  # it lies on a point
    second = tip.locator("img").get_attribute("src")
    assert first != second
    page.keyboard.press("Enter")
    detail = page.locator("#detail")
    expect(detail).to_be_visible()
    assert detail.locator("img").get_attribute("src") == second
    page.keyboard.press("Escape")
    expect(detail).to_be_hidden()
    page.locator("#order-statistic").select_option(label=SCRIPT)
    page.locator("#order-ranks").check()
    expect(points.get_by_text(f"rank by {SCRIPT}")).to_be_visible()


def test_an_image_of_the_overview_in_detail(watched, measurement):
    page = watched(measurement)
    page.locator("#overview-rows button").first.focus()
    page.keyboard.press("Enter")
    expect(page.locator("#detail .strip")).to_be_visible()
    page.keyboard.press("Tab")
    page.locator("#detail-close").press("Enter")
    expect(page.locator("#detail")).to_be_hidden()


def test_labels_are_judged_and_saved(watched, measurement, splits, tmp_path):
    page = watched(measurement)
    data = data_of(measurement)["examples"]
    positions, columns = data["suspects"], data["columns"]
    names = [data["labels"][columns["label"][i]]["name"] for i in positions]
    items = page.locator("#suspects li:visible")
    expect(items).to_have_count(48)
    page.get_by_role("button", name="Show all 200").click()
    expect(items).to_have_count(200)
    assert f"labelled {names[0]}" in items.first.inner_text()
    expect(page.locator("#suspects-save")).to_be_disabled()
    items.first.locator("button").press("Enter")
    page.locator("#judge-right").press("Enter")  # goes on to the next
    page.locator("#judge-wrong").click()
    page.locator("#judge-next").click()
    page.locator("#judge-class").select_option(CLASSES[1])
    page.locator("#detail-close").click()
    marks = page.locator("#suspects .mark").all_inner_texts()[:5]
    assert marks == ["right", "wrong", "", f"is {CLASSES[1]}", ""]
    with page.expect_download() as found:
        page.locator("#suspects-save").click()
    table = Path(found.value.path())
    assert found.value.suggested_filename == "fixed.csv"
    page.locator("#suspects-copy summary").click()
    assert page.locator("#suspects-table").input_value() == table.read_bytes().decode()  # where nothing can be saved
    read = pd.read_csv(table, dtype=str, keep_default_na=False)
    assert read["id"].tolist() == [columns["id"][i] for i in (positions[0], positions[1], positions[3])]
    assert read["label"].tolist() == [names[0], "", CLASSES[1]]
    fixed = with_corrections(Data(splits["train"], splits["test"], CLASSES), str(table), tmp_path)
    moved = names[3] != CLASSES[1]
    assert (
        f"{moved:d} label{'' if moved else 's'} changed, 1 image left out, {2 - moved} of the table as before"
        in fixed.notes[0]
    )
    page.locator("#overview-rows button").first.click()  # what is no suspect is not judged
    expect(page.locator("#judge")).to_be_hidden()


@pytest.mark.parametrize(
    ("name", "plot", "told"),
    [
        ("measurement", "#plot-agreement-train", ["epoch", "agreement", "lower bound", "chance", "accuracy"]),
        ("comparison", "#plot-drawn-1", ["after step", "to step", "share of the draws"]),
        ("comparison", "#plot-effects", ["arms", "value", "low", "high", "p, corrected"]),
    ],
)
def test_tips_are_in_words(watched, name, plot, told, request):
    page = watched(request.getfixturevalue(name))
    drawn = page.locator(f"{plot} svg.marks")
    mark = page.locator(f"{plot} .mark-symbol path").last if "effects" in plot else drawn
    mark.hover(force=True)
    tip = page.locator("#vg-tooltip-element.visible")
    expect(tip).to_be_visible()
    assert {*told} <= {*tip.locator("td.key").all_inner_texts()}
    assert "undefined" not in tip.inner_text() and "0000" not in tip.inner_text()


def test_arms_of_one_pacing_are_one_picture(watched, comparison):
    page = watched(comparison)
    titles = page.locator("section[aria-labelledby=drawn] h3").all_inner_texts()
    assert titles == ["Pacing", "shuffled", "curriculum, anti, random"]


@pytest.mark.parametrize("name", ["measurement", "comparison"])
def test_on_a_phone_nothing_is_wider_than_the_screen(watched, name, request):
    view = {"viewport": {"width": 360, "height": 700}, "is_mobile": True, "has_touch": True}
    page = watched(request.getfixturevalue(name), **view)
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    over = "all => all.filter(e => !e.closest('.wide') && e.getBoundingClientRect().right > 361).map(e => e.outerHTML)"
    assert page.locator("main *:visible:not(svg *)").evaluate_all(over) == []
    tables = page.locator("figure.table:visible")
    assert tables.count() == (1 if name == "measurement" else 2)
    for table in tables.all():  # says that it scrolls, and does; its caption does not
        said = table.locator("figcaption").evaluate("e => getComputedStyle(e, '::after').content")
        wide = table.locator(".wide").evaluate("e => e.scrollWidth > e.clientWidth")
        assert wide == ("sideways" in said)
    assert "scrolls" in tables.first.get_attribute("class")
    if name == "measurement":  # nor is a legend cut off
        for place in ("#plot-agreement-train", "#plot-kinds-0"):
            svg, *entries = (
                each.bounding_box()
                for each in page.locator(f"{place} svg.marks, {place} .role-legend-label text").all()
            )
            assert len(entries) == 3 and all(
                entry["y"] + entry["height"] <= svg["y"] + svg["height"] + 1 for entry in entries
            )


@pytest.mark.parametrize("name", ["measurement", "comparison"])
def test_light_dark_and_on_paper(watched, name, request):
    page = watched(request.getfixturevalue(name), color_scheme="dark")

    def brightness(selector: str, what: str) -> float:
        colour = page.locator(selector).first.evaluate(f"e => getComputedStyle(e).{what}")
        return sum(map(int, colour.strip("rgb()").split(","))) / 765

    assert brightness("body", "backgroundColor") < 0.2 and brightness("body", "color") > 0.8
    assert brightness(".plot svg text", "fill") > 0.8
    page.emulate_media(color_scheme="light")
    assert brightness("body", "backgroundColor") == 1 and brightness(".plot svg text", "fill") < 0.3
    page.emulate_media(color_scheme="dark", media="print")
    assert brightness("body", "backgroundColor") == 1 and brightness(".plot svg text", "fill") < 0.3
    if name == "measurement":
        expect(page.locator("#gallery-next")).to_be_hidden()
        expect(page.locator("#gallery-cards img").first).to_be_visible()


def test_in_the_sandboxed_frame_of_mlflows_viewer(watched, measurement):
    """MLflow shows a page as a blob, in a frame that has scripts and nothing else: no storage, no forms, no anchors."""
    page = watched("<title>a page of MLflow's</title>")
    page.evaluate(
        """html => {
            document.body.innerHTML = '<iframe sandbox="allow-scripts" width="900" height="700"></iframe>';
            document.querySelector('iframe').src = URL.createObjectURL(new Blob([html], {type: 'text/html'}));
        }""",
        measurement,
    )
    frame = page.frame_locator("iframe")
    expect(frame.locator("#points-map svg.marks")).to_be_visible()
    frame.get_by_role("link", name="Gallery").click()
    expect(frame.locator("#gallery")).to_be_in_viewport()
    frame.locator("#overview-rows button").first.press("Enter")
    expect(frame.locator("#detail img")).to_be_visible()
    frame.locator("#detail-close").press("Enter")
    frame.locator("#suspects button").first.press("Enter")
    frame.locator("#judge-wrong").press("Enter")
    expect(frame.locator("#suspects-save")).to_be_hidden()  # nothing can be saved there
    expect(frame.locator("#suspects-table")).to_have_value(re.compile(r"^id,label\n.+,\n$", re.DOTALL))


@pytest.mark.parametrize(("statistics", "epochs", "networks"), [([], 2, 2), (["entropy"], 1, 1)])
def test_little_to_show(watched, splits, tmp_path, statistics, epochs, networks):
    html = report(tmp_path / "record", splits, statistics, epochs, networks)
    page = watched(html)
    expect(page.locator("#gallery-cards .card")).to_have_count(48)
    assert page.locator("#points-order").count() == len(statistics)
