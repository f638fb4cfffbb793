//! Problems in what a person wrote: spans, severities, help, and the one rendering of them.
