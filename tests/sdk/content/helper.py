"""A2A by the Python SDK: what a client sees of masked, refused and ended answers; a line for each call.

The argument is JSON: the URLs of the services, and the number of each canned answer. Nothing of the SDK is replaced.
"""

import asyncio
import json
import sys
from uuid import uuid4

from a2a.client import ClientCallContext, ClientConfig, ClientFactory
from a2a.types import AgentCapabilities, AgentCard, AgentInterface, Message, Part, Role, SendMessageRequest

PLACES = json.loads(sys.argv[1])
URL = PLACES["agents/helper"] + "/a2a"


def show(error):
    return f"{type(error).__name__} | {str(error).split(chr(10))[0]}"


def seen(event):
    """The text of an event, or its state."""
    kind = event.WhichOneof("payload")
    body = getattr(event, kind)
    if kind == "message":
        return repr("".join(part.text for part in body.parts))
    if kind == "artifact_update":
        return repr("".join(part.text for part in body.artifact.parts))
    return f"{kind} {body.status.state}"


async def call(version, is_stream, number):
    interface = AgentInterface(url=URL, protocol_binding="JSONRPC", protocol_version=version)
    capabilities = AgentCapabilities(streaming=is_stream)
    card = AgentCard(name="helper", supported_interfaces=[interface], capabilities=capabilities)
    client = ClientFactory(ClientConfig(streaming=is_stream)).create(card)
    part = Part(text="hello")
    request = SendMessageRequest(message=Message(message_id=str(uuid4()), role=Role.ROLE_USER, parts=[part]))
    context = ClientCallContext(service_parameters={"x-answer": str(number)}, timeout=10)
    events = []
    try:
        async with asyncio.timeout(10):
            async for event in client.send_message(request, context=context):
                events.append(seen(event))
    except Exception as error:
        events.append(show(error))
    return "; ".join(events)


async def main():
    for form in ["0.3", "1.0", "0.3 stream", "1.0 stream"]:
        for name, number in PLACES.items():
            if name.startswith(f"{form}, "):
                print(f"{name}: {await call(form[:3], 'stream' in form, number)}")


asyncio.run(main())
