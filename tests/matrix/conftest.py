from tests.fixtures import nothing_is_left_behind

__all__ = ["nothing_is_left_behind"]
