"""What a client of the Python SDK sees through Envoy and Picket; a line for each fact.

The argument is JSON: the URLs of the services, and of the page of the login. Nothing of the SDK is replaced.
"""

import asyncio
import json
import sys

import httpx2
from mcp import Client
from mcp.client.auth import AuthorizationCodeResult, OAuthClientProvider
from mcp.client.streamable_http import create_mcp_http_client, streamable_http_client
from mcp.shared.auth import OAuthClientMetadata
from mcp_types import ElicitResult
from user import Memory, User

PLACES = json.loads(sys.argv[1])
ERAS = {"2025-11-25": "legacy", "2026-07-28": "auto"}


def leaf(error):
    """The error inside of the groups that task groups make."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def show(error):
    error = leaf(error)
    code = getattr(error, "code", None)
    inner = getattr(error, "error", None)
    data = getattr(inner, "data", None)
    shown = [type(error).__name__] + ([str(code)] if code is not None else []) + [str(error).split("\n")[0]]
    if isinstance(data, dict):
        shown.append(f"data: {', '.join(sorted(data))}")
    return " | ".join(shown)


def text(result):
    shown = " ".join(part.text for part in result.content)
    return f"isError | {shown}" if result.is_error else shown


async def call(client, tool, **arguments):
    try:
        return text(await client.call_tool(tool, arguments))
    except Exception as error:
        return show(error)


async def refusals():
    for form in ["http_jsonrpc", "http_problem", "rpc_error_200", "tool_error_200", "hidden"]:
        for era, mode in ERAS.items():
            async with Client(PLACES[form], mode=mode) as client:
                assert client.protocol_version == era, client.protocol_version
                tools = await client.list_tools()
                assert len(tools.tools) == 5
                first = await call(client, "echo", text="one")
                refused = await call(client, "erase")
                last = await call(client, "echo", text="two")
                print(f"{form} {era}: {first}; {refused}; {last}")


class Browser(User):
    async def come_back(self):
        return AuthorizationCodeResult(code=self.back["code"], state=self.back["state"], iss=self.back.get("iss"))


async def step_up():
    for era, mode in ERAS.items():
        browser = Browser(httpx2.AsyncClient)
        metadata = OAuthClientMetadata(client_name="notes", redirect_uris=["http://127.0.0.1:1/callback"])
        auth = OAuthClientProvider(PLACES["guarded"], metadata, Memory(), browser.open, browser.come_back)
        async with create_mcp_http_client(auth=auth) as http:
            transport = streamable_http_client(PLACES["guarded"], http_client=http)
            async with Client(transport, mode=mode) as client:
                assert client.protocol_version == era, client.protocol_version
                print(f"login {era}: {await call(client, 'echo', text='one')}; asked for {browser.pages}")
                print(f"add_scope {era}: {await call(client, 'write_note', text='two')}; asked for {browser.pages}")
                print(f"same token {era}: {await call(client, 'write_note', text='three')}; asked for {browser.pages}")
                try:
                    signed = await asyncio.wait_for(call(client, "sign", text="four"), 20)
                except TimeoutError:
                    signed = "no answer"
                print(f"step_up {era}: {signed}; asked for {browser.pages}")


async def elicitation():
    async def asked(context, params):
        async with httpx2.AsyncClient() as http:
            page = await http.get(params.url)
        return ElicitResult(action="accept" if page.status_code == 200 else "cancel")

    for era, mode in ERAS.items():
        async with Client(PLACES["careful"], mode=mode, elicitation_callback=asked) as client:
            print(f"approve {era}: {await call(client, 'deploy', ticket=f'CHG-{era}')}")
    async with Client(PLACES["careful"]) as client:
        # Why a note is no state: the server behind refuses one that it did not make.
        try:
            seen = text(await client.session.call_tool("echo", {"text": "one"}, request_state="picket1.AAAA"))
        except Exception as error:
            seen = show(error)
        print(f"a state of another's, at the server: {seen}")
        print(f"approve without a callback: {await call(client, 'deploy', ticket='CHG-none')}")


async def main():
    await refusals()
    await step_up()
    await elicitation()


asyncio.run(main())
