//! One destination: filter, batch, encode, send, judge, settle.

mod retry;

pub use retry::Schedule;
