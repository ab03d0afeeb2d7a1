"""Which images SageMaker can pull, as far as their names tell."""

from __future__ import annotations

import re

_ECR = re.compile(r"(?P<account>\d{12})\.dkr\.ecr(-fips)?\.(?P<region>[a-z0-9-]+)\.amazonaws\.com(\.cn)?/\S+")


def ecr_problem(image: str, region: str | None) -> str | None:
    found = _ECR.fullmatch(image)
    if found is None:
        return (
            f"SageMaker pulls images from ECR alone, and {image} is not there. Add a container registry to the stack: "
            f"`dovetail container-registry register NAME --flavor ecr --uri ACCOUNT.dkr.ecr.{region or 'REGION'}.amazonaws.com/dovetail`, "
            f"or push the image to ECR and name it so."
        )
    if region is not None and found["region"] != region:
        there = image.replace(f".{found['region']}.", f".{region}.", 1)
        return (
            f"Image {image} is in region {found['region']}, and SageMaker runs jobs in {region}, where it cannot pull it. "
            f"Copy it: `docker pull {image} && docker tag {image} {there} && docker push {there}`, or set `region`."
        )
    return None
