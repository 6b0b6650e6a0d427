//! What `parser state` does, as functions that return data.
