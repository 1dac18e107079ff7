"""The application of the service's tests, to be fuzzed."""

from tests.service.conftest import caller, house, iris, mixed, new_caller

__all__ = ["caller", "house", "iris", "mixed", "new_caller"]
