"""From a page to its tiles and the plan of its tokens, without torch.

``grid`` chooses how many tiles, ``partition`` cuts them, ``layout`` plans their tokens, and
``draw`` shows the result to a person. All four read one ``config``.
"""
