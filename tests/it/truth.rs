//! What the shared data says is true.
