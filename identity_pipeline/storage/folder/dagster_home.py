"""How Dagster's instance is named, for who only asks where it is: nothing of Dagster is loaded."""

from __future__ import annotations

from identity_pipeline.errors import IdentityPipelineError

HOME_VARIABLE = "DAGSTER_HOME"


class NoInstanceError(IdentityPipelineError, RuntimeError):
    """Dagster's instance cannot be told, or not be opened."""

    exit_status = 2
