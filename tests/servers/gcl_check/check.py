"""Whether Google Cloud Logging could take this body of an entries:write request: see gcl_check.sh."""

import re
import sys

from google.cloud.logging_v2.types import WriteLogEntriesRequest
from google.protobuf import json_format

# As Google states them: cloud.google.com/logging/quotas, and the reference of LogEntry.
REQUEST_BYTES = 10_000_000
ENTRY_BYTES = 256 * 1024
LABELS = 64
LOG_NAME = re.compile(r"(?:projects|folders|organizations|billingAccounts)/[^/]+/logs/([\w.%/-]{1,511})", re.ASCII)


def parse(body):
    """The body as Google's own type: refuses unknown fields, wrong types, duplicate keys, and numbers that are none."""
    request = WriteLogEntriesRequest.pb(WriteLogEntriesRequest())
    json_format.Parse(body, request, ignore_unknown_fields=False)
    json_format.MessageToJson(request)  # NaN and the infinities get through the line above
    return request


def refusals(request):
    """What parses and would be refused all the same."""
    if request.ByteSize() > REQUEST_BYTES:
        yield f"the request has {request.ByteSize()} bytes; {REQUEST_BYTES} are allowed"
    for number, entry in enumerate(request.entries):
        name = entry.log_name or request.log_name
        parts = LOG_NAME.fullmatch(name)
        if parts is None:
            yield f"entry {number}: {name!r} is no log name"
        elif "/" in parts[1]:
            yield f"entry {number}: the slash in {parts[1]!r} must be written %2F"
        if not entry.resource.type and not request.resource.type:
            yield f"entry {number}: no type of resource"
        if not entry.WhichOneof("payload"):
            yield f"entry {number}: no payload"
        if entry.ByteSize() > ENTRY_BYTES:
            yield f"entry {number}: {entry.ByteSize()} bytes; {ENTRY_BYTES} are allowed"
        labels = len({**request.labels, **entry.labels})
        if labels > LABELS:
            yield f"entry {number}: {labels} labels; {LABELS} are allowed"


try:
    request = parse(sys.stdin.buffer.read())
except (json_format.Error, UnicodeDecodeError) as fault:
    sys.exit(f"not an entries:write request: {fault}")
found = list(refusals(request))
if found:
    sys.exit("\n".join(found))
print(f"ok {len(request.entries)} entries")
