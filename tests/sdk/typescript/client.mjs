// What clients of the TypeScript SDKs see through Envoy and Picket; a line for each fact.
//
// The argument is JSON: the URLs of the services. Nothing of an SDK is replaced.

import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { Client as OldClient } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport as OldTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';

const places = JSON.parse(process.argv[2]);
const capabilities = { elicitation: { url: {} } };

const clients = [
  ['sdk 1 2025-11-25', () => new OldClient({ name: 'notes', version: '1' }, { capabilities }), OldTransport],
  ['client 2 2025-11-25', () => new Client({ name: 'notes', version: '1' }, { capabilities }), StreamableHTTPClientTransport],
  [
    'client 2 2026-07-28',
    () => new Client({ name: 'notes', version: '1' }, { capabilities, versionNegotiation: { mode: 'auto' } }),
    StreamableHTTPClientTransport,
  ],
];

function show(error) {
  const code = error.code ?? error.status;
  const shown = [error.constructor.name, ...(code === undefined ? [] : [code]), error.message.split('\n')[0]];
  if (error.data && typeof error.data === 'object') shown.push(`data: ${Object.keys(error.data).sort().join(', ')}`);
  return shown.join(' | ');
}

async function call(client, name, given = {}) {
  try {
    const result = await client.callTool({ name, arguments: given });
    const text = result.content.map((part) => part.text).join(' ');
    return result.isError ? `isError | ${text}` : text;
  } catch (error) {
    return show(error);
  }
}

async function refusals([name, make, Transport]) {
  for (const form of ['http_jsonrpc', 'http_problem', 'rpc_error_200', 'tool_error_200', 'hidden']) {
    const client = make();
    await client.connect(new Transport(new URL(places[form])));
    const tools = await client.listTools();
    if (tools.tools.length !== 5) throw new Error(`${tools.tools.length} tools`);
    const first = await call(client, 'echo', { text: 'one' });
    const refused = await call(client, 'erase');
    const last = await call(client, 'echo', { text: 'two' });
    console.log(`${form}, ${name}: ${first}; ${refused}; ${last}`);
    await client.close();
  }
}

// Where the SDK keeps its tokens, with a user who agrees to everything: opens the page and is sent back with a code.
class Browser {
  pages = [];
  state() { return crypto.randomUUID(); }
  redirectUrl = 'http://127.0.0.1:1/callback';
  clientMetadata = { client_name: 'notes', redirect_uris: [this.redirectUrl] };
  clientInformation() { return this.client; }
  saveClientInformation(client) { this.client = client; }
  tokens() { return this.kept; }
  saveTokens(tokens) { this.kept = tokens; }
  codeVerifier() { return this.verifier; }
  saveCodeVerifier(verifier) { this.verifier = verifier; }
  async redirectToAuthorization(url) {
    this.pages.push((url.searchParams.get('scope') ?? '-') + (url.searchParams.has('acr_values') ? ' acr' : ''));
    const answer = await fetch(url, { redirect: 'manual' });
    this.back = new URL(answer.headers.get('location')).searchParams;
  }
}

// Does something; where the SDK sends the user away it is told when the user is back, and it is done again.
async function returning(browser, transport, act) {
  for (let left = 3; ; left -= 1) {
    const pages = browser.pages.length;
    const seen = await act();
    if (browser.pages.length === pages || left === 0) return seen;
    await transport().finishAuth(browser.back.get('code'), browser.back.get('iss'));
  }
}

async function stepUp([name, make, Transport]) {
  const browser = new Browser();
  let client, transport;
  const connect = async () => {
    client = make();
    transport = new Transport(new URL(places.guarded), { authProvider: browser });
    try {
      await client.connect(transport);
      return 'connected';
    } catch (error) {
      return show(error);
    }
  };
  const asked = () => `asked for ${JSON.stringify(browser.pages)}`;
  const tried = async (tool, text) => {
    const seen = await returning(browser, () => transport, () => call(client, tool, { text }));
    return `${seen}; ${asked()}`;
  };
  console.log(`connect, ${name}: ${await returning(browser, () => transport, connect)}; ${asked()}`);
  console.log(`login, ${name}: ${await tried('echo', 'one')}`);
  console.log(`add_scope, ${name}: ${await tried('write_note', 'two')}`);
  console.log(`same token, ${name}: ${await tried('write_note', 'three')}`);
  console.log(`step_up, ${name}: ${await tried('sign', 'four')}`);
  await client.close();
}

async function elicitation([name, make, Transport]) {
  const client = make();
  if (!name.startsWith('sdk 1')) {
    client.setRequestHandler('elicitation/create', async (request) => {
      const page = await fetch(request.params.url);
      return { action: page.ok ? 'accept' : 'cancel' };
    });
  }
  await client.connect(new Transport(new URL(places.careful)));
  console.log(`approve, ${name}: ${await call(client, 'deploy', { ticket: `CHG-${name.replaceAll(' ', '-')}` })}`);
  await client.close();
}

for (const part of [refusals, stepUp, elicitation]) {
  for (const client of clients) await part(client);
}
process.exit(0);
