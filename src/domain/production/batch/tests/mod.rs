//! The rules one by one on hand-made lines, and what must hold on any.

mod properties;
