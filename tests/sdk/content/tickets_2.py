"""MCP by the Python SDK: what a client sees of masked, refused and ended results; a line for each call.

The argument is JSON: the URLs of the services. Nothing of the SDK is replaced.
"""

import asyncio
import json
import sys

from mcp import Client

PLACES = json.loads(sys.argv[1])
VERSIONS = {"2025-11-25": "legacy", "2026-07-28": "auto"}
TOOLS = ["plain", "masked", "closed", "ended", "progress_masked", "progress_ended", "progress_key", "failing", "plain"]


def show(error):
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    inner = getattr(error, "error", None)
    shown = [type(error).__name__] + ([str(inner.code)] if inner else []) + [str(error).split("\n")[0]]
    if inner and isinstance(inner.data, dict):
        shown.append(f"data: {', '.join(sorted(inner.data))}")
    return " | ".join(shown)


async def call(client, tool):
    seen = []

    async def progress(done, total, message):
        seen.append(f"progress {message!r}")

    try:
        result = await asyncio.wait_for(client.call_tool(tool, {}, progress_callback=progress), 10)
    except Exception as error:
        return "; ".join([*seen, show(error)])
    text = " ".join(part.text for part in result.content)
    shown = [*seen, "isError", repr(text)] if result.is_error else [*seen, repr(text)]
    return "; ".join(shown + ([repr(result.structured_content)] if result.structured_content else []))


async def main():
    for service in ["agents/documents", "agents/streams"]:
        for version, mode in VERSIONS.items():
            async with Client(PLACES[service] + "/mcp", mode=mode) as client:
                assert client.protocol_version == version, client.protocol_version
                tools = await client.list_tools()
                described = [tool.description for tool in tools.tools if tool.name == "masked"]
                print(f"{service}, {version}, list: {len(tools.tools)} tools, {described}")
                for tool in TOOLS:
                    print(f"{service}, {version}, {tool}: {await call(client, tool)}")


asyncio.run(main())
