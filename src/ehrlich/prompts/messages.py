"""A prompt becomes chat messages, text and token ids: here, and nowhere else.

Training, prediction and serving all call `render` and `encode`. A training row is the ids of the
generation prompt, as a server makes them, then the ids of the reply: its beginning equals what the
model will see by construction, whatever the tokenizer merges.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple, NotRequired, TypedDict

import numpy as np

from ehrlich.base.errors import ConfigError, ModelError
from ehrlich.prompts.chat_policy import ChatPolicy
from ehrlich.prompts.tokenizers import Tokenizer, ids_of


class Message(TypedDict):
    """A turn, as Hugging Face writes conversations; reasoning apart from the answer."""

    role: Literal["system", "user", "assistant"]
    content: str
    reasoning_content: NotRequired[str]


class PromptCompletion(TypedDict):
    """A row in the prompt-completion format of TRL."""

    prompt: list[Message]
    completion: list[Message]
    chat_template_kwargs: dict[str, Any]


class Row(NamedTuple):
    """Ids of a training row: no loss on the prompt, loss on the completion."""

    prompt: list[int]
    completion: list[int]

    def columns(self) -> dict[str, list[int]]:
        """input_ids and completion_mask: the row as TRL takes one that is tokenised already."""
        mask = [0] * len(self.prompt) + [1] * len(self.completion)
        return {"input_ids": self.prompt + self.completion, "completion_mask": mask}


def messages_of(
    prompt: str,
    *,
    policy: ChatPolicy,
    thinking: bool,
    answer: str | None = None,
    reasoning: str | None = None,
) -> list[Message]:
    """System, user and, where there is an answer, assistant.

    Raises ConfigError where reasoning is given and not wanted, or wanted and not given: such a row
    would teach a model to do other than it is asked.
    """
    messages: list[Message] = []
    if policy.system is not None:
        messages.append({"role": "system", "content": policy.system})
    messages.append({"role": "user", "content": prompt + policy.suffix.of(thinking)})
    if answer is None:
        return messages
    if bool(reasoning) is not thinking:
        got = "reasoning, thinking off" if reasoning else "no reasoning, thinking on"
        raise ConfigError("a training row must do what it is asked", got=got)
    reply: Message = {"role": "assistant", "content": answer}
    if reasoning:
        reply["reasoning_content"] = reasoning
    return [*messages, reply]


def render(
    messages: Sequence[Message],
    *,
    tokenizer: Tokenizer,
    policy: ChatPolicy,
    thinking: bool,
    for_generation: bool,
) -> str:
    """The conversation as one text: what the model reads.

    With `for_generation` it ends where the reply begins (a reply in `messages` is left out), else
    it is the whole training row. Raises ModelError for a template that cannot be used.
    """
    if not for_generation:
        return "".join(_halves(messages, tokenizer=tokenizer, policy=policy, thinking=thinking))
    asked, _ = _split(messages)
    prompt = _apply(asked, tokenizer=tokenizer, policy=policy, thinking=thinking, asks=True)
    return prompt + policy.begin.of(thinking)


def encode(
    messages: Sequence[Message],
    *,
    tokenizer: Tokenizer,
    policy: ChatPolicy,
    thinking: bool,
    for_generation: bool,
) -> list[int]:
    """Ids of what `render` gives; those of a training row begin with those for generation."""
    if not for_generation:
        row = row_of(messages, tokenizer=tokenizer, policy=policy, thinking=thinking)
        return row.prompt + row.completion
    text = render(
        messages, tokenizer=tokenizer, policy=policy, thinking=thinking, for_generation=True
    )
    ids: list[int] = ids_of([text], tokenizer)[0].tolist()
    return ids


def row_of(
    messages: Sequence[Message], *, tokenizer: Tokenizer, policy: ChatPolicy, thinking: bool
) -> Row:
    """A training row as ids: those for generation, then those of the reply, tokenised apart."""
    halves = _halves(messages, tokenizer=tokenizer, policy=policy, thinking=thinking)
    prompt, completion = ids_of(halves, tokenizer)
    return Row(prompt.tolist(), completion.tolist())


def _halves(
    messages: Sequence[Message], *, tokenizer: Tokenizer, policy: ChatPolicy, thinking: bool
) -> tuple[str, str]:
    """The text of a training row: for generation, and what the model is to write after it."""
    asked, reply = _split(messages)
    if not reply:
        raise ConfigError("a training row needs a reply", got="messages without an assistant")
    prompt = _apply(asked, tokenizer=tokenizer, policy=policy, thinking=thinking, asks=True)
    whole = _apply(messages, tokenizer=tokenizer, policy=policy, thinking=thinking, asks=False)
    if not whole.startswith(prompt):
        raise ModelError(
            "the chat template writes a training row that does not begin with the prompt",
            do="Choose another chat policy, or correct the template.",
        )
    said = whole[len(prompt) :]
    if reply[0].get("reasoning_content", "").strip() not in said:
        raise ModelError(
            "the chat template drops the reasoning",
            do="Choose a chat policy with `reasoning: content`, or correct the template.",
        )
    begin = policy.begin.of(thinking)
    if begin and said.startswith(begin):
        said = said.removeprefix(begin).lstrip("\n")
    return prompt + begin, said


def prompt_and_completion(
    messages: Sequence[Message], *, policy: ChatPolicy, thinking: bool
) -> PromptCompletion:
    """The row as TRL takes it; TRL applies the template itself, with the row's own variables.

    Its ids equal `row_of` where ids of the whole text begin with those of the prompt (`check_chat`
    says so). The loss differs in one place: what `policy.begin` adds is part of TRL's completion.
    """
    asked, reply = _split(messages)
    if not reply:
        raise ConfigError("a training row needs a reply", got="messages without an assistant")
    (said,) = _as_template_wants(reply, policy)
    begin = policy.begin.of(thinking)
    completion: Message = {**said, "content": begin + said["content"].removeprefix(begin)}
    return {
        "prompt": asked,
        "completion": [completion],
        "chat_template_kwargs": policy.template_variables(thinking),
    }


def around(tokenizer: Tokenizer, policy: ChatPolicy, *, thinking: bool) -> tuple[str, str]:
    """What stands before and after the prompt at generation, suffix of the policy included.

    `before + prompt + after` is what `render` gives: blocks tokenised apart are put between them.
    """
    messages = messages_of(PROBE, policy=policy, thinking=thinking)
    text = render(
        messages, tokenizer=tokenizer, policy=policy, thinking=thinking, for_generation=True
    )
    before, found, after = text.partition(PROBE)
    if not found or PROBE in after:
        raise ModelError("the chat template does not write the prompt exactly once, as it is")
    return before, after


PROBE = "## Probe [2150-01-01 10:00:00]\n\n| a | b |\n\n- c: 4.2"
_PROBE_REASONING = "Potassium rose\nafter the second dose."


def check_chat(tokenizer: Tokenizer, policy: ChatPolicy) -> bool:
    """Whether ids of a whole training row begin with those of its prompt (TRL relies on it).

    Raises ModelError where the template cannot be used with the policy: none, one that drops the
    reasoning or the prompt, one whose training row begins otherwise than its prompt.
    """
    whole = [_is_whole(tokenizer, policy, thinking) for thinking in (True, False)]
    return all(whole)


def _is_whole(tokenizer: Tokenizer, policy: ChatPolicy, thinking: bool) -> bool:
    around(tokenizer, policy, thinking=thinking)
    reasoning = _PROBE_REASONING if thinking else None
    messages = messages_of(
        PROBE, policy=policy, thinking=thinking, answer="yes", reasoning=reasoning
    )
    halves = _halves(messages, tokenizer=tokenizer, policy=policy, thinking=thinking)
    prompt, completion, whole = ids_of([*halves, "".join(halves)], tokenizer)
    return bool(np.array_equal(whole, np.concatenate([prompt, completion])))


def _split(messages: Sequence[Message]) -> tuple[list[Message], list[Message]]:
    """What is asked, and the reply at the end where there is one."""
    if messages and messages[-1]["role"] == "assistant":
        return list(messages[:-1]), [messages[-1]]
    return list(messages), []


def _as_template_wants(messages: Sequence[Message], policy: ChatPolicy) -> list[Message]:
    """Reasoning in the content, for templates that do not know `reasoning_content`."""
    if policy.reasoning == "template":
        return list(messages)
    return [
        {
            "role": message["role"],
            "content": policy.with_marks(message["reasoning_content"], message["content"]),
        }
        if message.get("reasoning_content")
        else message
        for message in messages
    ]


def _apply(
    messages: Sequence[Message],
    *,
    tokenizer: Tokenizer,
    policy: ChatPolicy,
    thinking: bool,
    asks: bool,
) -> str:
    """The one door to the chat template."""
    if not tokenizer.chat_template:
        raise ModelError(
            "the tokenizer has no chat template", do="Use the tokenizer of an instruct model."
        )
    import jinja2

    variables: Mapping[str, Any] = policy.template_variables(thinking)
    try:
        text = tokenizer.apply_chat_template(
            _as_template_wants(messages, policy),
            tokenize=False,
            add_generation_prompt=asks,
            **variables,
        )
    except jinja2.TemplateError as exc:
        raise ModelError(
            "the chat template refuses the messages",
            got=type(exc).__name__,
            do="Some take no system turn: choose a chat policy with `system: null`.",
        ) from exc
    return str(text)
