"""Single ingestions through `clinia-context-engine`'s own client: typed out, JSON of the same size in."""

from clinia_context_engine import AsyncContextEngineClient

from benchmarks import workload
from benchmarks.ways.together import cost


async def ingest(url: str, count: int, in_flight: int) -> dict[str, float]:
    async with AsyncContextEngineClient(base_url=url) as client:

        async def send(number: int) -> None:
            body = workload.body(number) | {"resourceType": "Basic"}
            receipt = await client.ingest.ingest_fhir_r4("p-1", body)
            assert receipt.ingestion_id

        return await cost(send, count, in_flight)
