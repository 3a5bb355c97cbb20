// An MCP server of the TypeScript SDK on a port of its own; prints the port.

import { createServer } from 'node:http';
import { toNodeHandler } from '@modelcontextprotocol/node';
import { createMcpHandler, McpServer } from '@modelcontextprotocol/server';
import { z } from 'zod';

const text = (text) => ({ content: [{ type: 'text', text }] });

function notes() {
  const server = new McpServer({ name: 'notes', version: '1.0.0' });
  const tool = (name, inputSchema, answer) =>
    server.registerTool(name, { inputSchema: z.object(inputSchema) }, async (given) => text(answer(given)));
  tool('echo', { text: z.string() }, ({ text }) => `echo ${text}`);
  tool('erase', {}, () => 'erased');
  tool('write_note', { text: z.string() }, ({ text }) => `wrote ${text}`);
  tool('sign', { text: z.string() }, ({ text }) => `signed ${text}`);
  tool('deploy', { ticket: z.string() }, ({ ticket }) => `deployed ${ticket}`);
  return server;
}

const listener = createServer(toNodeHandler(createMcpHandler(notes)));
listener.listen(0, '127.0.0.1', () => console.log(listener.address().port));
