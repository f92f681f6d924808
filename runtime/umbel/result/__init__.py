"""What a caller holds of tasks: of one, of several (`ResultSet`, `GroupResult`), of one that ran here (`EagerResult`)."""

from umbel.context import allow_join_result, assert_will_not_block, denied_join_result
from umbel.result.base import ResultBase
from umbel.result.eager import EagerResult
from umbel.result.group import GroupResult
from umbel.result.several import ResultSet
from umbel.result.single import AsyncResult
from umbel.result.tuples import result_from_tuple
from umbel.result.values import exception_of, value_of

__all__ = [
    "AsyncResult",
    "EagerResult",
    "GroupResult",
    "ResultBase",
    "ResultSet",
    "allow_join_result",
    "assert_will_not_block",
    "denied_join_result",
    "exception_of",
    "result_from_tuple",
    "value_of",
]
