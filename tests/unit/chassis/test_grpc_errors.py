import pytest
from google.rpc import error_details_pb2

from chassis import errors, grpc_errors


def every_kind() -> list[type[errors.WeirError]]:
    return list(errors.WeirError.__subclasses__())


@pytest.mark.parametrize("kind", every_kind())
def test_each_kind_has_a_code_of_its_own(kind: type[errors.WeirError]) -> None:
    assert grpc_errors.KINDS[grpc_errors.CODES[kind]] is kind


def test_a_failure_carries_reason_metadata_and_retry_delay() -> None:
    failure = errors.ResourceExhausted(
        "viewers is 100: full", reason="STREAM_FULL", retry_delay_s=1.5, field="viewers"
    )
    status = grpc_errors.to_status(failure)
    info, retry = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
    assert status.details[0].Unpack(info)
    assert status.details[1].Unpack(retry)
    assert (status.code, status.message) == (8, "viewers is 100: full")
    assert (info.reason, info.domain, dict(info.metadata)) == ("STREAM_FULL", "weir", {"field": "viewers"})
    assert retry.retry_delay.ToMilliseconds() == 1500
