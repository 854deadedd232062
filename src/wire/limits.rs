//! Limits in time that attempts by HTTP and on connections have in common.

use std::time::Duration;

/// A kept connection may be closed by whatever stands between, and the shortest usual limit is a minute.
pub(super) const IDLE: Duration = Duration::from_secs(30);

/// How long an address that swallows packets is waited for, if the name has others. The client knows no such limit that is
/// not one on names and handshakes as well, and the system's own is two minutes. One lost packet is sent again by then.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);

/// A limit beyond what the clock can hold is no limit.
pub(super) fn deadline(timeout: Duration) -> tokio::time::Instant {
    let now = tokio::time::Instant::now();
    now.checked_add(timeout).unwrap_or_else(|| now + Duration::from_secs(365 * 24 * 3600))
}
