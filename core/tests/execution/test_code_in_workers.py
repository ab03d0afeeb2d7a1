"""A worker imports a step's module afresh; what the program changed since its import, the worker does not have."""

from __future__ import annotations

from dovetail import Client

_FLOW = """
    import sys
    from dovetail import pipeline, step

    MODE = "as written"

    @step(isolated=True)
    def tell() -> str:
        return MODE

    @step(isolated=True)
    def other(number: int) -> int:
        return number

    @pipeline
    def telling():
        tell()
        other(1)

    if __name__ == "__main__":
        MODE = sys.argv[1]
        run = telling()
        print(run.steps["tell"].output.load())
"""


def test_a_result_of_other_code_than_the_key_says_is_not_cached_and_says_so(programs) -> None:
    programs.write("flow.py", _FLOW)
    assert programs.run("flow.py", "changed") == "as written\n"
    run = Client().list_runs()[0]
    assert "flow:MODE had been changed" in run.steps["tell"].outcome["uncached"]
    assert "key" not in run.steps["tell"].outcome
    programs.run("flow.py", "changed")
    run = Client().list_runs()[0]
    assert [run.steps[name].status.value for name in ("tell", "other")] == ["completed", "cached"]


def test_a_result_of_the_code_that_the_key_says_is_cached(programs) -> None:
    programs.write("flow.py", _FLOW)
    for status in ("completed", "cached"):
        assert programs.run("flow.py", "as written") == "as written\n"
        assert Client().list_runs()[0].steps["tell"].status == status
