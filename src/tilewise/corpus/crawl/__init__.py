"""What a crawl gives: archives, folders and lists of pages, and what hosts allow."""
