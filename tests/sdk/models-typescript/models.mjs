// Models by the TypeScript SDKs: what a client sees of masked, refused and ended responses; a line for each call.
//
// The argument is JSON: the URLs of the services, and the number of each canned answer. Nothing of an SDK is replaced.

import Anthropic from '@anthropic-ai/sdk';
import OpenAI from 'openai';

const places = JSON.parse(process.argv[2]);
const gateway = places['models/gateway'];
const openai = new OpenAI({ baseURL: `${gateway}/v1`, apiKey: 'x', timeout: 10_000 });
const anthropic = new Anthropic({ baseURL: gateway, apiKey: 'x', timeout: 10_000 });
const messages = [{ role: 'user', content: 'hello' }];
const tools = ['read', 'list'].map((name) => ({ name, input_schema: { type: 'object' } }));
const request = { model: 'm', max_tokens: 9, messages, tools };

const quoted = (text) => JSON.stringify(text);

function show(error) {
  return `${error.constructor.name} | ${error.message.split('\n')[0]}`;
}

// Names and arguments of calls; the arguments have to parse.
function calls(pairs) {
  const parsed = (given) => quoted(typeof given === 'string' ? JSON.parse(given) : given);
  return pairs.map(([name, given]) => `${name}(${parsed(given)})`);
}

async function* chat(options) {
  const answer = await openai.chat.completions.create({ model: 'm', messages }, options);
  const { message, finish_reason } = answer.choices[0];
  yield quoted(message.content);
  yield* calls((message.tool_calls ?? []).map((call) => [call.function.name, call.function.arguments]));
  yield `${finish_reason}, ${answer.usage.total_tokens} tokens`;
}

async function* chatStream(options) {
  let text = '';
  let tokens;
  const [found, reasons] = [[], []];
  try {
    for await (const chunk of await openai.chat.completions.create({ model: 'm', messages, stream: true }, options)) {
      tokens = chunk.usage?.total_tokens ?? tokens;
      for (const choice of chunk.choices) {
        text += choice.delta.content ?? '';
        if (choice.finish_reason) reasons.push(choice.finish_reason);
        for (const call of choice.delta.tool_calls ?? []) {
          const known = (found[call.index] ??= ['', '']);
          known[0] += call.function.name ?? '';
          known[1] += call.function.arguments ?? '';
        }
      }
    }
  } finally {
    yield quoted(text);
  }
  yield* calls(found);
  yield `${reasons.join(', ')}, ${tokens} tokens`;
}

async function* chatHelper(options) {
  const answer = await openai.chat.completions.stream({ model: 'm', messages }, options).finalChatCompletion();
  const { message, finish_reason } = answer.choices[0];
  yield quoted(message.content);
  yield* calls((message.tool_calls ?? []).map((call) => [call.function.name, call.function.arguments]));
  yield finish_reason;
}

function* response(answer) {
  yield quoted(answer.output_text);
  const found = answer.output.filter((item) => item.type === 'function_call');
  yield* calls(found.map((item) => [item.name, item.arguments]));
  yield `${answer.status}, ${answer.usage?.total_tokens} tokens`;
  if (answer.incomplete_details) yield `reason ${answer.incomplete_details.reason}`;
  if (answer.error) yield `error ${answer.error.code} ${answer.error.message}`;
}

async function* responses(options) {
  yield* response(await openai.responses.create({ model: 'm', input: 'hello' }, options));
}

async function* responsesStream(options) {
  let text = '';
  let last;
  for await (const event of await openai.responses.create({ model: 'm', input: 'hello', stream: true }, options)) {
    if (event.type === 'response.output_text.delta') text += event.delta;
    last = event;
  }
  yield `${last.type} behind ${quoted(text)}; ${last.response.status}`;
}

async function* responsesHelper(options) {
  yield* response(await openai.responses.stream({ model: 'm', input: 'hello' }, options).finalResponse());
}

function* message(answer) {
  const of = (type) => answer.content.filter((block) => block.type === type);
  yield quoted(of('text').map((block) => block.text).join(''));
  yield* calls(of('tool_use').map((block) => [block.name, block.input]));
  const types = answer.content.map((block) => block.type).join(', ');
  yield `${types}, ${answer.stop_reason}, ${answer.usage.output_tokens} tokens`;
}

async function* message_(options) {
  yield* message(await anthropic.messages.create(request, options));
}

async function* messagesStream(options) {
  const kinds = [];
  let text = '';
  try {
    for await (const event of await anthropic.messages.create({ ...request, stream: true }, options)) {
      if (kinds.at(-1) !== event.type) kinds.push(event.type);
      text += event.delta?.text ?? '';
    }
  } finally {
    yield `${kinds.join(', ')}; ${quoted(text)}`;
  }
}

async function* messagesHelper(options) {
  yield* message(await anthropic.messages.stream(request, options).finalMessage());
}

const forms = {
  chat: { plain: chat },
  'chat stream': { plain: chatStream, helper: chatHelper },
  responses: { plain: responses },
  'responses stream': { plain: responsesStream, helper: responsesHelper },
  messages: { plain: message_ },
  'messages stream': { plain: messagesStream, helper: messagesHelper },
};

async function seen(use, number) {
  const facts = [];
  try {
    for await (const fact of use({ headers: { 'x-answer': String(number) } })) facts.push(fact);
  } catch (error) {
    facts.push(show(error));
  }
  return facts.join('; ');
}

for (const [form, uses] of Object.entries(forms)) {
  for (const [name, number] of Object.entries(places)) {
    if (!name.startsWith(`${form}, `)) continue;
    for (const [kind, use] of Object.entries(uses)) {
      console.log(`${name}${kind === 'helper' ? ' by the helper' : ''}: ${await seen(use, number)}`);
    }
  }
}
process.exit(0);
