"""What a create costs, as a ratio to raw aiohttp in the same run."""
