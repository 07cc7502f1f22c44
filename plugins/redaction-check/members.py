#!/usr/bin/env python3
"""Makes src/members.bin: members of AWS calls that may hold secrets or are called sensitive.

    members.py LIST.csv > src/members.bin

LIST.csv has a line a member of a call that changes something, with the columns botocore_service,
signing_name, operation, cloudtrail_side (requestParameters or responseElements), member_path (names
joined by dots; [] marks a list, {} a map) and reason (`sensitive` where AWS's model of the API has that
trait, otherwise the name alone speaks for it). It is derived from the API models of botocore 1.44.5,
which are published under the Apache License 2.0, as this table is.

The table holds hashes only, little endian:

    number of calls                                  u32
    for each call, rising:  hash of service/call     u32
                            first of its members     u32
    for each member:        hash of its path, of which the lowest bit says that it is a secret

A hash is FNV-1a of 32 bits over the lower-case text. Of a path each name counts with a slash before it;
lists, the `items` that EC2 puts around their elements, and what lies in a map do not count. What is
below a member is part of it. Left out are members whose name alone is enough for the plugin.
"""

import csv
import re
import struct
import sys

TELLING = re.compile(r"(password|passwd|passphrase|secret|token|apikey|privatekey)$")
HARMLESS = re.compile(
    r"(next|client|request|pagination|continuation|idempotency|change|lock|update|starting|creator"
    r"|page|deduplication|version)token$"
)
SECRET = re.compile(
    r"secret|passw|passcode|passphrase|token|credential|privatekey|keymaterial|sharedkey|apikey"
    r"|authkey|presigned|signedurl|userdata|environment|plaintext|seed|otp$|onetime|^pin$|zipfile"
    r"|authentication|codeverifier|primaryaccountnumber|certificatekey|connectionproperties"
)


def fnv(text: str) -> int:
    value = 0x811C9DC5
    for byte in text.encode():
        value = ((value ^ byte) * 0x01000193) & 0xFFFFFFFF
    return value


def names(side: str, path: str) -> list[str]:
    path = path.split("{}")[0].rstrip(".")
    names = [side, *path.replace("[]", "").split(".")]
    return [name.lower() for name in names if name and name.lower() != "items"]


def main() -> None:
    with open(sys.argv[1], newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    calls: dict[int, set[int]] = {}
    for row in rows:
        path = names(row["cloudtrail_side"], row["member_path"])
        last = path[-1]
        if TELLING.search(last) and not HARMLESS.search(last) and "{}" not in row["member_path"]:
            continue
        member = fnv("".join("/" + name for name in path)) & ~1 | bool(SECRET.search(last))
        for service in {row["signing_name"], row["botocore_service"]}:
            call = fnv(f"{service}/{row['operation']}".lower())
            calls.setdefault(call, set()).add(member)
    head, members = [], []
    for call in sorted(calls):
        head.append((call, len(members)))
        members.extend(sorted(calls[call]))
    out = struct.pack("<I", len(head))
    out += b"".join(struct.pack("<II", *pair) for pair in head)
    out += b"".join(struct.pack("<I", member) for member in members)
    sys.stdout.buffer.write(out)
    print(f"{len(head)} calls, {len(members)} members, {len(out)} bytes", file=sys.stderr)


if __name__ == "__main__":
    main()
