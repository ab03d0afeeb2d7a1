"""AWS as part of a stack: S3, and what speaks it, as artifact store."""

from __future__ import annotations

from collections.abc import Sequence

from dovetail.plugin import FlavorSpec, hookimpl


@hookimpl
def dovetail_artifact_stores() -> Sequence[FlavorSpec]:
    return [
        FlavorSpec(
            "s3",
            "dovetail_aws.artifact_store:S3ArtifactStore",
            requires=["botocore>=1.36,<2"],
            help="A bucket of Amazon S3, or of what speaks it: MinIO, Ceph, ….",
        ),
    ]
