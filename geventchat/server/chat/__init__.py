"""The chat: who is here, in which rooms, and how what is new reaches them."""
