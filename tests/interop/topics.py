"""An integrator's view: reads downtime.* and oee.* with Avro and Kafka clients that are not ours, the gateway as the
schema registry, and says as JSON what they hold: the last record of every key.

usage: topics.py BROKERS GATEWAY TENANT LINE
"""

import datetime
import io
import json
import struct
import sys
import urllib.request

import fastavro
from confluent_kafka import Consumer, TopicPartition

brokers, gateway, tenant, line = sys.argv[1:]
schemas = {}


def schema(number):
    if number not in schemas:
        with urllib.request.urlopen(f"{gateway}/registry/schemas/ids/{number}") as answer:
            schemas[number] = fastavro.parse_schema(json.loads(json.load(answer)["schema"]))
    return schemas[number]


def decode(payload):
    magic, number = struct.unpack(">bI", payload[:5])
    assert magic == 0, "the Confluent wire format begins with 0"
    body = io.BytesIO(payload[5:])
    record = fastavro.schemaless_reader(body, schema(number))
    assert body.read() == b"", "nothing follows the record"
    return record


def plain(value):
    if isinstance(value, datetime.datetime):
        text = value.astimezone(datetime.timezone.utc).isoformat(timespec="milliseconds")
        return text.replace("+00:00", "Z")
    raise TypeError(f"{value!r} has no JSON")


def read(topic):
    consumer = Consumer(
        {"bootstrap.servers": brokers, "group.id": "interop", "isolation.level": "read_committed",
         "enable.auto.commit": False, "enable.partition.eof": True, "auto.offset.reset": "earliest"}
    )
    consumer.assign([TopicPartition(topic, 0, 0)])
    last, seen, repeated = {}, set(), 0
    while True:
        message = consumer.poll(30)
        assert message is not None, f"{topic} does not answer"
        if message.error():
            assert message.error().name() == "_PARTITION_EOF", message.error()
            break
        headers = {name: value.decode() for name, value in message.headers()}
        place = (headers["incarnation"], headers["commit_seq"], headers["index"])
        repeated += place in seen
        seen.add(place)
        key = message.key().decode()
        last[key] = None if message.value() is None else decode(message.value())
    consumer.close()
    return {"last": last, "repeated": repeated, "records": len(seen)}


result = {kind: read(f"{kind}.{tenant}.{line}") for kind in ("downtime", "oee")}
print(json.dumps(result, default=plain))
