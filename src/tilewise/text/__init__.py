"""Words and ids: tokenizers, and conversations as the text that a model was trained on."""
