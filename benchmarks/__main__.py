"""`python -m benchmarks`: single creates against raw aiohttp, interleaved, in fresh processes."""

import statistics
import subprocess
import sys

ROUNDS, COUNT = 9, 4000


def cost(way: str, port: str, in_flight: int) -> float:
    command = [sys.executable, "-m", "benchmarks.single", way, port, str(COUNT), str(in_flight)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def main() -> None:
    stub = subprocess.Popen([sys.executable, "-m", "benchmarks.stub"], stdout=subprocess.PIPE, text=True)
    try:
        assert stub.stdout is not None
        port = stub.stdout.readline().strip()
        for in_flight in (1, 32, 128):
            rounds = [tuple(cost(way, port, in_flight) for way in ("raw", "ours")) for _ in range(ROUNDS)]
            low, middle, high = statistics.quantiles([theirs / mine for theirs, mine in rounds], n=4)
            mine = statistics.median(mine for _, mine in rounds)
            print(
                f"single create, {in_flight:>3} in flight: {mine:.0f} us of CPU,"
                f" raw aiohttp's cost by ours {middle:.2f} [{low:.2f}..{high:.2f}]"
            )
    finally:
        stub.terminate()
        stub.wait()


if __name__ == "__main__":
    main()
