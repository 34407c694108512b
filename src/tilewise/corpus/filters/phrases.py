"""Phrases that the rules of the detailed filter look for, written for this engine."""

from __future__ import annotations

from typing import Final

FOOTER_PHRASES: Final = (
    # those the paper's release is known by
    "Services",
    "Sign in",
    "Subscribe",
    "Read More",
    "Call Us",
    "Contact Information",
    "Looking for",
    "Any questions?",
    "Watch on YouTube",
    "Google+",
    "YouTube",
    "view details",
    "More information",
    "ID #",
    # our own
    "Sign Up",
    "Log In",
    "Follow Us",
    "Share This",
    "Contact Us",
    "About Us",
    "Terms of Service",
    "Privacy Policy",
    "All Rights Reserved",
    "Back to Top",
    "Add to Cart",
    "Skip to content",
    "Newsletter",
    "Leave a Reply",
    "Posted by",
    "Filed under",
)
"""Rule 14: parts of headers and footers, in exactly these letters."""

READ_MORE: Final = (
    "read more",
    "more words",
    "read next",
    "learn more",
    "see this article",
    "click here",
    "continue reading",
)
"""Rule 16: how a sentence without a full stop ends that sends the reader to another page."""

READ_MORE_TITLES: Final = ("view full post", "full story here", "keep reading")
"""Rule 16: the same as titles of links, which pages write in capitals."""

CAPTION_WORDS: Final = frozenset("download load getty image photo source".split())
"""Rule 18: words of captions that say nothing of what is shown."""
