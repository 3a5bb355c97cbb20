"""Models by the Python SDKs: what a client sees of masked, refused and ended responses; a line for each call.

The argument is JSON: the URLs of the services, and the number of each canned answer. Nothing of an SDK is replaced.
"""

import json
import sys

import anthropic
import openai

PLACES = json.loads(sys.argv[1])
GATEWAY = PLACES["models/gateway"]
OPENAI = openai.OpenAI(base_url=GATEWAY + "/v1", api_key="x", timeout=10)
ANTHROPIC = anthropic.Anthropic(base_url=GATEWAY, api_key="x", timeout=10)
MESSAGES = [{"role": "user", "content": "hello"}]
TOOLS = [{"name": name, "input_schema": {"type": "object"}} for name in ["read", "list"]]


def show(error):
    return f"{type(error).__name__} | {str(error).split(chr(10))[0]}"


def calls(pairs):
    """Names and arguments of calls; the arguments have to parse."""
    return [f"{name}({json.loads(arguments) if isinstance(arguments, str) else arguments})" for name, arguments in pairs]


def chat(headers):
    answer = OPENAI.chat.completions.create(model="m", messages=MESSAGES, extra_headers=headers)
    message, reason = answer.choices[0].message, answer.choices[0].finish_reason
    yield repr(message.content)
    yield from calls((call.function.name, call.function.arguments) for call in message.tool_calls or [])
    yield f"{reason}, {answer.usage.total_tokens} tokens"


def chat_stream(headers):
    text, found, reasons, tokens = "", {}, [], None
    try:
        stream = OPENAI.chat.completions.create(model="m", messages=MESSAGES, stream=True, extra_headers=headers)
        for chunk in stream:
            tokens = chunk.usage.total_tokens if chunk.usage else tokens
            for choice in chunk.choices:
                text += choice.delta.content or ""
                reasons += [choice.finish_reason] if choice.finish_reason else []
                for call in choice.delta.tool_calls or []:
                    known = found.setdefault(call.index, ["", ""])
                    known[0] += call.function.name or ""
                    known[1] += call.function.arguments or ""
    finally:
        yield repr(text)
    yield from calls(found.values())
    yield f"{', '.join(reasons)}, {tokens} tokens"


def chat_helper(headers):
    with OPENAI.chat.completions.stream(model="m", messages=MESSAGES, extra_headers=headers) as stream:
        kinds = [event.type for event in stream]
        answer = stream.get_final_completion()
    yield f"{len(set(kinds))} kinds of events"
    message = answer.choices[0].message
    yield repr(message.content)
    yield from calls((call.function.name, call.function.arguments) for call in message.tool_calls or [])
    yield f"{answer.choices[0].finish_reason}"


def response(answer):
    yield repr(answer.output_text)
    yield from calls((item.name, item.arguments) for item in answer.output if item.type == "function_call")
    yield f"{answer.status}, {answer.usage and answer.usage.total_tokens} tokens"
    if answer.incomplete_details:
        yield f"reason {answer.incomplete_details.reason}"
    if answer.error:
        yield f"error {answer.error.code} {answer.error.message}"


def responses(headers):
    yield from response(OPENAI.responses.create(model="m", input="hello", extra_headers=headers))


def responses_stream(headers):
    text, last = "", None
    for event in OPENAI.responses.create(model="m", input="hello", stream=True, extra_headers=headers):
        text += event.delta if event.type == "response.output_text.delta" else ""
        last = event
    yield f"{last.type} behind {text!r}"
    yield from response(last.response)


def responses_helper(headers):
    text = ""
    with OPENAI.responses.stream(model="m", input="hello", extra_headers=headers) as stream:
        for event in stream:
            text += event.delta if event.type == "response.output_text.delta" else ""
            last = event
        yield f"{last.type} behind {text!r}"
        yield from response(stream.get_final_response())


def message(answer):
    yield repr("".join(block.text for block in answer.content if block.type == "text"))
    yield from calls((block.name, block.input) for block in answer.content if block.type == "tool_use")
    yield f"{', '.join(block.type for block in answer.content)}, {answer.stop_reason}, {answer.usage.output_tokens} tokens"


def messages(headers):
    answer = ANTHROPIC.messages.create(model="m", max_tokens=9, messages=MESSAGES, tools=TOOLS, extra_headers=headers)
    yield from message(answer)


def messages_stream(headers):
    kinds, text = [], ""
    stream = ANTHROPIC.messages.create(
        model="m", max_tokens=9, messages=MESSAGES, tools=TOOLS, stream=True, extra_headers=headers
    )
    try:
        for event in stream:
            if not kinds or kinds[-1] != event.type:
                kinds.append(event.type)
            text += getattr(getattr(event, "delta", None), "text", "")
    finally:
        yield f"{', '.join(kinds)}; {text!r}"


def messages_helper(headers):
    with ANTHROPIC.messages.stream(
        model="m", max_tokens=9, messages=MESSAGES, tools=TOOLS, extra_headers=headers
    ) as stream:
        yield from message(stream.get_final_message())


FORMS = {
    "chat": [chat],
    "chat stream": [chat_stream, chat_helper],
    "responses": [responses],
    "responses stream": [responses_stream, responses_helper],
    "messages": [messages],
    "messages stream": [messages_stream, messages_helper],
}


def seen(use, number):
    facts = []
    try:
        for fact in use({"x-answer": str(number)}):
            facts.append(fact)
    except Exception as error:
        facts.append(show(error))
    return "; ".join(facts)


for form, uses in FORMS.items():
    for name, number in PLACES.items():
        if name.startswith(f"{form}, "):
            for use in uses:
                helper = " by the helper" if use.__name__.endswith("_helper") else ""
                print(f"{name}{helper}: {seen(use, number)}")
