"""Serves models by BentoML on this machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from dovetail.components import Deployment
from dovetail.errors import DeploymentError, MaterializerError
from dovetail.local.model_deployer import LocalModelDeployer

if TYPE_CHECKING:
    from dovetail.components.serving.folder import ServingFolder

_BENTO = "dovetail_bentoml.materializer:BentoMaterializer"


class BentoMLModelDeployer(LocalModelDeployer):
    """Deploys models, and Bentos that `build_bento` made: `POST /predict` and `/predict_proba`, with a token, as the local deployer has it.

    The workers are those of `bentoml serve`. What it puts above them, which listens for commands without asking who gives them, stays
    out; the local deployer's supervisor is there instead, so that an update keeps address and token, and loses no request.
    A model is read in place, by its own materializer. `replicas` are workers.
    """

    shown_lines: ClassVar[int] = 30

    def environment(self) -> dict[str, str]:
        from dovetail_bentoml.surroundings import home, variables

        return {**super().environment(), **variables(home())}

    def _missing(self) -> list[str]:
        """Of what BentoML itself needs, nothing can be."""
        return []

    def _ask_for(self, deployment: Deployment, folder: ServingFolder, generation: int, command: Sequence[str]) -> None:
        served, bento = self._lay_out(deployment, folder.path / f"service-{generation}")
        super()._ask_for(served, folder, generation, [self.interpreter(), "-u", "-m", "dovetail_bentoml.worker", str(bento)])

    def _lay_out(self, deployment: Deployment, folder: Path) -> tuple[Deployment, Path]:
        """The deployment as its model is to be read, and the folder that BentoML serves."""
        from dovetail_bentoml.bento import SOURCE, Bento
        from dovetail_bentoml.building import lay_out_service
        from dovetail_bentoml.materializer import BENTO
        from dovetail_bentoml.served import Facts

        name = f"Deployment '{deployment.name}'"
        if deployment.materializer != _BENTO:
            folder.mkdir()
            lay_out_service(folder, Facts(deployment.name, "", deployment.type, deployment.materializer, digest=deployment.digest))
            return deployment, folder
        if not deployment.trusted:
            raise DeploymentError(
                f"{name} is given a Bento, which holds code, and its store is not marked as trusted. Set `trusted: true` in the artifact "
                "store's configuration if you trust everyone who can write to it, or deploy the model itself."
            )
        try:
            bento = Bento.read(deployment.model / BENTO)
        except MaterializerError as error:
            raise DeploymentError(f"{name} cannot be served: {error}") from error
        facts = bento.facts
        return replace(deployment, model=bento.folder / SOURCE / facts.model, materializer=facts.materializer, type=facts.type), bento.folder

    def ask(self, handle: Mapping[str, Any], message: Mapping[str, Any], timeout: float) -> Mapping[str, Any]:
        from dovetail.components.serving.client import ask
        from dovetail_bentoml.frameworks import METHODS

        method, name = str(message["method"]), f"Deployment '{handle['name']}'"
        if method not in METHODS:
            raise DeploymentError(f"{name} has no method {method[:80]!r}; there are {' and '.join(METHODS)}.")
        body = {key: value for key, value in message.items() if key != "method"}
        status, answer = ask(handle["url"], f"/{method}", body, self.token(handle), timeout)
        if status != 200:
            raise DeploymentError(f"{name} refused the request ({status}): {answer.get('error', answer)}")
        return answer
