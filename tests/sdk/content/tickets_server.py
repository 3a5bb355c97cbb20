"""An MCP server of the Python SDK that answers once in documents and once in event streams; prints both ports."""

import asyncio
import socket

import uvicorn
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.server.transport_security import TransportSecuritySettings

KEY = "AKIAIOSFODNN7EXAMPLE"


def make():
    server = MCPServer("tickets")

    @server.tool(description="Reads a note.")
    def plain() -> str:
        return "see the notes"

    @server.tool(description="Reads a ticket such as INC-2026-00412.")
    def masked() -> dict[str, str]:
        return {"ticket": "INC-2026-00412", "note": 'a "b" \\ c'}

    @server.tool(description="Reads what no client gets.")
    def closed() -> str:
        return "see the notes"

    @server.tool(description="Reads a key.")
    def ended() -> str:
        return f"see {KEY}"

    @server.tool(description="Reads a ticket and reports progress.")
    async def progress_masked(ctx: Context) -> str:
        await ctx.report_progress(1, 2, "found INC-2026-00412")
        return "see INC-2026-00412"

    @server.tool(description="Reads a key and reports progress.")
    async def progress_ended(ctx: Context) -> str:
        await ctx.report_progress(1, 2, "found a key")
        return f"see {KEY}"

    @server.tool(description="Reports a key as progress.")
    async def progress_key(ctx: Context) -> str:
        await ctx.report_progress(1, 2, f"found {KEY}")
        return "see the notes"

    @server.tool(description="Fails with a ticket in its message.")
    def failing() -> str:
        raise ToolError("INC-2026-00412 is closed")

    return server


async def main():
    # Envoy removes the port from the host.
    hosts = TransportSecuritySettings(allowed_hosts=["127.0.0.1", "127.0.0.1:*"])
    servers = []
    for is_json in [True, False]:
        app = make().streamable_http_app(transport_security=hosts, json_response=is_json)
        listener = socket.socket()
        listener.bind(("127.0.0.1", 0))
        print(listener.getsockname()[1], flush=True)
        servers.append(uvicorn.Server(uvicorn.Config(app, log_level="warning")).serve(sockets=[listener]))
    await asyncio.gather(*servers)


asyncio.run(main())
