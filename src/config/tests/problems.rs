use super::{heads, load, loaded};
