"""An MCP server of the Python SDK on a port of its own; prints the port."""

import asyncio
import socket

import uvicorn
from mcp.server.mcpserver import MCPServer
from mcp.server.transport_security import TransportSecuritySettings

server = MCPServer("notes")


@server.tool()
def echo(text: str) -> str:
    return f"echo {text}"


@server.tool()
def erase() -> str:
    return "erased"


@server.tool()
def write_note(text: str) -> str:
    return f"wrote {text}"


@server.tool()
def sign(text: str) -> str:
    return f"signed {text}"


@server.tool()
def deploy(ticket: str) -> str:
    return f"deployed {ticket}"


# Envoy takes the port off the host.
hosts = TransportSecuritySettings(allowed_hosts=["127.0.0.1", "127.0.0.1:*"])
app = server.streamable_http_app(transport_security=hosts)
listener = socket.socket()
listener.bind(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
asyncio.run(uvicorn.Server(uvicorn.Config(app, log_level="warning")).serve(sockets=[listener]))
