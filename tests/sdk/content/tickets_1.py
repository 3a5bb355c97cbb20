"""MCP by the first line of the Python SDK: what a client sees of masked, refused and ended results; a line for each call.

The argument is JSON: the URLs of the services. Nothing of the SDK is replaced.
"""

import asyncio
import json
import sys

from mcp import ClientSession
from mcp.client.streamable_http import streamable_http_client
from mcp.shared._httpx_utils import create_mcp_http_client

PLACES = json.loads(sys.argv[1])
TOOLS = ["plain", "masked", "closed", "ended", "progress_masked", "progress_ended", "progress_key", "failing", "plain"]


def show(error):
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    inner = getattr(error, "error", None)
    shown = [type(error).__name__] + ([str(inner.code)] if inner else []) + [str(error).split("\n")[0]]
    if inner and isinstance(inner.data, dict):
        shown.append(f"data: {', '.join(sorted(inner.data))}")
    return " | ".join(shown)


async def call(session, tool):
    seen = []

    async def progress(done, total, message):
        seen.append(f"progress {message!r}")

    try:
        result = await asyncio.wait_for(session.call_tool(tool, {}, progress_callback=progress), 10)
    except Exception as error:
        return "; ".join([*seen, show(error)])
    text = " ".join(part.text for part in result.content)
    shown = [*seen, "isError", repr(text)] if result.isError else [*seen, repr(text)]
    return "; ".join(shown + ([repr(result.structuredContent)] if result.structuredContent else []))


async def use(service):
    async with create_mcp_http_client() as http:
        async with streamable_http_client(PLACES[service] + "/mcp", http_client=http) as (read, write, _):
            async with ClientSession(read, write) as session:
                await session.initialize()
                listed = await session.list_tools()
                described = [tool.description for tool in listed.tools if tool.name == "masked"]
                print(f"{service}, list: {len(listed.tools)} tools, {described}")
                for tool in TOOLS:
                    print(f"{service}, {tool}: {await call(session, tool)}")


async def main():
    for service in ["agents/documents", "agents/streams"]:
        await use(service)


asyncio.run(main())
