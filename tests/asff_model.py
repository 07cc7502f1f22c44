"""Holds findings against the types of AWS's own SDK: would it take them, and would it send the same?

    .venv/bin/python tests/asff_model.py < findings.ndjson

Reads JSON values: findings, lists of findings, or requests `{"Findings": […]}`. Every problem is a line
`finding <number from 0> <path>: <what is wrong>`. The exit status is 0 where there is no problem, and 1
where there is one, or where there was nothing to look at.

botocore's own validator looks at types, required members, unknown members and minimums. The rest that its
model says is looked at here: values of enumerations, patterns, maximums, which of the members are times,
and the lengths and numbers that only the members' documentation gives.
"""

import functools
import json
import re
import sys

from botocore import __version__
from botocore.serialize import create_serializer
from botocore.session import Session
from botocore.validate import ParamValidator

IMPORT = Session().get_service_model("securityhub").operation_model("BatchImportFindings")
# Limits that the documentation gives; fewer are found where it was written anew and is not understood.
LEAST_DOCUMENTED = 40

LENGTH = re.compile(r"Length Constraints: (?:Minimum (?:length )?of \d+(?: length)?\. )?(?:Maximum (?:length )?of )?(\d+)(?: length)?\.")
ITEMS = re.compile(r"Array Members: (?:Minimum number of \d+ items?\. )?Maximum number of (\d+) items?")
PAIRS = re.compile(
    r"up to (\d+) key-value pairs\. For each key-value pair, the key can contain up to (\d+) characters, "
    r"and the value can contain up to (\d+) characters"
)
TIME = re.compile(
    r"\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])T([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d{1,9})?"
    r"(Z|[+-]((0\d|1[0-7]):?[0-5]\d|18:?00))"
)
# What Java, JavaScript, Python or Rust takes for white space: a text of these alone is empty to one of them.
BLANK = re.compile(r"[\s\u0000-\u0020\u0085\u00a0\u1680\u180e\u2000-\u200b\u2028\u2029\u202f\u205f\u3000\ufeff]*")
SURROGATE = re.compile("[\ud800-\udfff]")
compiled = functools.cache(re.compile)


@functools.cache
def limits(documentation):
    """What the documentation of a member says of length, items, and pairs with their names and values."""
    text = re.sub("<[^>]+>", "", documentation)
    length, items, pairs = (pattern.search(text) for pattern in (LENGTH, ITEMS, PAIRS))
    length, items = (int(found[1]) if found else float("inf") for found in (length, items))
    return length, items, [int(group) for group in pairs.groups()] if pairs else [float("inf")] * 3


class Checker:
    """Gathers the problems of one request, each with the path of what it is about."""

    def __init__(self):
        self.problems = []

    def problem(self, path, text):
        self.problems.append((path, text))

    def value(self, value, shape, path):
        """Only what the validator does not look at: that a value has another type is its business."""
        if shape.type_name == "structure" and isinstance(value, dict):
            self.structure(value, shape, path)
        elif shape.type_name == "map" and isinstance(value, dict):
            self.map(value, shape, path)
        elif shape.type_name == "list" and isinstance(value, list):
            _, limit, _ = limits(shape.documentation)
            self.at_most(len(value), min(limit, shape.metadata.get("max", limit)), "items", path)
            for number, item in enumerate(value):
                self.value(item, shape.member, f"{path}/{number}")
        elif shape.type_name == "string" and isinstance(value, str):
            self.string(value, shape, path)
        elif shape.type_name in ("integer", "long", "float", "double") and isinstance(value, (int, float)):
            if isinstance(value, bool):
                self.problem(path, "is a boolean and not a number")
            self.at_most(value, shape.metadata.get("max", float("inf")), "", path)

    def structure(self, value, shape, path):
        for name, member in value.items():
            if member is None:
                self.problem(f"{path}/{name}", "is null")
            elif name in shape.members:
                self.value(member, shape.members[name], f"{path}/{name}")
        if shape.name == "Resource":
            kind, details = value.get("Type"), shape.members["Details"]
            for name in value.get("Details") or {}:
                if name not in (kind, "Other") and name in details.members:
                    self.problem(f"{path}/Details", f"{name} is not about a resource of type {kind}")

    def map(self, value, shape, path):
        _, _, (pairs, key, text) = limits(shape.documentation)
        self.at_most(len(value), pairs, "pairs", path)
        for name, member in value.items():
            self.value(name, shape.key, f"{path}/{name[:200]}")
            self.value(member, shape.value, f"{path}/{name[:200]}")
            self.at_most(len(name), key, "characters of a name", f"{path}/{name[:200]}")
            if isinstance(member, str):
                self.at_most(len(member), text, "characters", f"{path}/{name[:200]}")

    def string(self, value, shape, path):
        if SURROGATE.search(value):
            self.problem(path, "has a surrogate that is no character")
        if shape.enum and value not in shape.enum:
            self.problem(path, f"{value[:100]!r} is none of {', '.join(shape.enum)}")
        pattern = shape.metadata.get("pattern")
        if pattern and (not compiled(pattern).search(value) or BLANK.fullmatch(value)):
            self.problem(path, f"does not match {pattern}")
        documentation = shape.documentation
        limit, _, _ = limits(documentation)
        self.at_most(len(value), min(limit, shape.metadata.get("max", limit)), "characters", path)
        if "Welcome.html#timestamps" in documentation and not TIME.fullmatch(value):
            self.problem(path, f"{value[:100]!r} is no time")

    def at_most(self, number, limit, of, path):
        if number > limit:
            self.problem(path, f"{number} {of} are more than {limit}".replace("  ", " "))


def documented(shape, seen):
    """How many members of a shape, at every depth, have a limit in their documentation."""
    if shape.name in seen:
        return 0
    seen.add(shape.name)
    inner = {
        "structure": lambda: list(shape.members.values()),
        "list": lambda: [shape.member],
        "map": lambda: [shape.value],
    }.get(shape.type_name, list)()
    unlimited = limits("")
    own = sum(limits(member.documentation) != unlimited for member in inner)
    return own + sum(documented(member, seen) for member in inner)


def of_validator(request):
    """What botocore's own validator has to say, as paths and texts."""
    report = ParamValidator().validate(request, IMPORT.input_shape)
    # Its public report writes whole values, over as many lines as they have.
    for reason, name, details in report._errors:
        path = re.sub(r"\[(\d+)\]", r".\1", name).replace(".", "/")
        if member := details.get("unknown_param") or details.get("required_name"):
            yield f"{path}/{member}", reason
        elif "valid_types" in details:
            yield path, f"{reason}: {type(details['param']).__name__}, not {' or '.join(details['valid_types'])}"
        else:
            yield path, f"{reason}: at least {details.get('min_allowed')}"


def of_serializer(request):
    """What the SDK would send that is not what was given."""
    serializer = create_serializer(IMPORT.service_model.protocol, include_validation=False)
    sent = serializer.serialize_to_request(request, IMPORT)
    if (sent["method"], sent["url_path"]) != ("POST", "/findings/import"):
        yield "", f"would be sent as {sent['method']} {sent['url_path']}"
    yield from differences(request, json.loads(sent["body"]), "")


def differences(given, sent, path):
    if isinstance(given, dict) and isinstance(sent, dict):
        for name in given.keys() | sent.keys():
            if name in given and name in sent:
                yield from differences(given[name], sent[name], f"{path}/{name}")
            else:
                yield f"{path}/{name}", "the SDK would not send it" if name in given else "the SDK would add it"
    elif isinstance(given, list) and isinstance(sent, list) and len(given) == len(sent):
        for number, pair in enumerate(zip(given, sent)):
            yield from differences(*pair, f"{path}/{number}")
    # In Python `True == 1` and `1 == 1.0`.
    elif type(given) is not type(sent) or given != sent:
        yield path, "the SDK would send another value"


def once(pairs):
    """An object, but for one that says a name twice: every reader takes another one of the two."""
    names = [name for name, _ in pairs]
    if len(set(names)) < len(names):
        raise ValueError(f"a name comes twice among {names}")
    return dict(pairs)


def values(text):
    decoder = json.JSONDecoder(object_pairs_hook=once)
    space = re.compile(r"[ \t\r\n]*")
    at = space.match(text).end()
    while at < len(text):
        value, at = decoder.raw_decode(text, at)
        yield value
        at = space.match(text, at).end()


def requests(text):
    """Requests of the findings, with the number of the first."""
    gathered, first = [], 0
    for value in values(text):
        if isinstance(value, dict) and "Findings" in value:
            yield value, first
            first += len(value["Findings"]) if isinstance(value["Findings"], list) else 1
            continue
        gathered.extend(value if isinstance(value, list) else [value])
    for start in range(0, len(gathered), 100):
        yield {"Findings": gathered[start:start + 100]}, first + start


def main():
    count = problems = 0
    if documented(IMPORT.input_shape, set()) < LEAST_DOCUMENTED:
        print("the documentation of the model gives its limits in other words than those known here")
        return 1
    try:
        for request, first in requests(sys.stdin.read()):
            checker = Checker()
            checker.value(request, IMPORT.input_shape, "")
            found = [*of_validator(request), *checker.problems]
            # What is of a wrong type the SDK would not come to send.
            found += [] if found else of_serializer(request)
            for path, text in found:
                inside = re.match(r"/Findings/(\d+)(.*)", path, re.DOTALL)
                about = f"finding {first + int(inside[1])} {inside[2] or '/'}" if inside else f"request {path or '/'}"
                # What a finding says may have line feeds in it.
                print(f"{about}: {text}".encode("unicode_escape").decode())
            problems += len(found)
            count += len(request["Findings"]) if isinstance(request["Findings"], list) else 0
    except ValueError as error:
        print(f"input: {error}")
        return 1
    print(f"{count} findings, {problems} problems, botocore {__version__}", file=sys.stderr)
    return 0 if count and not problems else 1


if __name__ == "__main__":
    sys.exit(main())
