"""What a step asks of its surroundings is part of its result: when an answer changes, it runs again."""

from __future__ import annotations

import os
import signal
import time

import pytest

_READS = """
    import os
    from pathlib import Path
    from dovetail import pipeline, step

    @step
    def opens() -> str:
        return open("data.csv").read()

    @step
    def named(path: Path) -> int:
        return os.path.getsize(path)

    @step
    def by_text(path: str) -> str:
        with open(path) as file:
            return file.read()

    @step
    def unrelated() -> int:
        return 1

    @pipeline
    def p():
        opens()
        named(Path("data.csv"))
        by_text("data.csv")
        unrelated()
"""
_ALL = {"opens": "completed", "named": "completed", "by_text": "completed", "unrelated": "completed"}
_NONE = dict.fromkeys(_ALL, "cached")


@pytest.fixture
def reading(edited):
    """A project whose steps have read its file once."""
    edited.write(flow=_READS)
    (edited.folder / "data.csv").write_text("1,2\n")
    assert edited.run() == _ALL
    return edited


def test_an_edited_file_runs_the_steps_again_that_read_it_or_whose_parameter_names_it(reading) -> None:
    (reading.folder / "data.csv").write_text("1,3,4\n")
    assert reading.run() == {**_ALL, "unrelated": "cached"}
    assert reading.run() == _NONE


def test_an_edit_of_the_same_size_with_the_time_set_back_is_seen(reading) -> None:
    path = reading.folder / "data.csv"
    before = path.stat()
    path.write_text("9,2\n")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_size == before.st_size and path.stat().st_mtime_ns == before.st_mtime_ns
    assert reading.run() == {**_ALL, "unrelated": "cached"}


def test_a_file_that_was_only_touched_or_replaced_by_its_like_runs_nothing_again(reading) -> None:
    path = reading.folder / "data.csv"
    os.utime(path)
    assert reading.run() == _NONE
    path.unlink()
    path.write_text("1,2\n")
    assert reading.run() == _NONE


def test_an_edit_that_is_undone_takes_the_earlier_result(reading) -> None:
    path = reading.folder / "data.csv"
    path.write_text("other\n")
    reading.run()
    path.write_text("1,2\n")
    assert reading.run() == _NONE


def test_a_file_that_is_gone_is_noticed(reading) -> None:
    (reading.folder / "data.csv").unlink()
    with pytest.raises(AssertionError, match="No such file or directory: 'data.csv'"):
        reading.run()


@pytest.mark.parametrize(
    "body",
    [
        "return sorted(os.listdir('inbox'))",
        "return sorted(path.name for path in Path('inbox').iterdir())",
        "return sorted(glob.glob('inbox/*'))",
        "return sorted(name for _, _, names in os.walk('inbox') for name in names)",
        "return sorted(entry.name for entry in os.scandir('inbox'))",
        "return sorted(path.name for path in Path('inbox').rglob('*'))",
    ],
)
def test_a_folder_that_a_step_lists_counts_by_its_names(edited, body) -> None:
    edited.write(flow=f"""
        import glob, os
        from pathlib import Path
        from dovetail import pipeline, step

        @step
        def lists() -> list[str]:
            {body}

        @pipeline
        def p():
            lists()
    """)
    (edited.folder / "inbox").mkdir()
    (edited.folder / "inbox" / "a.csv").write_text("1")
    assert edited.run() == {"lists": "completed"}
    assert edited.run() == {"lists": "cached"}
    (edited.folder / "inbox" / "b.csv").write_text("2")
    assert edited.run() == {"lists": "completed"}


def test_a_folder_that_a_parameter_names_counts_with_all_below_it(edited) -> None:
    edited.write(flow="""
        from pathlib import Path
        from dovetail import pipeline, step

        @step
        def takes(folder: Path) -> int:
            return 1

        @pipeline
        def p():
            takes(Path("inbox"))
    """)
    deep = edited.folder / "inbox" / "below" / "a.csv"
    deep.parent.mkdir(parents=True)
    deep.write_text("1")
    assert edited.run() == {"takes": "completed"}
    assert edited.run() == {"takes": "cached"}
    deep.write_text("2")
    assert edited.run() == {"takes": "completed"}


def test_files_read_by_pandas_numpy_and_json_are_seen(edited) -> None:
    pytest.importorskip("pandas")
    edited.write(flow="""
        import json
        import numpy, pandas
        from dovetail import pipeline, step

        @step
        def by_pandas() -> float:
            return float(pandas.read_csv("t.csv")["a"].sum())

        @step
        def by_numpy() -> float:
            return float(numpy.load("t.npy").sum())

        @step
        def by_json() -> int:
            with open("t.json") as file:
                return json.load(file)["a"]

        @pipeline
        def p():
            by_pandas(), by_numpy(), by_json()
    """)
    import json

    import numpy

    def fill(number: int) -> None:
        (edited.folder / "t.csv").write_text(f"a\n{number}\n")
        numpy.save(edited.folder / "t.npy", numpy.array([number]))
        (edited.folder / "t.json").write_text(json.dumps({"a": number}))

    fill(1)
    assert set(edited.run().values()) == {"completed"}
    assert set(edited.run().values()) == {"cached"}
    fill(2)
    assert set(edited.run().values()) == {"completed"}


def test_a_file_that_the_step_wrote_itself_is_no_reading(edited) -> None:
    edited.write(flow="""
        from pathlib import Path
        from dovetail import pipeline, step

        @step
        def scratch() -> str:
            Path("scratch.txt").write_text("x")
            return Path("scratch.txt").read_text()

        @pipeline
        def p():
            scratch()
    """)
    assert edited.run() == {"scratch": "completed"}
    (edited.folder / "scratch.txt").unlink()
    assert edited.run() == {"scratch": "cached"}


def test_a_file_that_did_not_exist_when_the_step_looked_is_noticed_when_it_does(edited) -> None:
    edited.write(flow="""
        from dovetail import pipeline, step

        @step
        def tries() -> str:
            try:
                return open("maybe.txt").read()
            except FileNotFoundError:
                return "none"

        @pipeline
        def p():
            tries()
    """)
    assert edited.run() == {"tries": "completed"}
    assert edited.run() == {"tries": "cached"}
    (edited.folder / "maybe.txt").write_text("here")
    assert edited.run() == {"tries": "completed"}


def test_a_file_read_in_a_worker_process_is_seen_as_well(edited) -> None:
    edited.write(flow=_READS.replace("@step\n    def opens", "@step(isolated=True)\n    def opens"))
    (edited.folder / "data.csv").write_text("1,2\n")
    assert edited.run() == _ALL
    assert edited.run() == _NONE
    (edited.folder / "data.csv").write_text("2,2\n")
    assert edited.run() == {**_ALL, "unrelated": "cached"}


def test_a_file_of_a_project_that_lies_in_the_cache_folder_is_seen_as_well(edited) -> None:
    edited.write(flow=_READS)
    (edited.folder / "data.csv").write_text("1,2\n")
    inside = {"DOVETAIL_CACHE": str(edited.folder.parent)}
    assert edited.run(env=inside) == _ALL
    assert edited.run(env=inside) == _NONE
    (edited.folder / "data.csv").write_text("2,2\n")
    assert edited.run(env=inside) == {**_ALL, "unrelated": "cached"}


def test_a_module_that_a_step_imports_when_it_runs_is_no_reading_of_data(edited) -> None:
    edited.write(flow="""
        from dovetail import pipeline, step

        @step
        def imports() -> int:
            import json.tool, wave
            return 1

        @pipeline
        def p():
            imports()
    """)
    assert edited.run() == {"imports": "completed"}
    assert edited.run() == {"imports": "cached"}


def test_a_library_that_looks_for_its_own_version_lists_no_folder_of_the_project(edited) -> None:
    edited.write(flow="""
        from dovetail import pipeline, step

        @step
        def asks() -> bool:
            from importlib import invalidate_caches, metadata
            invalidate_caches()
            return bool(metadata.version("dovetail"))

        @pipeline
        def p():
            asks()
    """)
    assert edited.run() == {"asks": "completed"}
    (edited.folder / "notes.txt").write_text("new")
    assert edited.run() == {"asks": "cached"}


def test_removing_a_folder_elsewhere_reads_nothing_of_the_project_that_has_the_same_name(edited) -> None:
    edited.write(flow="""
        import os, shutil, tempfile
        from dovetail import pipeline, step

        @step
        def tidies() -> int:
            folder = tempfile.mkdtemp()
            os.makedirs(os.path.join(folder, "data", "below"))
            shutil.rmtree(folder)
            return 1

        @pipeline
        def p():
            tidies()
    """)
    (edited.folder / "data").mkdir()
    assert edited.run() == {"tidies": "completed"}
    (edited.folder / "data" / "new.csv").write_text("1")
    assert edited.run() == {"tidies": "cached"}


def test_another_component_in_the_stack_runs_the_steps_again_that_asked_for_it(edited, apply_stack, isolated, store_root) -> None:
    same = ("local", "default", {"path": str(store_root)})
    apply_stack("one", artifact_store=same, model_deployer=("local", "d1", {}), experiment_tracker=("local", "t1", {"path": str(isolated / "t1")}))
    apply_stack("two", artifact_store=same, model_deployer=("local", "d2", {}), experiment_tracker=("local", "t1", {"path": str(isolated / "t1")}))
    apply_stack("three", artifact_store=same, model_deployer=("local", "d1", {}), experiment_tracker=("local", "t2", {"path": str(isolated / "t2")}))
    edited.write(flow="""
        from dovetail import Client, get_step_context, pipeline, step

        @step
        def asks_deployer() -> str:
            return Client().active_stack.model_deployer.name

        @step
        def asks_tracker() -> str:
            return get_step_context().stack.experiment_tracker.name

        @step
        def asks_nothing() -> int:
            return 1

        @pipeline
        def p():
            asks_deployer(), asks_tracker(), asks_nothing()
    """)
    ran, kept = "completed", "cached"
    assert list(edited.run({"stack": "one"}).values()) == [ran, ran, ran]
    assert list(edited.run({"stack": "one"}).values()) == [kept, kept, kept]
    assert list(edited.run({"stack": "two"}).values()) == [ran, kept, kept]
    assert list(edited.run({"stack": "three"}).values()) == [kept, ran, kept]


def test_another_version_in_a_stage_runs_the_steps_again_that_asked_for_it(edited) -> None:
    from dovetail import Client, Model, pipeline, step

    @step(enable_cache=False)
    def train() -> int:
        return 1

    @pipeline(model=Model("m"))
    def training() -> None:
        train()

    edited.write(flow="""
        from dovetail import Client, pipeline, step
        from dovetail.errors import NotFound

        @step
        def by_stage() -> int:
            try:
                return Client().get_model_version("m", "production").version
            except NotFound:
                return 0

        @step
        def newest() -> int:
            return Client().get_model_version("m").version

        @pipeline
        def p():
            by_stage(), newest()
    """)
    training()
    assert edited.run() == {"by_stage": "completed", "newest": "completed"}
    assert edited.run() == {"by_stage": "cached", "newest": "cached"}
    Client().get_model_version("m", 1).promote("production")
    assert edited.run() == {"by_stage": "completed", "newest": "cached"}
    training()
    assert edited.run() == {"by_stage": "cached", "newest": "completed"}
    Client().get_model_version("m", 2).promote("production")
    assert edited.run() == {"by_stage": "completed", "newest": "cached"}


def test_another_version_of_an_artifact_runs_the_steps_again_that_loaded_it(edited) -> None:
    from dovetail import save_artifact

    edited.write(flow="""
        from dovetail import Client, load_artifact, pipeline, step

        @step
        def newest() -> int:
            return load_artifact("given")

        @step
        def fixed() -> int:
            return load_artifact("given", 1)

        @pipeline
        def p():
            newest(), fixed()
    """)
    save_artifact(5, "given")
    assert edited.run() == {"newest": "completed", "fixed": "completed"}
    assert edited.run() == {"newest": "cached", "fixed": "cached"}
    save_artifact(6, "given")
    assert edited.run() == {"newest": "completed", "fixed": "cached"}
    save_artifact(6, "given")
    assert edited.run() == {"newest": "cached", "fixed": "cached"}  # the same content


def test_a_deployment_that_died_runs_the_step_again_that_made_it(edited, isolated) -> None:
    edited.write(flow="""
        from dovetail import Client, pipeline, step

        @step
        def train() -> list[float]:
            return [1.0, 2.0]

        @step
        def deploy(model: list[float]) -> str:
            return Client().active_stack.model_deployer.deploy_model(config={"model": Model(2), "model_name": "served"}).url

        class Model:
            def __init__(self, factor):
                self.factor = factor
            def predict(self, rows):
                return [row[0] * self.factor for row in rows]

        @pipeline
        def p():
            deploy(train())
    """)
    from dovetail import Client

    ignored = {"PYTHONWARNINGS": "ignore"}
    try:
        assert edited.run(env=ignored) == {"train": "completed", "deploy": "completed"}
        assert edited.run(env=ignored) == {"train": "cached", "deploy": "cached"}
        deployment = Client().get_deployment("served")
        assert deployment.status == "running"
        _kill(deployment)
        assert edited.run(env=ignored) == {"train": "cached", "deploy": "completed"}
        assert Client().get_deployment("served").status == "running"
    finally:
        for each in Client().list_deployments():
            each.stop()


def _kill(deployment) -> None:
    for process in deployment.record["handle"]["processes"]:
        os.kill(process["pid"], signal.SIGKILL)
    until = time.monotonic() + 10
    while deployment.status == "running":
        assert time.monotonic() < until
        time.sleep(0.05)
