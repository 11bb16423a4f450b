"""A step that fails says it in one sentence, whoever raised it."""

import errno

import dagster as dg
import pytest

from identity_pipeline.defs.resources.failures import PermanentFailure, healing, worded
from identity_pipeline.errors import IdentityPipelineError
from identity_pipeline.media.errors import VideoError
from identity_pipeline.settings import load_settings


class TomorrowError(IdentityPipelineError):
    """An error that no list knows."""


FAILURES = (
    (TomorrowError("the moon is full; wait."), "TomorrowError", "the moon is full; wait."),
    (VideoError("empty", "It has no bytes."), "empty", "It has no bytes."),
    (OSError(errno.EROFS, "strange", "/data/x"), "system", "/data/x: that disk is read-only"),
)


@pytest.mark.parametrize(("error", "code", "sentence"), FAILURES)
def test_an_error_that_has_words_fails_a_step_with_them(
    error: Exception, code: str, sentence: str, instance: dg.DagsterInstance
) -> None:
    @dg.asset
    def step(context: dg.AssetExecutionContext) -> None:
        with healing(context, load_settings(ingest={"step_retries": 0})):
            raise error

    result = dg.materialize([step], instance=instance, raise_on_error=False)
    (failure,) = result.get_step_failure_events()
    data = failure.step_failure_data
    assert data.user_failure_data is not None
    assert sentence in str(data.user_failure_data.description)
    assert data.user_failure_data.metadata["reason_code"].value == code


def test_what_nobody_words_stays_as_it_is() -> None:
    assert worded(ZeroDivisionError()) is None
    assert isinstance(worded(TomorrowError("x")), PermanentFailure)
