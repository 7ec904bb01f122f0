//! What end-to-end tests share: finding binaries, running targets.
