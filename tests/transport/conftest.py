"""The fixtures of the rooms below ingestion."""

from tests.fixtures import *  # noqa: F403
