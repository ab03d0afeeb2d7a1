"""Images that Vertex AI can run."""

from __future__ import annotations

from dovetail.components.job import Job
from dovetail.errors import ConfigurationError

_GOOGLES = (".pkg.dev", "gcr.io")  # the registries that Vertex AI signs in to by itself


def image_for(job: Job, image: str | None, *, googles: bool = True) -> str:
    """The image that the job runs in, `image` where it says none. Raises ConfigurationError for one that the service cannot pull.

    `googles`: the service is Google's own, which signs in to Google's registries alone.
    """
    wanted = job.image or image
    if wanted is None:
        raise ConfigurationError(
            f"Job {job.name} has no image. Add an image builder and a container registry to the stack, or say Environment(image=…)."
        )
    if job.login is not None and googles and not wanted.partition("/")[0].endswith(_GOOGLES):
        raise ConfigurationError(
            f"Job {job.name} is to run in image {wanted}, whose registry asks for a password, and Vertex AI signs in to Artifact Registry alone. "
            "Use a container registry of flavor `gar`."
        )
    return wanted
