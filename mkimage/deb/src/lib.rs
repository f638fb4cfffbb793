//! Debian formats: control stanzas, versions, relations, deb members, indices.
