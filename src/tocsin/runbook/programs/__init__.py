"""The programs whose command lines Tocsin knows, a module each: from words to an action, or the reason why not."""
