import pytest

pytest.register_assert_rewrite("tests.fixtures", "tests.matrix", "tests.ingest.running")
