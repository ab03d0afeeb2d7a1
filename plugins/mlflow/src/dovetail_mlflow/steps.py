"""Ready-made steps. `from dovetail_mlflow.steps import mlflow_model_deployer_step`."""

from __future__ import annotations

from typing import Annotated, Any

from dovetail import get_step_context, step
from dovetail.errors import NotFound


@step(model_deployer=True)
def mlflow_model_deployer_step(model: Any, model_name: str, replicas: int = 1, deploy_decision: bool = True) -> Annotated[str, "endpoint"]:
    """Serve the model by the stack's model deployer, of whichever flavor, and give the deployment's address.

    The same model under the same name keeps its deployment. Without `deploy_decision` nothing is deployed, and the address is
    that of what serves under the name already, or "".
    """
    deployer = get_step_context().stack.model_deployer
    if deploy_decision:
        return str(deployer.deploy_model(config={"model": model, "model_name": model_name, "replicas": replicas}).url)
    try:
        return str(deployer.get_deployment(model_name).url)
    except NotFound:
        return ""
