"""A service as BentoML's own documentation has them, to measure the deployer `bentoml` against: `bentoml serve bare_bento:Bare`, MODEL its pickle."""

import os
import pickle

import bentoml
import numpy as np


@bentoml.service(logging={"access": {"enabled": False}})
class Bare:
    def __init__(self) -> None:
        with open(os.environ["MODEL"], "rb") as file:
            self.model = pickle.load(file)

    @bentoml.api
    def predict_proba(self, instances: np.ndarray) -> np.ndarray:
        return self.model.predict_proba(instances)
