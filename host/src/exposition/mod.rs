//! Families and the text formats.

mod family;
