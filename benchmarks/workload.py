"""The records that all contenders write: about 330 bytes each as a request, 390 as an answer."""

from collections.abc import Iterator

TYPE = "practises-at"
DATA = {
    "role": "family-medicine",
    "since": "2019-04-01",
    "primary": True,
    "fte": 0.9,
    "languages": ["en", "fr"],
    "site": "Clinique du Plateau, 4th floor",
    "note": "takes new patients on weekdays, and on Saturdays by turns only",
}


def ends(number: int, run: str = "a") -> tuple[str, str]:
    """The ids of both ends of record `number`; `run` keeps the records of one run apart from another's."""
    return f"prac-{run}-{number:07d}", f"org-{number % 997:05d}"


def body(number: int, run: str = "a") -> dict[str, object]:
    """What is sent to create record `number`."""
    from_, to = ends(number, run)
    return {
        "from": {"id": from_, "type": "practitioner"},
        "to": {"id": to, "type": "organization"},
        "data": DATA | {"visits": number},
    }


def documents(count: int) -> Iterator[tuple[str, dict[str, object]]]:
    """The same records for services that take an id and any object."""
    for number in range(count):
        yield ".".join(ends(number)), body(number)
