//! stub
/// Where the tee goes and in which form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TeeTo;
