//! The answers of `gen_corpus.py --truth`.
