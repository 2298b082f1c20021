//! The house rules as ordinary tests (STYLE 37): crate edges, purity of `engine`, lengths, and that
//! ARCHITECTURE.md names every crate and module. All of it lies under `tests/`.
