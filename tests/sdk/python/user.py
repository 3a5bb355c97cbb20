"""A user and a keeper of tokens for the clients of both lines of the Python SDK."""

from urllib.parse import parse_qs, urlparse


class Memory:
    """Where the SDK keeps its tokens."""

    def __init__(self):
        self.tokens = None
        self.client = None

    async def get_tokens(self):
        return self.tokens

    async def set_tokens(self, tokens):
        self.tokens = tokens

    async def get_client_info(self):
        return self.client

    async def set_client_info(self, client):
        self.client = client


class User:
    """Agrees to everything: opens the page and is sent back with a code.

    `http` makes the client of the SDK's own HTTP library; how the code is handed over is each line's affair.
    """

    def __init__(self, http):
        self.http = http
        self.pages = []

    async def open(self, url):
        async with self.http() as http:
            answer = await http.get(url)
        asked = parse_qs(urlparse(url).query)
        self.pages.append(asked.get("scope", ["-"])[0] + (" acr" if "acr_values" in asked else ""))
        self.back = {key: values[0] for key, values in parse_qs(urlparse(answer.headers["location"]).query).items()}
