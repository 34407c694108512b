"""What a run says of itself: a page, a card."""
