from .contract import Contract
from .coverage import Seen, never_seen, unknown
from .examples import GOOD, R, exchange

contract = Contract.load()


def test_nothing_seen() -> None:
    assert sorted(never_seen(contract, [])) == sorted(contract.operations)


def test_all_seen() -> None:
    assert never_seen(contract, contract.operations) == []
    assert never_seen(contract, contract.operations.keys() - {"browse"}) == ["browse"]


def test_names_of_others() -> None:
    assert unknown(contract, ["browse", "search"]) == ["search"]


def test_only_what_was_answered_well_is_done() -> None:
    seen = Seen(contract)
    seen.add(exchange("GET", f"{R}/works-at/a.b", 404, {}))
    seen.add(exchange("GET", "/nowhere", 200, {}))
    assert seen.answers == {("get_relationship", 404): 1}
    assert "get_relationship" in seen.never_done()


def test_answers_by_status() -> None:
    seen = Seen(contract)
    for _, sample in GOOD:
        seen.add(sample)
    assert seen.never_done() == []
    # No page tells 200 from 201 there, so one of them is enough; 202 is another matter.
    missing = seen.never_answered()
    assert ("put_source", 200) not in missing
    assert ("bundle", 200) not in missing
    assert ("delete_resource", 202) in missing
    assert ("create_relationship", 201) not in missing


def test_what_workers_have_seen_is_added_up() -> None:
    whole = Seen(contract)
    for _, sample in GOOD:
        worker = Seen(contract)
        worker.add(sample)
        whole.merge(worker.dump())
    assert whole.never_done() == []
    assert sum(whole.answers.values()) == len(GOOD)
