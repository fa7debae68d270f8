"""HH-RLHF's transcripts: the prompt that two of them share, and what cannot be read as a pair."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trustdag.data.source import NotAPair
from trustdag.data.transcript import REPLY, hh_transcript, messages, pair_of, shared_prompt

USER, ASSISTANT = "user", "assistant"
SINGLE = "\n\nHuman: Hi.\n\nAssistant:"


def said(*turns: str) -> list[dict[str, str]]:
    """Turns in the order user, assistant, user, ..."""
    return [{"role": (USER, ASSISTANT)[at % 2], "content": turn} for at, turn in enumerate(turns)]


GOOD = {
    "one turn": (f"{SINGLE} Hello!", f"{SINGLE} What?", said("Hi."), "Hello!", "What?"),
    "several turns are kept": (
        f"{SINGLE} Yo.\n\nHuman: Bye.\n\nAssistant: Ciao.",
        f"{SINGLE} Yo.\n\nHuman: Bye.\n\nAssistant: Stay!",
        said("Hi.", "Yo.", "Bye."),
        "Ciao.",
        "Stay!",
    ),
    "replies with a common start": (
        f"{SINGLE} I am well.",
        f"{SINGLE} I am ill.",
        said("Hi."),
        "I am well.",
        "I am ill.",
    ),
    "a reply that starts the other one": (f"{SINGLE} Yes", f"{SINGLE} Yes, sir", said("Hi."), "Yes", "Yes, sir"),
    "an empty reply without its space": (f"{SINGLE}", f"{SINGLE} Yes", said("Hi."), "", "Yes"),
    "identical transcripts": (f"{SINGLE} Yes", f"{SINGLE} Yes", said("Hi."), "Yes", "Yes"),
    "paragraphs in a turn": (
        "\n\nHuman: One.\n\nTwo.\n\nAssistant: A.\n\nB.",
        "\n\nHuman: One.\n\nTwo.\n\nAssistant: C.",
        said("One.\n\nTwo."),
        "A.\n\nB.",
        "C.",
    ),
    "speakers named inside a line": (
        f"{SINGLE} Human: no. Assistant: yes.",
        f"{SINGLE} It says Human:",
        said("Hi."),
        "Human: no. Assistant: yes.",
        "It says Human:",
    ),
    "a speaker after one line feed is text": (f"{SINGLE} A\nHuman: b", f"{SINGLE} C", said("Hi."), "A\nHuman: b", "C"),
    "no space after the speaker": (
        "\n\nHuman:Hi.\n\nAssistant:Hello!",
        "\n\nHuman:Hi.\n\nAssistant:What?",
        said("Hi."),
        "Hello!",
        "What?",
    ),
    "carriage returns": (
        "\r\n\r\nHuman: Hi.\r\n\r\nAssistant: A\r\nB",
        "\r\n\r\nHuman: Hi.\r\n\r\nAssistant: C",
        said("Hi."),
        "A\nB",
        "C",
    ),
    "only one side has carriage returns": (
        f"{SINGLE} A",
        "\r\n\r\nHuman: Hi.\r\n\r\nAssistant: C",
        said("Hi."),
        "A",
        "C",
    ),
    "the first blank line is lost": ("Human: Hi.\n\nAssistant: A", "Human: Hi.\n\nAssistant: C", said("Hi."), "A", "C"),
    "another script and an emoji": (
        "\n\nHuman: こんにちは 🏾\n\nAssistant: »é«",
        "\n\nHuman: こんにちは 🏾\n\nAssistant: ø",
        said("こんにちは 🏾"),
        "»é«",
        "ø",
    ),
    "an assistant that takes two turns in a row": (
        f"{SINGLE} One.\n\nAssistant: Two.\n\nHuman: Go.\n\nAssistant: A",
        f"{SINGLE} One.\n\nAssistant: Two.\n\nHuman: Go.\n\nAssistant: C",
        said("Hi.", "One.\n\nTwo.", "Go."),
        "A",
        "C",
    ),
    "a user that takes two turns in a row": (
        "\n\nHuman: Hi.\n\nHuman: You?\n\nAssistant: A",
        "\n\nHuman: Hi.\n\nHuman: You?\n\nAssistant: C",
        said("Hi.\n\nYou?"),
        "A",
        "C",
    ),
    "an empty turn is left for preparation to drop": (
        "\n\nHuman: \n\nAssistant: A",
        "\n\nHuman: \n\nAssistant: C",
        said(""),
        "A",
        "C",
    ),
}

BAD = {
    "no turn at all": ("Hello", "World", "malformed", "no .* turn"),
    "empty": ("", "", "malformed", "no .* turn"),
    "no assistant": ("\n\nHuman: Hi.", "\n\nHuman: Hi.", "malformed", "no .* turn"),
    "no assistant in the rejected one": (f"{SINGLE} A", "\n\nHuman: Hi.", "malformed", "no .* turn"),
    "different prompts": (f"{SINGLE} A", "\n\nHuman: Ho.\n\nAssistant: A", "malformed", "share no prompt"),
    "the assistant starts": ("\n\nAssistant: A", "\n\nAssistant: C", "malformed", "first turn"),
    "text before the first turn": (f"Be kind.{SINGLE} A", f"Be kind.{SINGLE} C", "malformed", "before the first"),
    "the last turn is the user's": (
        f"{SINGLE} A\n\nHuman: Bye.",
        f"{SINGLE} C\n\nHuman: Bye.",
        "further_turns",
        "further turns",
    ),
    "they part before the last exchange": (
        f"{SINGLE} A\n\nHuman: So?\n\nAssistant: B",
        f"{SINGLE} C\n\nHuman: So?\n\nAssistant: D",
        "further_turns",
        "further turns",
    ),
    "one goes on": (f"{SINGLE} A\n\nHuman: So?\n\nAssistant: B", f"{SINGLE} A", "further_turns", "further turns"),
    "a reply in two turns": (f"{SINGLE} A\n\nAssistant: B", f"{SINGLE} C", "further_turns", "further turns"),
    "both replies in two turns that start alike": (
        f"{SINGLE} A\n\nAssistant: B",
        f"{SINGLE} A\n\nAssistant: C",
        "further_turns",
        "further turns",
    ),
}


@pytest.mark.parametrize("case", GOOD)
def test_a_pair_is_its_shared_prompt_and_two_replies(case: str) -> None:
    chosen, rejected, prompt, *replies = GOOD[case]
    shared, *parts = pair_of(chosen, rejected)
    assert (shared, [part.strip() for part in parts]) == (prompt, replies)


@pytest.mark.parametrize("case", BAD)
def test_what_is_no_pair_says_why(case: str) -> None:
    chosen, rejected, reason, why = BAD[case]
    with pytest.raises(NotAPair, match=why) as caught:
        pair_of(chosen, rejected)
    assert caught.value.reason == reason


text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r"), max_size=40)
pieces = st.sampled_from([REPLY, "\n\nHuman:", "\n\n", "Human:", "Assistant:", " ", "A", "ß"])
wild = st.lists(pieces | text, max_size=8).map("".join)


@given(prompt=wild, replies=st.tuples(wild, wild))
def test_prompt_and_replies_make_up_both_transcripts_again(prompt: str, replies: tuple[str, str]) -> None:
    # Given two transcripts that share at least one marker, whatever else is in them
    chosen, rejected = (prompt + REPLY + reply for reply in replies)
    # When they are taken apart
    shared, *parts = shared_prompt(chosen, rejected)
    # Then nothing is lost, and no later marker is shared
    assert [shared + REPLY + part for part in parts] == [chosen, rejected]
    assert shared.startswith(prompt)
    assert not any(
        parts[1].startswith(parts[0][: at + len(REPLY)])
        for at in range(len(parts[0]))
        if parts[0].startswith(REPLY, at)
    )


turn = text.map(str.strip).filter(lambda said: said and "Human:" not in said and "Assistant:" not in said)


@given(st.lists(turn, min_size=1, max_size=7).filter(lambda turns: len(turns) % 2 == 1), turn, turn)
def test_what_we_write_as_a_transcript_is_read_back(turns: list[str], chosen: str, rejected: str) -> None:
    prompt = said(*turns)
    written = hh_transcript(prompt) + REPLY  # type: ignore[arg-type]
    shared, *replies = pair_of(f"{written} {chosen}", f"{written} {rejected}")
    assert (shared, [reply.strip() for reply in replies]) == (prompt, [chosen, rejected])


@given(wild)
def test_roles_alternate_and_the_user_starts_or_it_is_refused(transcript: str) -> None:
    try:
        turns = messages(transcript)
    except NotAPair:
        return
    assert [message["role"] for message in turns] == [(USER, ASSISTANT)[at % 2] for at in range(len(turns))]
