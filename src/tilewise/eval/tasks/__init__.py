"""What is asked and how answers are scored, a file for each benchmark or group of them."""
