// MCP by the TypeScript SDKs: what a client sees of masked, refused and ended results; a line for each call.
//
// The argument is JSON: the URLs of the services. Nothing of an SDK is replaced.

import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { Client as OldClient } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport as OldTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';

const places = JSON.parse(process.argv[2]);
const names = ['plain', 'masked', 'closed', 'ended', 'progress_masked', 'progress_ended', 'progress_key', 'failing', 'plain'];
const auto = { versionNegotiation: { mode: 'auto' } };
const clients = [
  ['sdk 1 2025-11-25', () => new OldClient({ name: 'notes', version: '1' }), OldTransport],
  ['client 2 2025-11-25', () => new Client({ name: 'notes', version: '1' }), StreamableHTTPClientTransport],
  ['client 2 2026-07-28', () => new Client({ name: 'notes', version: '1' }, auto), StreamableHTTPClientTransport],
];

function show(error) {
  const code = error.code ?? error.status;
  const shown = [error.constructor.name, ...(code === undefined ? [] : [code]), error.message.split('\n')[0]];
  if (error.data && typeof error.data === 'object') shown.push(`data: ${Object.keys(error.data).sort().join(', ')}`);
  return shown.join(' | ');
}

async function call(client, name, isOld) {
  const seen = [];
  const options = { timeout: 10_000, onprogress: ({ message }) => seen.push(`progress ${JSON.stringify(message)}`) };
  const given = { name, arguments: {} };
  try {
    const result = await (isOld ? client.callTool(given, undefined, options) : client.callTool(given, options));
    const text = JSON.stringify(result.content.map((part) => part.text).join(' '));
    seen.push(result.isError ? `isError; ${text}` : text);
    if (result.structuredContent) seen.push(JSON.stringify(result.structuredContent));
  } catch (error) {
    seen.push(show(error));
  }
  return seen.join('; ');
}

for (const service of ['agents/documents', 'agents/streams']) {
  for (const [version, make, Transport] of clients) {
    const client = make();
    await client.connect(new Transport(new URL(`${places[service]}/mcp`)));
    const { tools } = await client.listTools();
    const described = tools.filter((tool) => tool.name === 'masked').map((tool) => tool.description);
    console.log(`${service}, ${version}, list: ${tools.length} tools, ${described}`);
    for (const name of names) {
      console.log(`${service}, ${version}, ${name}: ${await call(client, name, version.startsWith('sdk 1'))}`);
    }
    await client.close();
  }
}
process.exit(0);
