"""What steps are given, what they say, and what the store keeps of it under names."""

from __future__ import annotations

from matrix.cases.registered import case
from matrix.site import Site


@case("Parameters, metrics and metadata of steps", sliced=True)
def said(site: Site) -> None:
    step = site.run("said:talkative").steps["trained"]
    assert [value for value, _, _ in step.metric_history("loss")] == [1.0, 0.5, 1 / 3]
    assert step.params["layers"] == [64, 32]


@case("Metadata, tags and kinds of artifacts")
def artifact_metadata(site: Site) -> None:
    artifact = site.run("said:report").steps["reported"].outputs["report"]
    assert {"by": "config", "rows": 3, "checked": True}.items() <= artifact.metadata.items()
    assert (artifact.kind, artifact.tags) == ("statistics", ("weekly",))


@case("Model versions and stages")
def models(site: Site) -> None:
    for rows in (10, 20):
        site.run("said:training", {"rows": rows})
        site.run("said:scoring")
    versions = site.client.get_model("churn").versions
    site.note(
        models={
            version.version: [version.stage, version.metadata, version.metrics, version.description, version.tags, version.run.name, sorted(version.artifacts)]
            for version in versions
        }
    )
    assert {version.version: version.stage for version in versions} == {2: "production", 1: "archived"}
    assert site.client.get_artifact("scoring.scored.output").load() == {"by_version": 2, "score": 40}


@case("Parameters of every kind")
def parameters(site: Site) -> None:
    taken = site.run("given:parameters").steps["taken"].output.load()
    assert taken["several"] == "set ['x', 'y']"
    assert taken["pair"] == "tuple (1, 'one')"


@case("External artifacts")
def external(site: Site) -> None:
    assert site.run("given:from_outside").steps["counted"].output.load() == {"words": 2, "größe": 2000}


@case("Parallel writers of one artifact name")
def writers(site: Site) -> None:
    run = site.run("said:writers", noted=False)
    versions = {artifact.version or 0: artifact.load() for artifact in site.client.list_artifacts("shared")}
    assert sorted(versions) == [1, 2, 3, 4, 5, 6]
    site.note(numbers=sorted(versions), values=sorted(versions.values()), status=run.status)  # which writer came first is chance


@case("`save_artifact` and `load_artifact` in steps")
def saved_artifacts(site: Site) -> None:
    site.run("said:keeping", {"word": "rye"})
    last = site.run("said:keeping", {"word": "spelt"})
    assert last.steps["finds"].output.load() == {"word": "spelt", "first": "rye", "said": "kept.word 2"}
    site.note(kept=[[kept.version, kept.metadata, kept.digest] for kept in site.client.list_artifacts("kept.word")])


@case("What steps print and log")
def logs(site: Site) -> None:
    steps = site.run("said:logs").steps
    assert steps["chatty"].log() == "Zeile 0 von größe, 数据\nZeile 1 von größe, 数据\nZeile 2 von größe, 数据\nno newline at the end"
    assert steps["warned"].log() == "to stderr\nWARNING bakery: the oven is hot\n"
    assert steps["silent"].log() == ""
