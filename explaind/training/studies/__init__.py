"""Questions that no single bundle answers: many small networks, each fitted once and kept, and a page of results."""
