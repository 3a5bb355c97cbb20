"""What a client of the Python SDK's first line sees through Envoy and Picket; a line for each fact.

The argument is JSON: the URLs of the services. Nothing of the SDK is replaced.
"""

import asyncio
import json
import sys
from contextlib import asynccontextmanager

import httpx
from mcp import ClientSession
from mcp.client.auth import OAuthClientProvider
from mcp.client.streamable_http import streamable_http_client
from mcp.shared._httpx_utils import create_mcp_http_client
from mcp.shared.auth import OAuthClientMetadata
from user import Memory, User

PLACES = json.loads(sys.argv[1])
ERA = "2025-11-25"


def show(error):
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    inner = getattr(error, "error", None)
    shown = [type(error).__name__] + ([str(inner.code)] if inner else []) + [str(error).split("\n")[0]]
    if inner and isinstance(inner.data, dict):
        shown.append(f"data: {', '.join(sorted(inner.data))}")
    return " | ".join(shown)


async def call(session, tool, **arguments):
    try:
        result = await asyncio.wait_for(session.call_tool(tool, arguments), 10)
    except Exception as error:
        return show(error)
    shown = " ".join(part.text for part in result.content)
    return f"isError | {shown}" if result.isError else shown


@asynccontextmanager
async def connected(place, auth=None):
    async with create_mcp_http_client(auth=auth) as http:
        async with streamable_http_client(place, http_client=http) as (read, write, _):
            async with ClientSession(read, write) as session:
                begun = await session.initialize()
                assert begun.protocolVersion == ERA, begun.protocolVersion
                yield session


async def refusals():
    for form in ["http_jsonrpc", "http_problem", "rpc_error_200", "tool_error_200", "hidden"]:
        lines = []
        try:
            async with connected(PLACES[form]) as session:
                tools = await session.list_tools()
                assert len(tools.tools) == 5
                lines.append(await call(session, "echo", text="one"))
                lines.append(await call(session, "erase"))
                lines.append(await call(session, "echo", text="two"))
        except Exception as error:
            lines.append(f"the session ends: {show(error)}")
        print(f"{form} {ERA}: {'; '.join(lines)}")


class Browser(User):
    async def come_back(self):
        return self.back["code"], self.back["state"]


async def step_up():
    browser = Browser(httpx.AsyncClient)
    metadata = OAuthClientMetadata(client_name="notes", redirect_uris=["http://127.0.0.1:1/callback"])
    auth = OAuthClientProvider(PLACES["guarded"], metadata, Memory(), browser.open, browser.come_back)
    try:
        async with connected(PLACES["guarded"], auth) as session:
            print(f"login {ERA}: {await call(session, 'echo', text='one')}; asked for {browser.pages}")
            print(f"add_scope {ERA}: {await call(session, 'write_note', text='two')}; asked for {browser.pages}")
            print(f"same token {ERA}: {await call(session, 'write_note', text='three')}; asked for {browser.pages}")
            print(f"step_up {ERA}: {await call(session, 'sign', text='four')}; asked for {browser.pages}")
    except Exception as error:
        print(f"step_up {ERA}: the session ends: {show(error)}; asked for {browser.pages}")


async def main():
    await refusals()
    await step_up()


asyncio.run(main())
