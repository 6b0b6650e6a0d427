// Keeps pages up to date.
