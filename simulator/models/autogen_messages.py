"""AutoGen's message types at the door of our model client, in both directions."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from autogen_core import FunctionCall
from autogen_core.models import (
    AssistantMessage,
    ChatCompletionTokenLogprob,
    CreateResult,
    FinishReasons,
    FunctionExecutionResultMessage,
    LLMMessage,
    RequestUsage,
    SystemMessage,
    TopLogprob,
    UserMessage,
)
from autogen_core.tools import Tool, ToolSchema
from pydantic import BaseModel

from simulator.models.messages import Completion, Message, Request
from simulator.models.replies import ToolCall, split_thoughts
from simulator.models.settings import Sampling

_FINISH: dict[str, FinishReasons] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "function_calls",
    "function_call": "function_calls",
    "content_filter": "content_filter",
}


def to_messages(messages: Sequence[LLMMessage]) -> list[Message]:
    """Our messages for AutoGen's. Thoughts are left out: a model does not hear again what it thought aloud."""
    ours: list[Message] = []
    for message in messages:
        match message:
            case SystemMessage():
                ours.append(Message("system", message.content))
            case UserMessage(content=str(text)):
                ours.append(Message("user", text))
            case UserMessage(content=parts):
                ours.append(Message.from_document({"role": "user", "content": [_part(part) for part in parts]}))
            case AssistantMessage(content=str(text)):
                ours.append(Message("assistant", text))
            case AssistantMessage(content=calls):
                documents = [_call(call) for call in calls if isinstance(call, FunctionCall)]
                ours.append(Message.from_document({"role": "assistant", "content": None, "tool_calls": documents}))
            case FunctionExecutionResultMessage():
                for result in message.content:
                    document = {"role": "tool", "tool_call_id": result.call_id, "content": result.content}
                    ours.append(Message.from_document(document))
    return ours


def to_request(
    messages: Sequence[LLMMessage],
    tools: Sequence[Tool | ToolSchema],
    tool_choice: Tool | Literal["auto", "required", "none"],
    json_output: bool | type[BaseModel] | None,
    arguments: Mapping[str, Any],
) -> Request:
    """A request from the arguments of AutoGen's `create`; `arguments` are its extra ones, by their names on the
    wire."""
    request = Request(to_messages(messages))
    body: dict[str, Any] = {}
    sampling: dict[str, Any] = {}
    for name, value in arguments.items():
        if name == "seed":
            request.seed = value
        elif name == "top_logprobs":
            request.top_logprobs = value
        elif name in Sampling.model_fields:
            sampling[name] = value
        elif name != "logprobs":
            body[name] = value
    if tools:
        body["tools"] = [_tool(tool) for tool in tools]
        named = {"type": "function", "function": {"name": tool_choice.name}} if isinstance(tool_choice, Tool) else None
        body["tool_choice"] = named or tool_choice
    if isinstance(json_output, type):
        request.schema = json_output.model_json_schema()
    elif json_output:
        body["response_format"] = {"type": "json_object"}
    request.sampling, request.body = sampling or None, body or None
    return request


def to_result(completion: Completion) -> CreateResult:
    """AutoGen's result for our completion."""
    calls = [_called(call, n) for n, call in enumerate(completion.tool_calls)]
    return CreateResult(
        finish_reason=_FINISH.get(completion.finish_reason, "unknown"),
        content=calls or completion.text,
        usage=RequestUsage(completion.prompt_tokens, completion.completion_tokens),
        cached=completion.from_cache,
        logprobs=_logprobs(completion),
        thought=(completion.reasoning or (completion.text if calls else None)) or None,
    )


def to_llm_messages(messages: Sequence[Message], role: str) -> list[LLMMessage]:
    """AutoGen's messages for ours, for a client that is not ours; `role` is the chair that is the assistant.

    Messages that are not plain text are left out: only clients of ours are asked with them.
    """
    theirs: list[LLMMessage] = []
    for message in messages:
        if message.text is None:
            continue
        if message.role == "system":
            theirs.append(SystemMessage(content=message.text))
        elif message.role == "assistant":
            theirs.append(AssistantMessage(content=message.text, source=role))
        else:
            theirs.append(UserMessage(content=message.text, source="user"))
    return theirs


def from_result(result: CreateResult, seed: int | None) -> Completion:
    """Our completion for the result of a client that is not ours; it does not say which model or server answered."""
    return Completion(
        text=result.content if isinstance(result.content, str) else "",
        finish_reason=result.finish_reason,
        model="",
        reasoning=result.thought,
        prompt_tokens=result.usage.prompt_tokens,
        completion_tokens=result.usage.completion_tokens,
        seed=seed,
        from_cache=result.cached,
    )


def without_thoughts(result: CreateResult) -> CreateResult:
    """The result of a client that is not ours, thoughts that stand in its text apart from what is said."""
    if not isinstance(result.content, str):
        return result
    text, thought = split_thoughts(result.content)
    if thought is None and text == result.content:
        return result
    thoughts = "\n".join(filter(None, (result.thought, thought))) or None
    return result.model_copy(update={"content": text, "thought": thoughts})


def _part(part: Any) -> dict[str, Any]:
    if isinstance(part, str):
        return {"type": "text", "text": part}
    return dict(part.to_openai_format())


def _call(call: FunctionCall) -> dict[str, Any]:
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}


def _tool(tool: Tool | ToolSchema) -> dict[str, Any]:
    return {"type": "function", "function": tool.schema if isinstance(tool, Tool) else dict(tool)}


def _called(call: ToolCall, index: int) -> FunctionCall:
    name = re.sub(r"[^a-zA-Z0-9_-]", "_", call.function.name)[:64]
    return FunctionCall(id=call.id or f"call_{index}", name=name, arguments=call.function.arguments or "{}")


def _logprobs(completion: Completion) -> list[ChatCompletionTokenLogprob] | None:
    if completion.tokens is None:
        return None
    return [
        ChatCompletionTokenLogprob(
            token=token.token,
            logprob=token.logprob,
            top_logprobs=[TopLogprob(one.logprob, list(one.token.encode())) for one in token.top_logprobs],
        )
        for token in completion.tokens
    ]
