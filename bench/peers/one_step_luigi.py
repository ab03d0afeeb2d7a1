from __future__ import annotations

import json
import time

import luigi


class One(luigi.Task):  # type: ignore[misc]
    start = luigi.IntParameter()

    def output(self) -> luigi.LocalTarget:
        return luigi.LocalTarget(f"outputs/{self.task_id}.json")

    def run(self) -> None:
        with self.output().open("w") as file:
            json.dump(self.start, file)


if __name__ == "__main__":
    luigi.build([One(start=time.time_ns())], local_scheduler=True, log_level="WARNING")
