"""How people put questions: the plain forms first, then paraphrases.

{k} stands for a label or row, {c} for a column, {n} for a number.
"""

from __future__ import annotations

from random import Random
from typing import Final

from tilewise.synth.facts import Kind

PLAIN: Final[dict[Kind, tuple[str, ...]]] = {
    "title": ("What is the title?",),
    "value": ("What is the value of {k}?", "What is the {k}?"),
    "table": ("In the table, what is the {c} of {k}?",),
    "after": ('What comes after "{k}"?',),
    "chart": ("What is the value of {k} in the chart?",),
    "highest": ("Which {n} is the highest?",),
    "lowest": ("Which {n} is the lowest?",),
    "all": ("Read all the text.",),
    "line": ("Read line {n}.",),
}

OTHER: Final[dict[Kind, tuple[str, ...]]] = {
    "title": (
        "What's the title?", "What is the title of this page?",
        "What is the title of the document?", "title?",
        "Title", "Give me the title.", "What does the heading say?", "What is the heading?",
        "Read the title.",
        "Tell me the title of this page", "What is this document called?",
        "How is the page titled?",
        "What is the main heading?", "which title does this page have?", "What is the headline?",
    ),
    "value": (
        "What's the {k}?", "{k}?", "{k}", "What is {k}?", "Give me the {k}.", "Tell me the {k}.",
        "What does {k} say?", "Which {k} is given?", "What {k} is given?", "Find the {k}.",
        "What is written under {k}?",
        "What is written next to {k}?", "What is the value for {k}?", "How much is the {k}?",
        "value of {k}?",
        'What is the value of "{k}"?', "Please tell me the {k}", "I need the {k}.",
        "Show me the {k}",
        "what is the {k} on this page?", "Look up {k}.", "What is stated as {k}?",
        "What is the {k} here",
    ),
    "table": (
        "What is the {c} of {k}?", "What is the {c} for {k}?",
        "In the table, what is the {c} for {k}?",
        "What is the {c} of {k} in the table?", "{c} of {k}?", "{k}: {c}?",
        "What {c} does {k} have?",
        "In the table, which {c} does {k} have?", "Give the {c} of {k}.", "What is {k}'s {c}?",
        "In the row {k}, what is the {c}?", "In the {k} row, what is in the {c} column?",
        "What stands in column {c} of row {k}?", "Look up the {c} of {k}", "what's the {c} of {k}",
    ),
    "after": (
        "What comes after {k}?", 'What follows "{k}"?', 'Which words follow "{k}"?',
        'What is written after "{k}"?',
        'What comes next after "{k}"?', 'How does the text go on after "{k}"?', 'Continue "{k}"',
        'After "{k}", what comes?',
    ),
    "chart": (
        "What is the value of {k} in this chart?", "In the chart, what is the value of {k}?",
        "How high is {k} in the chart?",
        "What value does {k} have in the chart?", "How much is {k} in the chart?",
        "What does the chart show for {k}?",
        "In the chart, how much is {k}?", "What is the value of {k} in the graph?",
        "What is {k} in the chart?",
        "Chart value of {k}?", "What number belongs to {k} in the diagram?",
    ),
    "highest": (
        "Which {n} has the highest value?", "What is the highest {n}?", "Which {n} is highest?",
        "Which {n} is the largest?",
        "Which {n} is the biggest?", "Which {n} has the largest value in the chart?",
        "In the chart, which {n} is the highest?",
        "Which {n} is the maximum?", "Which {n} has the most?", "Which {n} ranks first?",
        "the highest {n}?",
    ),
    "lowest": (
        "Which {n} has the lowest value?", "What is the lowest {n}?", "Which {n} is lowest?",
        "Which {n} is the smallest?",
        "Which {n} has the smallest value in the chart?", "In the chart, which {n} is the lowest?",
        "Which {n} is the minimum?",
        "Which {n} has the least?", "Which {n} ranks last?", "the lowest {n}?",
    ),
    "all": (
        "Read all text.", "Read the text.", "Read everything.", "Read the whole page.",
        "What does the page say?",
        "Transcribe this page.", "Transcribe all the text", "Give me all the text.",
        "OCR this page.", "Read the page aloud.",
        "What text is on the page?", "What is written on this page?",
    ),
    "line": (
        "Read line number {n}.", "Read the line {n}.", "What does line {n} say?",
        "What is in line {n}?", "Line {n}?",
        "What is written in line {n}?", "line {n}", "Please read line {n}.", "Give me line {n}.",
    ),
}  # fmt: skip

UNSUPPORTED: Final = (
    "Summarize this page.", "Summarise the document.", "What is this page about?",
    "Give me a summary.", "Write a summary in three sentences.",
    "Describe the picture.", "Describe this image.", "What is in the photo?",
    "What can you see in the image?", "Is there a dog in the picture?",
    "How many people are in the photo?", "What colour is the car?", "What color is the background?",
    "Translate this into German.",
    "Translate the page to French.", "Explain the chart.", "Explain this to me.",
    "Why did this happen?", "Who painted this?",
    "Is this document genuine?", "What should I do next?", "How many words are on the page?",
    "How many tables are there?",
    "How many lines does the page have?", "Compare the two columns.",
    "What is the trend in the chart?", "What do you think of it?",
    "Tell me a joke.", "Who are you?", "Hello", "Hi there!", "How are you?",
    "Write a poem about this page.", "Write an answer to this letter.",
    "Add up all the amounts.", "What is the sum of all values?",
    "What is the average of the column?", "Calculate the difference.",
    "What is 2 + 2?", "Convert the amounts to dollars.", "Is the total correct?",
    "Does this look right?", "What language is this?",
    "In which language is the page written?", "What is the mood of the text?",
    "What is the main idea?", "What are the key points?",
    "List the main arguments.", "Rewrite this more simply.", "Correct the spelling.",
    "Make a table of this.", "Draw the chart again.",
    "What font is used?", "Where was this photo taken?", "Who is the person in the picture?",
    "What is the weather like?", "Can you help me?",
    "Give me your opinion.", "Which conclusion follows from the data?", "Predict the next value.",
    "Classify this document.",
    "What kind of document is this?", "What type of page is this?", "Is it an invoice or a letter?",
    "Sort the rows by price.",
    "What happens in the story?", "Who is the main character?", "What is the capital of France?",
    "Solve the equation.",
    "Extract all entities.", "Generate a caption.", "Caption this image.",
    "What emotion does the face show?", "What is the purpose of this form?",
)  # fmt: skip


def phrase(rng: Random, kind: Kind, *, plain: float = 0.4, **parts: str) -> tuple[str, str]:
    """A question of a kind with its parts put in, and its tags (see ``facts.Question``)."""
    template = rng.choice(PLAIN[kind] if rng.random() < plain else OTHER[kind])
    text, tags = fill(template, parts)
    if rng.random() < 0.08:
        text = text[:1].lower() + text[1:]
    if rng.random() < 0.05 and text.endswith(("?", ".")):
        text, tags = text[:-1], tags[:-1]
    if rng.random() < 0.03:
        text, tags = f"Please: {text}", "0" * 8 + tags
    return text, tags


TAGS: Final = {"k": "1", "c": "2", "n": "3"}


def fill(template: str, parts: dict[str, str]) -> tuple[str, str]:
    """Put parts into a template; returns the text and one tag digit a character."""
    text, tags = "", ""
    rest = template
    while rest:
        at = rest.find("{")
        if at < 0 or at + 2 >= len(rest) or rest[at + 2] != "}":
            text, tags = text + rest, tags + "0" * len(rest)
            break
        slot = rest[at + 1]
        text, tags = text + rest[:at] + parts[slot], tags + "0" * at + TAGS[slot] * len(parts[slot])
        rest = rest[at + 3 :]
    return text, tags
