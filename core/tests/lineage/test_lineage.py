"""A run's lineage: what is in it, and how it is drawn."""

from __future__ import annotations

import itertools
import json
import random
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from typing import Any

import pytest

from dovetail import Client, RunFailed
from dovetail.client.lineage import OUTSIDE, Lineage, LineageStep, as_json, lineage_of
from dovetail.client.lineage_layout import lay_out
from dovetail.client.lineage_svg import html, svg
from dovetail.client.lineage_tree import tree

from .conftest import made, study

SVG = "{http://www.w3.org/2000/svg}"


def failed(**parameters: Any) -> Any:
    with pytest.raises(RunFailed) as failure:
        study(**parameters)
    return failure.value.run


# -- what is in it ---------------------------------------------------------------------------------------------------------


def test_steps_artifacts_and_versions_are_in_it() -> None:
    lineage = lineage_of(study())
    assert set(lineage.steps) == {"read", "check", "split", "weights", "train", "square", "total"}
    train = lineage.steps["train"]
    assert (train.status, train.metrics, train.gives) == ("completed", {"loss": 0.25}, (("train", "model"),))
    assert train.takes[:2] == (("split", "left"), ("weights", "weights"))
    model = lineage.artifacts["train", "model"]
    assert (model.label, model.type) == ("model v1", "builtins:float")
    assert lineage.steps["read"].parameters == {"rows": 6}
    assert lineage.steps["split"].awaits == ("check",)


def test_a_value_from_outside_is_an_artifact_without_a_step() -> None:
    lineage = lineage_of(study())
    (outside,) = [artifact for artifact in lineage.artifacts.values() if artifact.producer == OUTSIDE]
    assert outside.digest in [key[1] for key in lineage.steps["train"].takes]
    assert outside.type == "builtins:list"


def test_a_mapped_step_counts_its_children_by_status() -> None:
    study(rows=3)
    lineage = lineage_of(study(rows=5))
    assert lineage.steps["square"].children == {"cached": 3, "completed": 2}
    assert not any("." in name for name in lineage.steps)


def test_cached_and_failed_steps_are_told_apart_with_the_reason() -> None:
    study()
    lineage = lineage_of(failed(fail=True))
    statuses = {name: step.status for name, step in lineage.steps.items()}
    assert statuses["read"] == "cached"
    assert (statuses["check"], lineage.steps["check"].error) == ("failed", "ValueError: too many <rows> & more")
    assert (statuses["split"], lineage.steps["split"].why) == ("skipped", "step 'check' failed")
    assert lineage.artifacts["split", "left"].digest is None


def test_a_lineage_is_data() -> None:
    data = json.loads(json.dumps(as_json(lineage_of(study()))))
    takes = [data["artifacts"][number] for number in data["steps"]["total"]["takes"]]
    assert [(each["producer"], each["output"]) for each in takes] == [("square", "output"), ("train", "model")]


def test_a_lineage_needs_neither_code_nor_payload(home: Any) -> None:
    run = study()
    for manifest in (home / "store" / "artifacts").glob("*/manifest.json"):
        manifest.unlink()
    lineage = lineage_of(Client().get_run(run.id))
    assert lineage.artifacts["train", "model"].label == "model v1"
    assert any(artifact.producer == OUTSIDE and artifact.type is None for artifact in lineage.artifacts.values())


# -- as text ---------------------------------------------------------------------------------------------------------------


def lines_of(lineage: Lineage) -> list[str]:
    return list(tree(lineage))


def test_a_chain_runs_down_one_column() -> None:
    chain = made(("a", "b"), ("b", "c"))
    assert lines_of(chain) == [
        "● a  completed 1.0 s",
        "│   ↳ output v1  int · 3 bytes",
        "● b  completed 1.0 s",
        "│   ↳ output v1  int · 3 bytes",
        "● c  completed 1.0 s",
        "    ↳ output v1  int · 3 bytes",
    ]


def test_a_fork_branches_off_and_the_longest_way_goes_on() -> None:
    names = [line for line in lines_of(made(("a", "b"), ("a", "c"), ("c", "d"), ("b", "e"), ("d", "f"))) if "completed" in line]
    assert [name.rpartition("  ")[0] for name in names] == ["● a", "├─● b", "│ ● e", "● c", "● d", "● f"]


def test_a_join_stands_below_the_last_of_what_it_takes_and_names_the_rest() -> None:
    lines = lines_of(made(("a", "c"), ("b", "c")))
    assert lines[-2] == "● c  completed 1.0 s · takes also a.output v1"
    assert lines[2].startswith("● b")


def test_every_step_stands_exactly_once_in_any_graph() -> None:
    for seed in range(40):
        graph = some_graph(random.Random(seed))
        drawn = [line.split("● ")[1].split("  ")[0] for line in lines_of(graph) if "● " in line]
        assert sorted(drawn) == sorted(graph.steps), seed


def test_states_are_marked_and_reasons_cut_to_one_line() -> None:
    study()
    text = "\n".join(lines_of(lineage_of(failed(fail=True))))
    assert "○ read  cached" in text
    assert "✗ check  failed" in text
    assert "ValueError: too many <rows> & more" in text
    assert "◌ split  skipped · step 'check' failed" in text
    long = LineageStep("long", "failed", error="a\nb" * 200)
    (line,) = lines_of(Lineage("i", "n", "p", "s", "failed", 1.0, {"long": long}, {}))
    assert len(line) < 120


def test_a_chain_of_ten_thousand_steps_can_be_drawn() -> None:
    chain = made(*((f"s{number}", f"s{number + 1}") for number in range(10_000)))
    assert len(lines_of(chain)) == 2 * 10_001


# -- as a picture ----------------------------------------------------------------------------------------------------------


def some_graph(chance: random.Random) -> Lineage:
    names = [f"n{number}" for number in range(chance.randint(2, 14))]
    edges = [(above, below) for above, below in itertools.combinations(names, 2) if chance.random() < 0.3]
    return made(*edges, (names[0], names[-1]))


def test_every_line_leads_downwards_and_no_two_steps_overlap() -> None:
    for seed in range(40):
        graph = some_graph(random.Random(seed))
        widths = {name: 60.0 + 10 * (number % 5) for number, name in enumerate(graph.steps)}
        layout = lay_out(graph, widths)
        assert all(layout.layer[line.producer] < layout.layer[line.target] for line in layout.lines)
        assert all(len(line.bends) == layout.layer[line.target] - layout.layer[line.producer] - 1 for line in layout.lines)
        for one, two in itertools.combinations(graph.steps, 2):
            if layout.layer[one] == layout.layer[two]:
                assert abs(layout.x[one] - layout.x[two]) >= (widths[one] + widths[two]) / 2, (seed, one, two)
        assert all(layout.left <= layout.x[name] - widths[name] / 2 and layout.x[name] + widths[name] / 2 <= layout.right for name in graph.steps)


def test_a_chain_is_drawn_straight_down() -> None:
    layout = lay_out(made(("a", "b"), ("b", "c"), ("c", "d")), dict.fromkeys("abcd", 80.0))
    assert len({round(x, 6) for x in layout.x.values()}) == 1


def texts(drawn: str) -> list[str]:
    return [element.text or "" for element in ET.fromstring(drawn).iter(f"{SVG}text")]


def test_a_picture_shows_steps_versions_and_states() -> None:
    study()
    drawn = svg(lineage_of(failed(fail=True)))
    shown = texts(drawn)
    for told in ("read", "○ cached", "check", "rows v1", "◌ skipped", "left"):
        assert told in shown
    assert any(text.startswith("✗ failed · ") for text in shown)
    classes = [element.get("class") for element in ET.fromstring(drawn).iter(f"{SVG}rect")]
    assert {"card cached", "card failed", "card skipped"} <= set(classes)
    titles = [element.text or "" for element in ET.fromstring(drawn).iter(f"{SVG}title")]
    assert any("ValueError: too many <rows> & more" in title for title in titles)


def test_a_picture_draws_a_line_for_each_artifact_taken() -> None:
    drawn = ET.fromstring(svg(lineage_of(study())))
    paths = [element.get("class") for element in drawn.iter(f"{SVG}path")]
    assert (paths.count("line"), paths.count("line order")) == (7, 1)


def test_everything_lies_inside_the_picture() -> None:
    drawn = ET.fromstring(svg(lineage_of(study())))
    width, height = (float(drawn.get(name) or 0) for name in ("width", "height"))
    for rect in drawn.iter(f"{SVG}rect"):
        if rect.get("class") != "back":
            x, y, w, h = (float(rect.get(name) or 0) for name in ("x", "y", "width", "height"))
            assert 0 <= x
            assert 0 <= y
            assert x + w <= width
            assert y + h <= height


def test_picture_and_page_stand_alone() -> None:
    lineage = lineage_of(study())
    for text in (svg(lineage), html(lineage)):
        rest = text.replace('xmlns="http://www.w3.org/2000/svg"', "")
        for word in ("http:", "https:", "<script", "<link", "@import", "url(", "src=", "href=", "<img", "<iframe"):
            assert word not in rest


class Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: Any) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def test_a_page_is_well_formed_and_has_the_facts_beside_the_picture() -> None:
    study()
    run = failed(fail=True)
    reader = Reader()
    reader.feed(html(lineage_of(run)))
    assert reader.open == []
    said = " ".join(reader.text)
    for told in (run.name, run.id, "fail = True", "failed · ValueError: too many <rows> & more", "rows v1"):
        assert told in said


def test_hostile_names_are_text_in_picture_and_page() -> None:
    evil = '"><script>alert(1)</script>\x07'
    step = LineageStep(evil, evil, error=evil, parameters={evil: evil}, metrics={evil: 1.0}, why=evil)
    lineage = Lineage(evil, evil, evil, evil, evil, 1.0, {evil: step}, {})
    ET.fromstring(svg(lineage).replace("\x07", ""))
    for text in (svg(lineage), html(lineage)):
        assert "<script" not in text


def test_a_long_name_is_cut_in_the_picture() -> None:
    name = "n" * 150
    drawn = svg(made((name, "b")))
    assert name not in texts(drawn)
    assert float(ET.fromstring(drawn).get("width") or 0) < 700
