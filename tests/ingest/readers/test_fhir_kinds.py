"""Kinds of FHIR that are rare or odd, each with its right value, which was written by hand."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from clinia_async import BadRecord, Record
from tests.ingest.reading import read_file

Edge = tuple[str, str]
Json = dict[str, Any]
HOME = "http://h.example/fhir"
CASES: dict[str, tuple[Json | str, list[Edge], int, dict[str, int]]] = {}


def case(
    name: str, content: Json | str, edges: list[Edge], bad: int = 0, counts: dict[str, int] | None = None
) -> None:
    CASES[name] = content, edges, bad, counts or {}


def patient(id_: str, **fields: Any) -> Json:
    return {"resourceType": "Patient", "id": id_, **fields}


def observation(id_: str, subject: str, **fields: Any) -> Json:
    return {"resourceType": "Observation", "id": id_, "subject": {"reference": subject}, **fields}


def entry(resource: Json, url: str | None = None, **fields: Any) -> Json:
    return {**({"fullUrl": url} if url else {}), "resource": resource, **fields}


def bundle(type_: str, *entries: Json, **fields: Any) -> Json:
    return {"resourceType": "Bundle", "type": type_, "entry": list(entries), **fields}


def asked(method: str, url: str, **fields: Any) -> Json:
    return {"request": {"method": method, "url": url, **fields}}


def nested(levels: int) -> Json:
    inner = [entry(nested(levels - 1))] if levels else []
    return bundle("collection", entry(observation(f"o{levels}", f"Patient/p{levels}")), *inner)


case(
    "params in bundle in params in bundle",
    bundle(
        "collection",
        entry(
            {
                "resourceType": "Parameters",
                "id": "par",
                "parameter": [
                    {
                        "name": "r",
                        "resource": bundle(
                            "searchset",
                            entry(
                                {
                                    "resourceType": "Parameters",
                                    "parameter": [
                                        {
                                            "name": "x",
                                            "part": [
                                                {"name": "y", "resource": observation("oo", "Patient/pp")}
                                            ],
                                        }
                                    ],
                                }
                            ),
                        ),
                    }
                ],
            }
        ),
    ),
    [("Observation/oo", "Patient/pp")],
)
case(
    "inner urn shadows outer",
    bundle(
        "collection",
        entry(patient("outer"), "urn:uuid:1"),
        entry(
            bundle(
                "collection", entry(patient("inner"), "urn:uuid:1"), entry(observation("in", "urn:uuid:1"))
            )
        ),
        entry(observation("out", "urn:uuid:1")),
    ),
    [("Observation/in", "Patient/inner"), ("Observation/out", "Patient/outer")],
)
case(
    "inner finds outer",
    bundle(
        "collection",
        entry(patient("outer"), "urn:uuid:1"),
        entry(bundle("collection", entry(observation("in", "urn:uuid:1")))),
    ),
    [("Observation/in", "Patient/outer")],
)
case(
    "outer does not find inner",
    bundle(
        "collection",
        entry(observation("out", "urn:uuid:1")),
        entry(bundle("collection", entry(patient("inner"), "urn:uuid:1"))),
    ),
    [],
    counts={"a URN that is not in the Bundle": 1},
)
case(
    "sibling bundles do not see each other",
    bundle(
        "collection",
        entry(bundle("collection", entry(patient("a1"), "urn:uuid:1"))),
        entry(bundle("collection", entry(observation("o1", "urn:uuid:1")))),
    ),
    [],
    counts={"a URN that is not in the Bundle": 1},
)
case(
    "contained same ids",
    bundle(
        "collection",
        entry(
            observation(
                "o1", "#x", contained=[patient("x", managingOrganization={"reference": "Organization/o9"})]
            )
        ),
        entry(observation("o2", "Patient/x", contained=[patient("x")])),
    ),
    [("Observation/o1", "Organization/o9"), ("Observation/o2", "Patient/x")],
    counts={"contained in the resource itself": 1},
)
case(
    "contained refers to container #",
    observation(
        "o1",
        "Patient/p1",
        contained=[{"resourceType": "Provenance", "id": "x", "target": [{"reference": "#"}]}],
    ),
    [("Observation/o1", "Patient/p1")],
    counts={"contained in the resource itself": 1},
)
case(
    "bundle in contained",
    {
        "resourceType": "List",
        "id": "ll",
        "contained": [bundle("collection", entry(observation("oo", "Patient/pp")))],
    },
    [("List/ll", "Patient/pp")],
)
case("deep nest 5", nested(5), [(f"Observation/o{n}", f"Patient/p{n}") for n in range(6)])
case(
    "fullUrl with history",
    bundle(
        "collection",
        entry(patient("p1"), HOME + "/Patient/p1/_history/2"),
        entry(observation("o1", HOME + "/Patient/p1"), HOME + "/Observation/o1"),
    ),
    [("Observation/o1", "Patient/p1")],
)
case(
    "ref with history",
    bundle(
        "collection",
        entry(patient("p1"), HOME + "/Patient/p1"),
        entry(observation("o1", "Patient/p1/_history/7"), HOME + "/Observation/o1"),
    ),
    [("Observation/o1", "Patient/p1")],
)
case(
    "abs ref with history",
    bundle(
        "collection",
        entry(patient("p1"), HOME + "/Patient/p1"),
        entry(observation("o1", HOME + "/Patient/p1/_history/7"), HOME + "/Observation/o1"),
    ),
    [("Observation/o1", "Patient/p1")],
)
case(
    "urn oid",
    bundle("collection", entry(patient("p1"), "urn:oid:1.2.3"), entry(observation("o1", "urn:oid:1.2.3"))),
    [("Observation/o1", "Patient/p1")],
)
case(
    "urn uuid no id",
    bundle(
        "transaction",
        entry({"resourceType": "Patient"}, "urn:uuid:aaaa-bbbb", **asked("POST", "Patient")),
        entry(
            {"resourceType": "Observation", "subject": {"reference": "urn:uuid:aaaa-bbbb"}},
            "urn:uuid:cccc",
            **asked("POST", "Observation"),
        ),
    ),
    [("Observation/cccc", "Patient/aaaa-bbbb")],
)
case(
    "a UUID in another case",
    bundle("collection", entry(patient("p1"), "urn:uuid:ABC"), entry(observation("o1", "urn:uuid:abc"))),
    [("Observation/o1", "Patient/p1")],
)
case(
    "relative fullUrl",
    bundle(
        "collection",
        entry(patient("p1"), "Patient/p1"),
        entry(observation("o1", "Patient/p1"), "Observation/o1"),
    ),
    [("Observation/o1", "Patient/p1")],
)
case(
    "two servers same id",
    bundle(
        "collection",
        entry(patient("1"), "http://a/Patient/1"),
        entry(patient("1"), "http://b/Patient/1"),
        entry(observation("o1", "http://b/Patient/1"), "http://a/Observation/o1"),
    ),
    [("Observation/o1", "Patient/1_40http_3A_2F_2Fb")],
)
case(
    "relative at second server",
    bundle(
        "collection",
        entry(patient("1"), "http://a/Patient/1"),
        entry(observation("o1", "Patient/1"), "http://b/Observation/o1"),
    ),
    [("Observation/o1_40http_3A_2F_2Fb", "Patient/1_40http_3A_2F_2Fb")],
)
case(
    "relative in urn entry",
    bundle(
        "collection",
        entry(patient("1"), "http://a/Patient/1"),
        entry(observation("o1", "Patient/1"), "urn:uuid:x"),
    ),
    [("Observation/o1", "Patient/1")],
)
case(
    "absolute outside",
    bundle("collection", entry(observation("o1", "http://z/Patient/1"), "http://a/Observation/o1")),
    [("Observation/o1", "Patient/1_40http_3A_2F_2Fz")],
)
case("query on literal", observation("o1", "Patient/p1?x=1"), [], counts={"conditional": 1})
case(
    "canonical is no reference",
    {
        "resourceType": "Questionnaire",
        "id": "q",
        "url": "http://x/Questionnaire/q",
        "derivedFrom": ["http://x/Questionnaire/z"],
    },
    [],
)
case(
    "reference as a plain text element",
    {
        "resourceType": "ImplementationGuide",
        "id": "ig",
        "definition": {"resource": [{"reference": {"reference": "Patient/p1"}}]},
    },
    [("ImplementationGuide/ig", "Patient/p1")],
)
case(
    "duplicate fullUrls differ",
    bundle(
        "collection",
        entry(patient("p1"), "urn:uuid:1"),
        entry(patient("p2"), "urn:uuid:1"),
        entry(observation("o1", "urn:uuid:1")),
    ),
    [],
    counts={"its fullUrl stands for several resources": 1},
)
case(
    "duplicate fullUrls same",
    bundle(
        "collection",
        entry(patient("p1"), "urn:uuid:1"),
        entry(patient("p1"), "urn:uuid:1"),
        entry(observation("o1", "urn:uuid:1")),
    ),
    [("Observation/o1", "Patient/p1")],
)
case(
    "fullUrl differs from id",
    bundle(
        "collection",
        entry(patient("p1"), HOME + "/Patient/other"),
        entry(observation("o1", HOME + "/Patient/other"), HOME + "/Observation/o1"),
    ),
    [("Observation/o1", "Patient/p1")],
)
case(
    "fullUrl of another type",
    bundle(
        "collection",
        entry(patient("p1"), HOME + "/Person/p1"),
        entry(observation("o1", HOME + "/Person/p1"), HOME + "/Observation/o1"),
    ),
    [("Observation/o1", "Patient/p1")],
)
case(
    "logical",
    {
        "resourceType": "Observation",
        "id": "o1",
        "subject": {"identifier": {"system": "s", "value": "v"}, "display": "x"},
    },
    [],
    counts={"logical: an identifier alone": 1},
)
case(
    "logical and literal",
    {
        "resourceType": "Observation",
        "id": "o1",
        "subject": {"reference": "Patient/p1", "identifier": {"value": "v"}},
    },
    [("Observation/o1", "Patient/p1")],
)
case("display only", {"resourceType": "Observation", "id": "o1", "subject": {"display": "x"}}, [])
case(
    "null reference",
    {"resourceType": "Observation", "id": "o1", "subject": {"reference": None, "display": "x"}},
    [],
)
case(
    "ext only _reference",
    {
        "resourceType": "Observation",
        "id": "o1",
        "subject": {"_reference": {"extension": [{"url": "dar", "valueCode": "unknown"}]}},
    },
    [],
)
case(
    "ext refs by url",
    {
        "resourceType": "Patient",
        "id": "p1",
        "extension": [
            {"url": "http://x/mother", "valueReference": {"reference": "RelatedPerson/r1"}},
            {"url": "http://x/guardian", "valueReference": {"reference": "RelatedPerson/r1"}},
        ],
    },
    [("Patient/p1", "RelatedPerson/r1")] * 2,
)
case(
    "modifierExtension",
    {
        "resourceType": "Patient",
        "id": "p1",
        "modifierExtension": [
            {"url": "http://x/mother", "valueReference": {"reference": "RelatedPerson/r1"}}
        ],
    },
    [("Patient/p1", "RelatedPerson/r1")],
)
case(
    "nested ext",
    {
        "resourceType": "Patient",
        "id": "p1",
        "extension": [
            {
                "url": "http://x/a",
                "extension": [
                    {"url": "b", "valueReference": {"reference": "Group/g1"}},
                    {"url": "c", "valueReference": {"reference": "Group/g1"}},
                ],
            }
        ],
    },
    [("Patient/p1", "Group/g1")] * 2,
)
case(
    "primitive ext",
    {
        "resourceType": "Patient",
        "id": "p1",
        "birthDate": "1990",
        "_birthDate": {
            "extension": [{"url": "http://x/by", "valueReference": {"reference": "Practitioner/d1"}}]
        },
    },
    [("Patient/p1", "Practitioner/d1")],
)
case(
    "primitive ext list with nulls",
    {
        "resourceType": "Patient",
        "id": "p1",
        "name": [
            {
                "given": ["A", "B"],
                "_given": [
                    None,
                    {"extension": [{"url": "u", "valueReference": {"reference": "Practitioner/d1"}}]},
                ],
            }
        ],
    },
    [("Patient/p1", "Practitioner/d1")],
)
case(
    "codeable reference R5",
    {
        "resourceType": "MedicationRequest",
        "id": "m1",
        "medication": {"reference": {"reference": "Medication/x1"}},
    },
    [("MedicationRequest/m1", "Medication/x1")],
)
case(
    "annotation author",
    {
        "resourceType": "Observation",
        "id": "o1",
        "note": [{"authorReference": {"reference": "Practitioner/d"}, "text": "t"}],
    },
    [("Observation/o1", "Practitioner/d")],
)
case(
    "meta.extension",
    {
        "resourceType": "Observation",
        "id": "o1",
        "meta": {"extension": [{"url": "u", "valueReference": {"reference": "Device/d"}}]},
    },
    [("Observation/o1", "Device/d")],
)
case(
    "conditional create hit",
    bundle(
        "transaction",
        entry(
            {"resourceType": "Patient", "identifier": [{"system": "s", "value": "1"}]},
            "urn:uuid:p",
            **asked("POST", "Patient", ifNoneExist="identifier=s|1"),
        ),
        entry(observation("o1", "Patient?identifier=s|1"), "urn:uuid:o", **asked("POST", "Observation")),
    ),
    [("Observation/o1", "Patient/p")],
)
case(
    "conditional update",
    bundle(
        "transaction",
        entry(
            {"resourceType": "Patient", "identifier": [{"system": "s", "value": "1"}]},
            "urn:uuid:p",
            **asked("PUT", "Patient?identifier=s|1"),
        ),
        entry(observation("o1", "urn:uuid:p"), **asked("POST", "Observation")),
    ),
    [("Observation/o1", "Patient/p")],
)
case(
    "PUT with id by url",
    bundle(
        "transaction",
        entry(
            {"resourceType": "Observation", "subject": {"reference": "Patient/p1"}},
            **asked("PUT", "Observation/oX"),
        ),
    ),
    [("Observation/oX", "Patient/p1")],
)
case(
    "PUT abs url",
    bundle(
        "transaction",
        entry(
            {"resourceType": "Observation", "subject": {"reference": "Patient/p1"}},
            **asked("PUT", HOME + "/Observation/oX"),
        ),
    ),
    [("Observation/oX", "Patient/p1")],
)
case(
    "PATCH Parameters",
    bundle(
        "transaction",
        entry(
            {
                "resourceType": "Parameters",
                "id": "x",
                "parameter": [
                    {
                        "name": "operation",
                        "part": [{"name": "value", "valueReference": {"reference": "Organization/o9"}}],
                    }
                ],
            },
            HOME + "/Patient/p1",
            **asked("PATCH", "Patient/p1"),
        ),
    ),
    [],
    counts={"in what a PATCH changes": 1, "to be changed by a PATCH": 1},
)
case(
    "PATCH Binary",
    bundle(
        "transaction",
        entry(
            {"resourceType": "Binary", "contentType": "application/json-patch+json", "data": "W10="},
            **asked("PATCH", "Patient/p1"),
        ),
    ),
    [],
    counts={"to be changed by a PATCH": 1},
)
case(
    "request without resource POST",
    bundle("transaction", asked("POST", "Patient"), entry(observation("o1", "Patient/p1"))),
    [("Observation/o1", "Patient/p1")],
)
case(
    "GET entries",
    bundle("batch", asked("GET", "Patient/1"), {"request": {"method": "GET", "url": "Patient?x"}}),
    [],
)
case(
    "operation POST $x",
    bundle(
        "batch",
        entry(
            {
                "resourceType": "Parameters",
                "parameter": [{"name": "a", "valueReference": {"reference": "Patient/p1"}}],
            },
            **asked("POST", "Patient/$match"),
        ),
    ),
    [],
    counts={"in Parameters without an id": 1},
)
case(
    "batch-response",
    bundle(
        "batch-response",
        entry(patient("p1"), response={"status": "200"}),
        {"response": {"status": "404", "outcome": {"resourceType": "OperationOutcome", "issue": []}}},
        entry(observation("o1", "Patient/p1"), response={"status": "201"}),
    ),
    [("Observation/o1", "Patient/p1")],
)
case(
    "searchset modes",
    bundle(
        "searchset",
        entry(observation("o1", "Patient/p1"), search={"mode": "match"}),
        entry(
            patient("p1", managingOrganization={"reference": "Organization/g"}), search={"mode": "include"}
        ),
        entry(
            {
                "resourceType": "OperationOutcome",
                "id": "x",
                "extension": [{"url": "u", "valueReference": {"reference": "Patient/p2"}}],
            },
            search={"mode": "outcome"},
        ),
    ),
    [("Observation/o1", "Patient/p1"), ("Patient/p1", "Organization/g")],
    counts={"in the outcome of a search": 1},
)
case(
    "document bundle",
    bundle(
        "document",
        entry(
            {
                "resourceType": "Composition",
                "id": "c1",
                "subject": {"reference": "urn:uuid:p"},
                "section": [{"entry": [{"reference": "urn:uuid:o"}]}],
            },
            "urn:uuid:c",
        ),
        entry(patient("p1"), "urn:uuid:p"),
        entry(observation("o1", "urn:uuid:p"), "urn:uuid:o"),
    ),
    [
        ("Composition/c1", "Patient/p1"),
        ("Composition/c1", "Observation/o1"),
        ("Observation/o1", "Patient/p1"),
    ],
)
case(
    "message bundle",
    bundle(
        "message",
        entry({"resourceType": "MessageHeader", "id": "mh", "focus": [{"reference": "Patient/p1"}]}),
        entry(patient("p1")),
    ),
    [("MessageHeader/mh", "Patient/p1")],
)
case(
    "subscription-notification",
    bundle(
        "subscription-notification",
        entry(
            {
                "resourceType": "SubscriptionStatus",
                "id": "ss",
                "subscription": {"reference": "Subscription/s1"},
                "notificationEvent": [{"focus": {"reference": "Patient/p1"}}],
            }
        ),
    ),
    [("SubscriptionStatus/ss", "Subscription/s1"), ("SubscriptionStatus/ss", "Patient/p1")],
)
case(
    "R5 issues on bundle",
    bundle(
        "searchset",
        entry(patient("p1")),
        issues={
            "resourceType": "OperationOutcome",
            "id": "oo",
            "extension": [{"url": "u", "valueReference": {"reference": "Patient/p2"}}],
        },
    ),
    [("OperationOutcome/oo", "Patient/p2")],
)
case(
    "lowercase method",
    bundle("transaction", {"request": {"method": "delete", "url": "Patient/p1"}}),
    [],
    counts={"to be deleted, with the resources": 1},
)
case("bundle entry null", '{"resourceType":"Bundle","type":"collection","entry":null}', [], bad=1)
case("bundle no entry", {"resourceType": "Bundle", "type": "collection"}, [])
case("empty bundle", bundle("searchset", total=0), [])
case(
    "entry resource null",
    bundle("collection", {"resource": None}, entry(observation("o1", "Patient/p1"))),
    [("Observation/o1", "Patient/p1")],
    bad=1,
)
case(
    "resourceType twice",
    '{"resourceType":"Bundle","type":"collection","entry":[{"resource":{"resourceType":"Patient","resourceType":"Person","id":"x"}},{"resource":{"resourceType":"Observation","id":"o1","subject":{"reference":"Patient/p1"}}}]}',
    [("Observation/o1", "Patient/p1")],
    bad=1,
)
case(
    "dup id key",
    '{"resourceType":"Observation","id":"o1","id":"o2","subject":{"reference":"Patient/p1"}}',
    [],
    bad=1,
)
case(
    "lone surrogate in entry",
    '{"resourceType":"Bundle","type":"collection","entry":[{"resource":{"resourceType":"Patient","id":"x","name":[{"text":"\\ud800"}]}},{"resource":{"resourceType":"Observation","id":"o1","subject":{"reference":"Patient/p1"}}}]}',
    [("Observation/o1", "Patient/p1")],
    bad=1,
)
case(
    "1e400 in entry",
    '{"resourceType":"Bundle","type":"collection","entry":[{"resource":{"resourceType":"Observation","id":"x","v":1e400}},{"resource":{"resourceType":"Observation","id":"o1","subject":{"reference":"Patient/p1"}}}]}',
    [("Observation/o1", "Patient/p1")],
    bad=1,
)
case(
    "NaN in entry",
    '{"resourceType":"Bundle","type":"collection","entry":[{"resource":{"resourceType":"Observation","id":"x","v":NaN}},{"resource":{"resourceType":"Observation","id":"o1","subject":{"reference":"Patient/p1"}}}]}',
    [("Observation/o1", "Patient/p1")],
    bad=1,
)
case(
    "escaped slash",
    '{"resourceType":"Observation","id":"o1","subject":{"reference":"Patient\\/p1"}}',
    [("Observation/o1", "Patient/p1")],
)
case(
    "unicode escapes in keys",
    '{"resource\\u0054ype":"Observation","id":"o1","subject":{"ref\\u0065rence":"Patient/p1"}}',
    [("Observation/o1", "Patient/p1")],
)
case(
    "entry key escaped",
    '{"resourceType":"Bundle","type":"collection","\\u0065ntry":[{"resource":{"resourceType":"Observation","id":"o1","subject":{"reference":"Patient/p1"}}}]}',
    [("Observation/o1", "Patient/p1")],
)
case(
    "type escaped history",
    '{"resourceType":"Bundle","type":"hist\\u006fry","entry":[{"resource":{"resourceType":"Observation","id":"o1","subject":{"reference":"Patient/p1"}}},{"resource":{"resourceType":"Observation","id":"o1","subject":{"reference":"Patient/p0"}}}]}',
    [("Observation/o1", "Patient/p1")],
    counts={"in an earlier version": 1},
)
case(
    "bom crlf blanks",
    "\ufeff"
    + json.dumps(observation("o1", "Patient/p1"))
    + "\r\n\r\n  \r\n"
    + json.dumps(observation("o2", "Patient/p1"))
    + "\r\n",
    [("Observation/o1", "Patient/p1"), ("Observation/o2", "Patient/p1")],
)
case(
    "bom document",
    "\ufeff" + json.dumps(bundle("collection", entry(observation("o1", "Patient/p1"))), indent=2),
    [("Observation/o1", "Patient/p1")],
)
case(
    "json array lines",
    "["
    + json.dumps(observation("o1", "Patient/p1"))
    + ",\n"
    + json.dumps(observation("o2", "Patient/p1"))
    + "]",
    [("Observation/o1", "Patient/p1"), ("Observation/o2", "Patient/p1")],
)
case(
    "concatenated pretty",
    json.dumps(observation("o1", "Patient/p1"), indent=1)
    + "\n"
    + json.dumps(observation("o2", "Patient/p1"), indent=1),
    [("Observation/o1", "Patient/p1"), ("Observation/o2", "Patient/p1")],
)
case("id with dot", observation("o.1", "Patient/p1"), [], bad=1)
case("numeric-like ids", observation("007", "Patient/0012"), [("Observation/007", "Patient/0012")])
case("empty id", observation("", "Patient/p1"), [], bad=1)
case(
    "long id 64",
    observation("o" * 64, "Patient/" + "p" * 64),
    [("Observation/" + "o" * 64, "Patient/" + "p" * 64)],
)
case(
    "self reference",
    {"resourceType": "Organization", "id": "g1", "partOf": {"reference": "Organization/g1"}},
    [("Organization/g1", "Organization/g1")],
)
case(
    "two paths one target",
    {
        "resourceType": "Encounter",
        "id": "e1",
        "subject": {"reference": "Patient/p1"},
        "participant": [{"individual": {"reference": "Patient/p1"}}],
    },
    [("Encounter/e1", "Patient/p1")] * 2,
)
case(
    "same path twice",
    {
        "resourceType": "Encounter",
        "id": "e1",
        "participant": [{"actor": {"reference": "Patient/p1"}}, {"actor": {"reference": "Patient/p1"}}],
    },
    [("Encounter/e1", "Patient/p1")],
)
case(
    "STU3 context",
    {"resourceType": "Observation", "id": "o1", "context": {"reference": "Encounter/e1"}},
    [("Observation/o1", "Encounter/e1")],
)
case(
    "STU3 contained actor ref",
    {
        "resourceType": "MedicationStatement",
        "id": "m1",
        "medicationReference": {"reference": "#med"},
        "contained": [{"resourceType": "Medication", "id": "med"}],
    },
    [],
    counts={"contained in the resource itself": 1},
)
case(
    "DSTU2 nested value",
    {
        "resourceType": "Provenance",
        "id": "v1",
        "target": [{"reference": "Patient/p1"}],
        "agent": [{"actor": {"reference": "Practitioner/d1"}}],
    },
    [("Provenance/v1", "Patient/p1"), ("Provenance/v1", "Practitioner/d1")],
)
case(
    "attachment url is none",
    {"resourceType": "DocumentReference", "id": "d1", "content": [{"attachment": {"url": "Binary/b1"}}]},
    [],
)
case(
    "reference named element w/o object",
    {"resourceType": "Linkage", "id": "l1", "item": [{"resource": {"reference": "Patient/p1"}}]},
    [("Linkage/l1", "Patient/p1")],
)
case(
    "res Binary securityContext",
    {"resourceType": "Binary", "id": "b1", "securityContext": {"reference": "Patient/p1"}},
    [("Binary/b1", "Patient/p1")],
)
case(
    "deep 150 ok",
    '{"resourceType":"Basic","id":"b1","subject":{"reference":"Patient/p1"},"x":'
    + "[" * 150
    + "]" * 150
    + "}",
    [("Basic/b1", "Patient/p1")],
)
case(
    "deep 3000 one entry",
    '{"resourceType":"Bundle","type":"collection","entry":[{"resource":{"resourceType":"Basic","id":"b","x":'
    + "[" * 3000
    + "]" * 3000
    + '}},{"resource":{"resourceType":"Observation","id":"o1","subject":{"reference":"Patient/p1"}}}]}',
    [("Observation/o1", "Patient/p1")],
    bad=1,
)
case(
    "history of two w/ no ids",
    bundle(
        "history",
        entry(
            {"resourceType": "Observation", "subject": {"reference": "Patient/p1"}},
            HOME + "/Observation/o1",
            **asked("PUT", "Observation/o1"),
        ),
        entry(
            {"resourceType": "Observation", "subject": {"reference": "Patient/p0"}},
            HOME + "/Observation/o1",
            **asked("POST", "Observation"),
        ),
    ),
    [("Observation/o1", "Patient/p1")],
    counts={"in an earlier version": 1},
)
case(
    "history PATCH",
    bundle(
        "history",
        entry(observation("o1", "Patient/p1"), HOME + "/Observation/o1", **asked("PATCH", "Observation/o1")),
        entry(observation("o1", "Patient/p0"), HOME + "/Observation/o1", **asked("PUT", "Observation/o1")),
    ),
    [("Observation/o1", "Patient/p1")],
    counts={"in an earlier version": 1},
)
case(
    "history fullUrls with versions",
    bundle(
        "history",
        entry(
            observation("o1", "Patient/p1"),
            HOME + "/Observation/o1/_history/2",
            **asked("PUT", "Observation/o1"),
        ),
        entry(
            observation("o1", "Patient/p0"),
            HOME + "/Observation/o1/_history/1",
            **asked("POST", "Observation"),
        ),
    ),
    [("Observation/o1", "Patient/p1")],
    counts={"in an earlier version": 1},
)
case(
    "history delete versioned url",
    bundle(
        "history",
        {"fullUrl": HOME + "/Observation/o1/_history/3", **asked("DELETE", "Observation/o1/_history/3")},
        entry(
            observation("o1", "Patient/p0"),
            HOME + "/Observation/o1/_history/1",
            **asked("POST", "Observation"),
        ),
    ),
    [],
    counts={"in an earlier version": 1, "deleted last in their history": 1},
)
case(
    "history delete by rel url",
    bundle(
        "history",
        asked("DELETE", "Observation/o1"),
        entry(observation("o1", "Patient/p0"), HOME + "/Observation/o1", **asked("POST", "Observation")),
    ),
    [],
    counts={"in an earlier version": 1, "deleted last in their history": 1},
)
case(
    "history delete urn",
    bundle(
        "history",
        {"fullUrl": "urn:uuid:77", **asked("DELETE", "Observation/o1")},
        entry(observation("o1", "Patient/p0"), "urn:uuid:77", **asked("POST", "Observation")),
    ),
    [],
    counts={"in an earlier version": 1, "deleted last in their history": 1},
)
case(
    "nested histories in batch-response",
    bundle(
        "batch-response",
        entry(
            bundle(
                "history",
                entry(
                    observation("o1", "Patient/new", meta={"versionId": "2"}),
                    HOME + "/Observation/o1",
                    **asked("PUT", "Observation/o1"),
                ),
            )
        ),
        entry(
            bundle(
                "history",
                entry(
                    observation("o1", "Patient/old", meta={"versionId": "1"}),
                    HOME + "/Observation/o1",
                    **asked("PUT", "Observation/o1"),
                ),
            )
        ),
    ),
    [("Observation/o1", "Patient/new")],
    counts={"in an earlier version": 1},
)
case(
    "bundle meta refs",
    {
        "resourceType": "Bundle",
        "id": "bb",
        "type": "collection",
        "meta": {"extension": [{"url": "u", "valueReference": {"reference": "Device/d1"}}]},
        "entry": [entry(patient("p1"))],
    },
    [("Bundle/bb", "Device/d1")],
)
case(
    "bundle without id w/ refs",
    {
        "resourceType": "Bundle",
        "type": "collection",
        "meta": {"extension": [{"url": "u", "valueReference": {"reference": "Device/d1"}}]},
        "entry": [entry(patient("p1"))],
    },
    [],
    counts={"in Bundle without an id": 1},
)
case(
    "link relation refs",
    bundle(
        "searchset",
        entry(observation("o1", "Patient/p1")),
        link=[{"relation": "next", "url": "http://x/Patient?page=2"}],
    ),
    [("Observation/o1", "Patient/p1")],
)
case(
    "conditional two systems",
    bundle(
        "transaction",
        entry(patient("p1", identifier=[{"system": "s", "value": "1"}])),
        entry(patient("p2", identifier=[{"system": "t", "value": "1"}])),
        entry(observation("o1", "Patient?identifier=1")),
    ),
    [],
    counts={"conditional: several have the identifier": 1},
)
case(
    "conditional other type",
    bundle(
        "transaction",
        entry(patient("p1", identifier=[{"system": "s", "value": "1"}])),
        entry(observation("o1", "Practitioner?identifier=s|1")),
    ),
    [],
    counts={"conditional": 1},
)
case(
    "conditional encoded pipe",
    bundle(
        "transaction",
        entry(patient("p1", identifier=[{"system": "http://x/y", "value": "a b"}])),
        entry(observation("o1", "Patient?identifier=http%3A%2F%2Fx%2Fy%7Ca%20b")),
    ),
    [("Observation/o1", "Patient/p1")],
)
case(
    "identifier duplicated in same patient",
    bundle(
        "transaction",
        entry(patient("p1", identifier=[{"system": "s", "value": "1"}, {"system": "s", "value": "1"}])),
        entry(observation("o1", "Patient?identifier=s|1")),
    ),
    [("Observation/o1", "Patient/p1")],
)
case(
    "number id in ref",
    '{"resourceType":"Observation","id":"o1","subject":{"reference":12}}',
    [],
    counts={"no Type/id": 1},
)
case(
    "ref as obj list",
    '{"resourceType":"Observation","id":"o1","subject":[{"reference":"Patient/p1"},{"reference":"Patient/p2"}]}',
    [("Observation/o1", "Patient/p1"), ("Observation/o1", "Patient/p2")],
)


for form in ("http://a/f/Patient/{0}/_history/2", "http://a/f/Patient/{0}", "urn:uuid:{0}"):
    case(
        f"no id but a fullUrl {form}",
        bundle(
            "collection",
            entry({"resourceType": "Patient"}, form.format("p1")),
            entry({"resourceType": "Patient"}, form.format("p2")),
            entry(observation("o1", form.format("p1"))),
            entry(observation("o2", form.format("p2"))),
        ),
        [("Observation/o1", "Patient/p1"), ("Observation/o2", "Patient/p2")],
    )
for url in ("Patient/p1", "/Patient/p1", "http://a/f/Patient/p1", "Patient/p1/_history/2"):
    case(
        f"no id but a PUT to {url}",
        bundle(
            "transaction",
            entry({"resourceType": "Patient"}, "urn:uuid:aa", **asked("PUT", url)),
            entry(observation("o1", "urn:uuid:aa"), **asked("POST", "Observation")),
        ),
        [("Observation/o1", "Patient/p1")],
    )
for method in ("OPTIONS", "TRACE", "patc", ""):
    for kind in ("transaction", "batch"):
        case(
            f"{kind} with the method {method}",
            bundle(
                kind,
                entry(observation("o1", "Patient/p1"), **asked(method, "Observation/o1")),
                entry(observation("o2", "Patient/p1"), **asked("post", "Observation")),
            ),
            [("Observation/o2", "Patient/p1")],
            bad=1,
        )
case(
    "logical with extensions of its fields",
    {**observation("o1", ""), "subject": {"identifier": {"value": "1"}, "_display": {"id": "x"}}},
    [],
    counts={"logical: an identifier alone": 1},
)
case(
    "logical with a reason why the reference is absent",
    {**observation("o1", ""), "subject": {"identifier": {"value": "1"}, "_reference": {"extension": []}}},
    [],
    counts={"logical: an identifier alone": 1},
)
for put_to, is_bad in (
    ("Patient/aa", False),
    (f"{HOME}/Patient/aa", False),
    ("Patient/aa/_history/2", False),
    ("Patient?identifier=s|v", False),
    ("Patient/bb", True),
    ("Practitioner/aa", True),
):
    case(
        f"put to {put_to}",
        bundle(
            "transaction",
            entry(
                patient("aa", managingOrganization={"reference": "Organization/o"}), **asked("PUT", put_to)
            ),
        ),
        [] if is_bad else [("Patient/aa", "Organization/o")],
        int(is_bad),
    )


@pytest.mark.parametrize("indent", [None, 1])
@pytest.mark.parametrize("name", CASES)
async def test_each_kind_gives_its_right_value(name: str, indent: int | None, tmp_path: Path) -> None:
    content, edges, bad, counts = CASES[name]
    path = tmp_path / "x.fhir.json"
    text = content if isinstance(content, str) else json.dumps(content, indent=indent)
    path.write_bytes(text.encode())
    passed_over: Counter[str] = Counter()
    found = await read_file(path, format="fhir", passed_over=passed_over)
    lines = [json.loads(each.text or b"") for each in found if isinstance(each, Record)]
    ends = [tuple(f"{line[end]['type']}/{line[end]['id']}" for end in ("from", "to")) for line in lines]
    assert Counter(ends) == Counter(edges)
    assert sum(isinstance(each, BadRecord) for each in found) == bad
    assert passed_over == counts


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "mac-roman", "shift_jis"])
@pytest.mark.parametrize("format_", ["fhir", "ndjson", "json"])
@pytest.mark.parametrize("indent", [None, 1])
async def test_what_is_not_utf_8_has_that_reason(
    encoding: str, format_: str, indent: int | None, tmp_path: Path
) -> None:
    """Whatever the format, and in an entry as well as alone; the entries beside it are read."""
    text = "é" if encoding != "shift_jis" else "東"
    record = {"type": "t", "id": "aa", "data": {"v": text}}
    content: object = {
        "fhir": bundle("collection", entry(observation("oo", "Patient/p")), entry(patient("p", v=text))),
        "json": [record],
        "ndjson": record,
    }[format_]
    path = tmp_path / "x"
    path.write_bytes(json.dumps(content, ensure_ascii=False, indent=indent).encode(encoding))
    if format_ == "ndjson":
        path.write_bytes(json.dumps(content, ensure_ascii=False).encode(encoding))
    found = await read_file(path, format=format_)
    assert [each.reason for each in found if isinstance(each, BadRecord)] == ["expected UTF-8"]
    assert sum(isinstance(each, Record) for each in found) == (format_ == "fhir")


DIGITS = "[1.10,0.1234567890123456789012345,1E+2,-0.0,100.00,12345678901234567890]"
WRONG = {
    "an id that is no text": '{"resourceType":"Observation","id":12,"v":DIGITS}',
    "no id": '{"resourceType":"Observation","subject":{"reference":"Patient/p1"},"v":DIGITS}',
    "no type": '{"id":"o1","v":DIGITS}',
}
BATCH = '{"resourceType":"Bundle","type":"batch","entry":[{"x":1.5},{"resource":RESOURCE}]}'
FORMS = {
    "alone": "RESOURCE",
    "list": '[{"resourceType":"Patient"},RESOURCE]',
    "bundle": BATCH,
    "nested": '{"resourceType":"Bundle","type":"batch","entry":[{"resource":BATCH}]}'.replace("BATCH", BATCH),
    "request": BATCH.replace("RESOURCE", 'RESOURCE,"request":{"method":"TRACE"}'),
    "change": BATCH.replace("RESOURCE", 'RESOURCE,"request":{"method":"PATCH","url":"Patient"}'),
}


@pytest.mark.parametrize("fhir", ["references", "resources"])
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("end", ["", "\n"])
async def test_dead_letters_of_fhir_keep_every_digit(end: str, form: str, fhir: str, tmp_path: Path) -> None:
    path, count = tmp_path / "x.fhir.json", 0
    for wrong in WRONG.values():
        # a line end behind the first bracket makes it a document
        text = FORMS[form].replace("RESOURCE", wrong.replace("DIGITS", DIGITS))
        path.write_text(text[0] + end + text[1:])
        for each in await read_file(path, format="fhir", fhir=fhir):
            if isinstance(each, BadRecord):
                assert DIGITS.encode() in (each.text or b"")
                count += 1
    assert count >= (0 if (form, fhir) == ("change", "references") else 2)
